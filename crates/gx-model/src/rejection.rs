//! Why a command did not take effect: a final rejection, or a prerequisite that is missing. The
//! contracts decide; the projector makes the command REFUSED or BLOCKED.

use gx_ledger_api::named;
use serde::{Deserialize, Serialize};

use crate::CountryCode;

/// The refusal of a command by a rule of the contracts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The stable code of the rule.
    pub code: RejectionCode,
    /// What is wrong, for people. It never has personal data.
    pub detail: String,
}

named! {
    /// The rules that refuse a command finally.
    pub enum RejectionCode("no rule has such a code") {
        /// Unknown function, wrong argument count or a malformed argument.
        InvalidCommand = "INVALID_COMMAND",
        /// Bootstrap was done before.
        AlreadyBootstrapped = "ALREADY_BOOTSTRAPPED",
        /// The ledger already has the country.
        CountryExists = "COUNTRY_EXISTS",
        /// The shares of all countries would sum to more than 10^9.
        SharesExceedTotal = "SHARES_EXCEED_TOTAL",
        /// The system is already paused.
        AlreadyPaused = "ALREADY_PAUSED",
        /// The system is not paused.
        NotPaused = "NOT_PAUSED",
        /// The treasury is already active.
        TreasuryActive = "TREASURY_ACTIVE",
        /// The treasury is locked.
        TreasuryLocked = "TREASURY_LOCKED",
        /// The nationality is not the country in the id.
        NationalityMismatch = "NATIONALITY_MISMATCH",
        /// The person already exists.
        UserExists = "USER_EXISTS",
        /// There is no such person or account.
        AccountUnknown = "ACCOUNT_UNKNOWN",
        /// The person already had the one grant.
        GenesisDone = "GENESIS_DONE",
        /// The genesis pools pay only grants.
        PoolReserved = "POOL_RESERVED",
        /// Payer and receiver are the same.
        SelfTransfer = "SELF_TRANSFER",
        /// The amount is zero.
        InvalidAmount = "INVALID_AMOUNT",
        /// The claimed class contradicts the accounts, or no class exists between these account
        /// types.
        TxTypeMismatch = "TX_TYPE_MISMATCH",
        /// The payer is frozen.
        AccountFrozen = "ACCOUNT_FROZEN",
        /// The wallet is already frozen.
        AlreadyFrozen = "ALREADY_FROZEN",
        /// The wallet is not frozen.
        NotFrozen = "NOT_FROZEN",
        /// The balance is less than amount and fee.
        InsufficientBalance = "INSUFFICIENT_BALANCE",
    }
}

/// The event that a deferred command waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "SCREAMING_SNAKE_CASE",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Prerequisite {
    /// The event `SystemBootstrapped`.
    SystemBootstrapped {},
    /// The event `SystemResumed`: the system is paused.
    SystemResumed {},
    /// The event `CountryDataInitialized` with this country.
    Country {
        /// The country's code.
        country_code: CountryCode,
    },
}

impl Prerequisite {
    /// Returns the stable code with which a direct call, which cannot wait, is refused.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SystemBootstrapped {} => "SYSTEM_NOT_BOOTSTRAPPED",
            Self::SystemResumed {} => "SYSTEM_PAUSED",
            Self::Country { .. } => "COUNTRY_UNKNOWN",
        }
    }
}
