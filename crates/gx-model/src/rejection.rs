//! Why a command did not take effect: for good, or for now.

use serde::{Deserialize, Serialize};

use crate::CountryCode;
use crate::named::named;

/// A rule's refusal: a stable code, and the particulars for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Which rule.
    pub code: RejectionCode,
    /// What exactly is wrong. Never personal data.
    pub detail: String,
}

named! {
    /// The rules that refuse a command for good.
    pub enum RejectionCode("no rule has such a code") {
        /// Unknown function, wrong argument count or a malformed argument.
        InvalidCommand = "INVALID_COMMAND",
        /// Bootstrap was done before.
        AlreadyBootstrapped = "ALREADY_BOOTSTRAPPED",
        /// The country's facts are on chain already.
        CountryExists = "COUNTRY_EXISTS",
        /// Shares would sum to more than 10^9.
        SharesExceedTotal = "SHARES_EXCEED_TOTAL",
        /// Already paused.
        AlreadyPaused = "ALREADY_PAUSED",
        /// Not paused.
        NotPaused = "NOT_PAUSED",
        /// The treasury is active already.
        TreasuryActive = "TREASURY_ACTIVE",
        /// The treasury is locked.
        TreasuryLocked = "TREASURY_LOCKED",
        /// The nationality is not the id's country.
        NationalityMismatch = "NATIONALITY_MISMATCH",
        /// The user exists already.
        UserExists = "USER_EXISTS",
        /// There is no such user or account.
        AccountUnknown = "ACCOUNT_UNKNOWN",
        /// The user got the one grant before.
        GenesisDone = "GENESIS_DONE",
        /// The genesis pools pay grants and nothing else.
        PoolReserved = "POOL_RESERVED",
        /// Sender and receiver are the same.
        SelfTransfer = "SELF_TRANSFER",
        /// Zero.
        InvalidAmount = "INVALID_AMOUNT",
        /// The claimed class contradicts the accounts, or no class leads from the one to the other.
        TxTypeMismatch = "TX_TYPE_MISMATCH",
        /// The payer is frozen.
        AccountFrozen = "ACCOUNT_FROZEN",
        /// The wallet is frozen already.
        AlreadyFrozen = "ALREADY_FROZEN",
        /// The wallet is not frozen.
        NotFrozen = "NOT_FROZEN",
        /// Amount and fee exceed the balance.
        InsufficientBalance = "INSUFFICIENT_BALANCE",
    }
}

/// What a deferred command waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "SCREAMING_SNAKE_CASE",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Prerequisite {
    /// `SystemBootstrapped`.
    SystemBootstrapped {},
    /// `SystemResumed`: the system is paused.
    SystemResumed {},
    /// `CountryDataInitialized` with this country.
    Country {
        /// Which country.
        country_code: CountryCode,
    },
}

impl Prerequisite {
    /// The stable code with which a call that cannot wait is refused.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SystemBootstrapped {} => "SYSTEM_NOT_BOOTSTRAPPED",
            Self::SystemResumed {} => "SYSTEM_PAUSED",
            Self::Country { .. } => "COUNTRY_UNKNOWN",
        }
    }
}
