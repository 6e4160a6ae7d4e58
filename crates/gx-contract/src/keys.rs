//! Where things stand in the state.
//!
//! What is written once and what every grant writes are different keys, so that two
//! commands conflict only on an account or a country's counters. `~` sorts behind all
//! characters of an id, and a kind's keys lie between `kind~` and [`end`].

use gx_model::{AccountId, CommandId, CountryCode, FabricUserId};

/// Whether the supply exists, and whether changes are stopped.
pub(crate) const SYSTEM: &str = "system";
/// Sum of all countries' shares; only country data writes it.
pub(crate) const SHARES: &str = "shares";
/// Prefix of the countries' counters.
pub(crate) const COUNTERS: &str = "counters~";
/// Prefix of the fees that are not folded yet.
pub(crate) const FEES: &str = "fee~";

/// A country's facts, written once.
pub(crate) fn country(code: CountryCode) -> String {
    format!("country~{code}")
}

/// A country's counters, written by every grant there.
pub(crate) fn counters(code: CountryCode) -> String {
    format!("{COUNTERS}{code}")
}

/// A person's facts, written once.
pub(crate) fn user(id: &FabricUserId) -> String {
    format!("user~{id}")
}

/// What an account holds and whether it may spend.
pub(crate) fn account(id: &AccountId) -> String {
    format!("account~{id}")
}

/// A person's one grant, written once.
pub(crate) fn grant(id: &FabricUserId) -> String {
    format!("grant~{id}")
}

/// How a command ended.
pub(crate) fn command(id: CommandId) -> String {
    format!("cmd~{id}")
}

/// The fees of one transaction, until [`crate::COMPACT_FEES`] folds them.
pub fn fee(tx_id: &str) -> String {
    format!("{FEES}{tx_id}")
}

/// The end of the range of a prefix.
pub(crate) fn end(prefix: &str) -> String {
    format!("{prefix}\u{7f}")
}
