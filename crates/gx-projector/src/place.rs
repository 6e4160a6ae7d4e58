//! Where an event is on the chain, and the row ids that are derived from its place.
//!
//! `apply::read` makes a [`Place`] for each event; the statements of `apply::store` compare it with
//! the place that is stored next to each fact.

use std::sync::Arc;

use gx_model::AccountId;
use time::OffsetDateTime;
use uuid::{Builder, Uuid};

/// Namespace of the ids of projected rows.
const NAMESPACE: Uuid = Uuid::from_u128(0x2b6f_5d0a_8c3e_5f71_9a44_c1e7_0d52_8b96);

/// The place of a fact that no event has written, or that was written by a release without places.
/// It is before every event.
pub(crate) const BEFORE_ALL: (i64, i32, i32) = (-1, -1, -1);

/// Where an event is on the chain.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) channel: Arc<str>,
    pub(crate) block_number: i64,
    pub(crate) tx_id: Arc<str>,
    pub(crate) tx_index: i32,
    pub(crate) event_index: i32,
    pub(crate) command_id: Arc<str>,
    /// Time of the transaction, in the precision in which rows store it.
    pub(crate) ledger_at: OffsetDateTime,
}

impl Place {
    /// Returns the key that orders the events of a channel.
    pub(crate) fn order(&self) -> (i64, i32, i32) {
        (self.block_number, self.tx_index, self.event_index)
    }
}

/// The orders of many events, one column each, as SQL statements take them.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) blocks: Vec<i64>,
    pub(crate) tx_indexes: Vec<i32>,
    pub(crate) event_indexes: Vec<i32>,
}

impl Places {
    pub(crate) fn of<'a>(places: impl Iterator<Item = &'a Place>) -> Self {
        let mut all = Self::default();
        for (block, tx_index, event_index) in places.map(Place::order) {
            all.blocks.push(block);
            all.tx_indexes.push(tx_index);
            all.event_indexes.push(event_index);
        }
        all
    }
}

/// Returns the id of an account's wallet, which is the same in every rebuild.
pub fn wallet_id(account: &AccountId) -> String {
    Uuid::new_v5(&NAMESPACE, format!("wallet {account}").as_bytes()).to_string()
}

/// Returns the id of the history row of one event for one account, which is the same in every
/// rebuild. It is a UUID of version 8 (RFC 9562) that begins with the transaction's milliseconds,
/// as version 7 does, so that rows that are written together are adjacent in the index.
pub(crate) fn transaction_row_id(place: &Place, account: &AccountId) -> String {
    let Place { tx_id, event_index, ledger_at, .. } = place;
    let name = format!("transaction {tx_id} {event_index} {account}");
    let mut bytes = *Uuid::new_v5(&NAMESPACE, name.as_bytes()).as_bytes();
    let milliseconds = ledger_at.unix_timestamp_nanos() / 1_000_000;
    bytes[..6].copy_from_slice(&milliseconds.to_be_bytes()[10..]);
    Builder::from_custom_bytes(bytes).into_uuid().to_string()
}
