//! Changes of the ledger. Events carry balances **after** the change, so that applying one
//! is assignment and repeating it changes nothing.

use serde::{Deserialize, Deserializer, Serialize};

use crate::named::named;
use crate::{AccountId, CommandId, Country, CountryCode, FabricUserId, Qirat, ReasonCode, TxType};

/// A change of the ledger, in the words of the business. On the wire it is an
/// [`EventRecord`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", content = "data", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum DomainEvent {
    /// The supply exists.
    SystemBootstrapped {
        /// Every pool with its start balance; they sum to the supply.
        pools: Vec<AccountBalance>,
    },
    /// Countries became known.
    CountryDataInitialized {
        /// The countries added.
        countries: Vec<Country>,
    },
    /// Changes are refused from here on.
    SystemPaused {
        /// Why.
        reason_code: ReasonCode,
    },
    /// Changes are possible again.
    SystemResumed {},
    /// A treasury may spend.
    TreasuryAccountActivated {
        /// Whose.
        country_code: CountryCode,
    },
    /// A person exists on the ledger, with a balance of zero.
    UserCreated {
        /// Who.
        user_id: FabricUserId,
        /// The country.
        nationality: CountryCode,
    },
    /// The person's one grant was decided.
    GenesisDistributed {
        /// Who.
        user_id: FabricUserId,
        /// The country whose phase counted.
        nationality: CountryCode,
        /// Phase 1–6; `None` where the grant is 0.
        #[serde(deserialize_with = "present")]
        phase: Option<u8>,
        /// Paid to the person.
        amount: Qirat,
        /// Paid to the country's treasury.
        treasury_amount: Qirat,
        /// Why the grant is 0; `None` where it is not.
        #[serde(deserialize_with = "present")]
        refusal: Option<GrantRefusal>,
        /// The person's balance after.
        balance: Qirat,
        /// The treasury's balance after.
        treasury_balance: Qirat,
        /// The country's counters after: people granted so far.
        country_users: u64,
        /// Sum paid from SYSTEM_USER_GENESIS_POOL in this country so far.
        country_user_total: Qirat,
        /// Sum paid from SYSTEM_GOVT_GENESIS_POOL in this country so far.
        country_treasury_total: Qirat,
    },
    /// Money moved.
    TransferCompleted {
        /// Who paid.
        from: AccountId,
        /// Who received.
        to: AccountId,
        /// What the receiver got.
        amount: Qirat,
        /// What the payer paid on top, credited to SYSTEM_OPERATIONS_FUND.
        fee: Qirat,
        /// The class that decided the fee; `None` where none applies.
        #[serde(deserialize_with = "present")]
        tx_type: Option<TxType>,
        /// The payer's balance after.
        from_balance: Qirat,
        /// The receiver's balance after.
        to_balance: Qirat,
    },
    /// A person may not spend.
    WalletFrozen {
        /// Who.
        user_id: FabricUserId,
        /// Why.
        reason_code: ReasonCode,
    },
    /// A person may spend again.
    WalletUnfrozen {
        /// Who.
        user_id: FabricUserId,
    },
    /// These ids will never take effect.
    CommandsCancelled {
        /// The ids fenced off.
        command_ids: Vec<CommandId>,
    },
}

/// An account and what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountBalance {
    /// Whose.
    pub account: AccountId,
    /// How much.
    pub balance: Qirat,
}

named! {
    /// Why a grant is 0.
    pub enum GrantRefusal("no grant is refused for such a reason") {
        /// Younger than 13 or older than 73 on the day.
        Age = "AGE",
        /// The country has no share of world population.
        NoShare = "NO_SHARE",
        /// All phases of the country are used up.
        PhasesUsedUp = "PHASES_USED_UP",
    }
}

impl DomainEvent {
    /// Every name the ledger can emit (PRJ-04).
    pub const NAMES: [&str; 11] = [
        "SystemBootstrapped",
        "CountryDataInitialized",
        "SystemPaused",
        "SystemResumed",
        "TreasuryAccountActivated",
        "UserCreated",
        "GenesisDistributed",
        "TransferCompleted",
        "WalletFrozen",
        "WalletUnfrozen",
        "CommandsCancelled",
    ];

    /// The event's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SystemBootstrapped { .. } => "SystemBootstrapped",
            Self::CountryDataInitialized { .. } => "CountryDataInitialized",
            Self::SystemPaused { .. } => "SystemPaused",
            Self::SystemResumed {} => "SystemResumed",
            Self::TreasuryAccountActivated { .. } => "TreasuryAccountActivated",
            Self::UserCreated { .. } => "UserCreated",
            Self::GenesisDistributed { .. } => "GenesisDistributed",
            Self::TransferCompleted { .. } => "TransferCompleted",
            Self::WalletFrozen { .. } => "WalletFrozen",
            Self::WalletUnfrozen { .. } => "WalletUnfrozen",
            Self::CommandsCancelled { .. } => "CommandsCancelled",
        }
    }

    /// The accounts whose state the event assigns: what a dead letter of it holds back.
    pub fn aggregates(&self) -> Vec<AccountId> {
        match self {
            Self::SystemBootstrapped { pools } => {
                pools.iter().map(|pool| pool.account.clone()).collect()
            }
            Self::TreasuryAccountActivated { country_code } => {
                vec![AccountId::Treasury(*country_code)]
            }
            Self::UserCreated { user_id, .. }
            | Self::WalletFrozen { user_id, .. }
            | Self::WalletUnfrozen { user_id } => vec![AccountId::User(user_id.clone())],
            Self::GenesisDistributed { user_id, nationality, .. } => {
                vec![AccountId::User(user_id.clone()), AccountId::Treasury(*nationality)]
            }
            Self::TransferCompleted { from, to, .. } => vec![from.clone(), to.clone()],
            Self::CountryDataInitialized { .. }
            | Self::SystemPaused { .. }
            | Self::SystemResumed {}
            | Self::CommandsCancelled { .. } => vec![],
        }
    }
}

/// Reads an optional field that must be present, as `null` where there is no value.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}
