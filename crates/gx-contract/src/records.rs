//! The values of the state, each stored as JSON. The rules write them; rules and queries read them.
//! A stored value that does not have its form here ends the call as damaged state.

use gx_model::{BiometricHash, CountryCode, EntryOutcome, GrantRefusal, Qirat, ReasonCode};
use serde::{Deserialize, Serialize};

/// The value at [`crate::keys::SYSTEM`]; an absent value is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct System {
    pub(crate) bootstrapped: bool,
    pub(crate) paused: Option<ReasonCode>,
}

/// The value at [`crate::keys::counters`]; an absent value is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Counters {
    pub(crate) users: u64,
    pub(crate) user_total: Qirat,
    pub(crate) treasury_total: Qirat,
}

/// The value at [`crate::keys::user`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct User {
    pub(crate) nationality: CountryCode,
    pub(crate) biometric_hash: BiometricHash,
    pub(crate) age: u8,
    pub(crate) tx_id: String,
}

/// The value at [`crate::keys::account`]. The balance of a genesis pool stays at its start: the
/// money left in it is that balance minus the countries' counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Account {
    pub(crate) balance: Qirat,
    pub(crate) standing: Standing,
}

/// Whether an account may spend, and why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub enum Standing {
    /// The account may spend.
    Open {},
    /// The account is a treasury that is not activated.
    Locked {},
    /// The account is of a person who is frozen.
    Frozen {
        /// The reason of the freeze.
        reason_code: ReasonCode,
    },
}

/// The record of a person's one grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantRecord {
    /// The transaction that decided the grant.
    pub tx_id: String,
    /// Phase 1–6; `None` if the grant is 0.
    pub phase: Option<u8>,
    /// The amount that the person got.
    pub amount: Qirat,
    /// Why the grant is 0; `None` if it is not.
    pub refusal: Option<GrantRefusal>,
}

/// The record of how a command ended finally.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommandRecord {
    /// SHA-256 of function and arguments in hex. `None` for an id that was cancelled before the
    /// ledger saw its content.
    pub content: Option<String>,
    /// The outcome: applied, refused or cancelled.
    pub outcome: EntryOutcome,
    /// The transaction in which the command ended.
    pub tx_id: String,
}
