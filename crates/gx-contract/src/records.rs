//! What the state's values are: JSON of these.

use gx_model::{BiometricHash, CountryCode, EntryOutcome, GrantRefusal, Qirat, ReasonCode};
use serde::{Deserialize, Serialize};

/// At [`crate::keys::SYSTEM`]; absent is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct System {
    pub(crate) bootstrapped: bool,
    pub(crate) paused: Option<ReasonCode>,
}

/// At [`crate::keys::counters`]; absent is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Counters {
    pub(crate) users: u64,
    pub(crate) user_total: Qirat,
    pub(crate) treasury_total: Qirat,
}

/// At [`crate::keys::user`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct User {
    pub(crate) nationality: CountryCode,
    pub(crate) biometric_hash: BiometricHash,
    pub(crate) age: u8,
    pub(crate) tx_id: String,
}

/// At [`crate::keys::account`]. A genesis pool's balance stays what it was at the start:
/// what is left of it is that minus the countries' counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Account {
    pub(crate) balance: Qirat,
    pub(crate) standing: Standing,
}

/// Whether an account may spend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub enum Standing {
    /// It may.
    Open {},
    /// A treasury that was not activated yet.
    Locked {},
    /// A person whom an operator froze.
    Frozen {
        /// Why.
        reason_code: ReasonCode,
    },
}

/// A person's one grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantRecord {
    /// The transaction that decided it.
    pub tx_id: String,
    /// Phase 1–6; `None` where the grant is 0.
    pub phase: Option<u8>,
    /// What the person got.
    pub amount: Qirat,
    /// Why nothing; `None` where there was something.
    pub refusal: Option<GrantRefusal>,
}

/// How a command ended, for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommandRecord {
    /// SHA-256 of function and arguments, in hex; `None` for an id that was cancelled
    /// before the ledger saw its content.
    pub content: Option<String>,
    /// Applied, refused or cancelled.
    pub outcome: EntryOutcome,
    /// The transaction in which it ended.
    pub tx_id: String,
}
