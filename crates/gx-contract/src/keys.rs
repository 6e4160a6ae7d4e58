//! The keys of the ledger's state, for rules and queries.
//!
//! Facts that are written once have other keys than values that every grant changes, so two
//! commands conflict only on an account or on a country's counters. `~` sorts after all characters
//! of an id, and the keys of a kind are between `kind~` and [`end`].

use gx_model::{AccountId, CommandId, CountryCode, FabricUserId};

/// Key of the system's state: whether the supply was created, and whether the system is paused.
pub(crate) const SYSTEM: &str = "system";
/// Key of the sum of all countries' shares. Only the command that adds countries writes it.
pub(crate) const SHARES: &str = "shares";
/// Prefix of the keys of the countries' counters.
pub(crate) const COUNTERS: &str = "counters~";
/// Prefix of the keys of fees that are not folded yet.
pub(crate) const FEES: &str = "fee~";

/// Returns the key of a country's facts, which are written once.
pub(crate) fn country(code: CountryCode) -> String {
    format!("country~{code}")
}

/// Returns the key of a country's counters, which every grant of the country writes.
pub(crate) fn counters(code: CountryCode) -> String {
    format!("{COUNTERS}{code}")
}

/// Returns the key of a person's facts, which are written once.
pub(crate) fn user(id: &FabricUserId) -> String {
    format!("user~{id}")
}

/// Returns the key of an account: its balance and whether it may spend.
pub(crate) fn account(id: &AccountId) -> String {
    format!("account~{id}")
}

/// Returns the key of a person's one grant, which is written once.
pub(crate) fn grant(id: &FabricUserId) -> String {
    format!("grant~{id}")
}

/// Returns the key of the record of how a command ended.
pub(crate) fn command(id: CommandId) -> String {
    format!("cmd~{id}")
}

/// Returns the key of the fees of one transaction, which exists until [`crate::COMPACT_FEES`] folds
/// it.
pub fn fee(tx_id: &str) -> String {
    format!("{FEES}{tx_id}")
}

/// Returns the end of the range of keys with this prefix.
pub(crate) fn end(prefix: &str) -> String {
    format!("{prefix}\u{7f}")
}
