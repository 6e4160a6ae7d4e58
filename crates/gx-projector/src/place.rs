//! Where an event stands on the chain, and the row ids that follow from it.

use std::sync::Arc;

use gx_model::AccountId;
use time::OffsetDateTime;
use uuid::{Builder, Uuid};

/// Namespace of the ids of projected rows.
const NAMESPACE: Uuid = Uuid::from_u128(0x2b6f_5d0a_8c3e_5f71_9a44_c1e7_0d52_8b96);

/// Where an event stands.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) channel: Arc<str>,
    pub(crate) block_number: i64,
    pub(crate) tx_id: Arc<str>,
    pub(crate) tx_index: i32,
    pub(crate) event_index: i32,
    pub(crate) command_id: Arc<str>,
    /// The transaction's timestamp, in the precision in which rows keep it.
    pub(crate) ledger_at: OffsetDateTime,
}

/// The id of an account's wallet: the same in every rebuild.
pub fn wallet_id(account: &AccountId) -> String {
    Uuid::new_v5(&NAMESPACE, format!("wallet {account}").as_bytes()).to_string()
}

/// The id of the history row of one event for one account: the same in every rebuild. It is a
/// UUID of version 8 (RFC 9562) that begins with the transaction's milliseconds as one of version
/// 7 does, so that rows that are written together stand together in the index.
pub(crate) fn transaction_row_id(place: &Place, account: &AccountId) -> String {
    let Place { tx_id, event_index, ledger_at, .. } = place;
    let name = format!("transaction {tx_id} {event_index} {account}");
    let mut bytes = *Uuid::new_v5(&NAMESPACE, name.as_bytes()).as_bytes();
    let milliseconds = ledger_at.unix_timestamp_nanos() / 1_000_000;
    bytes[..6].copy_from_slice(&milliseconds.to_be_bytes()[10..]);
    Builder::from_custom_bytes(bytes).into_uuid().to_string()
}
