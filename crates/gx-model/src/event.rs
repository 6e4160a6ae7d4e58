//! Domain events: the changes of the ledger. The contracts create them and the projector applies
//! them. An event has the balances **after** the change, so applying it again changes nothing.

use gx_ledger_api::named;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{AccountId, CommandId, Country, CountryCode, FabricUserId, Qirat, ReasonCode, TxType};

/// A change of the ledger. On the wire it is an [`EventRecord`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", content = "data", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum DomainEvent {
    /// The supply was created.
    SystemBootstrapped {
        /// Every pool with its balance at the start; the balances sum to the supply.
        pools: Vec<AccountBalance>,
    },
    /// Countries were added.
    CountryDataInitialized {
        /// The countries that were added.
        countries: Vec<Country>,
    },
    /// The ledger refuses changes from here on.
    SystemPaused {
        /// The reason of the pause.
        reason_code: ReasonCode,
    },
    /// The ledger accepts changes again.
    SystemResumed {},
    /// A treasury may spend from here on.
    TreasuryAccountActivated {
        /// The country of the treasury.
        country_code: CountryCode,
    },
    /// A person was created, with a balance of zero.
    UserCreated {
        /// The person.
        user_id: FabricUserId,
        /// The person's country.
        nationality: CountryCode,
    },
    /// A person's one grant was decided.
    GenesisDistributed {
        /// The person.
        user_id: FabricUserId,
        /// The country whose phase decided the amount.
        nationality: CountryCode,
        /// Phase 1–6; `None` if the grant is 0.
        #[serde(deserialize_with = "present")]
        phase: Option<u8>,
        /// Amount paid to the person.
        amount: Qirat,
        /// Amount paid to the country's treasury.
        treasury_amount: Qirat,
        /// Why the grant is 0; `None` if it is not.
        #[serde(deserialize_with = "present")]
        refusal: Option<GrantRefusal>,
        /// The person's balance after the grant.
        balance: Qirat,
        /// The treasury's balance after the grant.
        treasury_balance: Qirat,
        /// Number of people of the country with a grant, after this one.
        country_users: u64,
        /// Sum paid from SYSTEM_USER_GENESIS_POOL in this country, with this grant.
        country_user_total: Qirat,
        /// Sum paid from SYSTEM_GOVT_GENESIS_POOL in this country, with this grant.
        country_treasury_total: Qirat,
    },
    /// Money was transferred.
    TransferCompleted {
        /// The payer.
        from: AccountId,
        /// The receiver.
        to: AccountId,
        /// The amount that the receiver got.
        amount: Qirat,
        /// The fee that the payer paid on top, for SYSTEM_OPERATIONS_FUND.
        fee: Qirat,
        /// The class that decided the fee; `None` if no class applies.
        #[serde(deserialize_with = "present")]
        tx_type: Option<TxType>,
        /// The payer's balance after the transfer.
        from_balance: Qirat,
        /// The receiver's balance after the transfer.
        to_balance: Qirat,
    },
    /// A person may not spend from here on.
    WalletFrozen {
        /// The person.
        user_id: FabricUserId,
        /// The reason of the freeze.
        reason_code: ReasonCode,
    },
    /// A person may spend again.
    WalletUnfrozen {
        /// The person.
        user_id: FabricUserId,
    },
    /// Command ids were cancelled: they never take effect.
    CommandsCancelled {
        /// The ids that were cancelled.
        command_ids: Vec<CommandId>,
    },
}

/// An account with its balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountBalance {
    /// The account.
    pub account: AccountId,
    /// The balance.
    pub balance: Qirat,
}

named! {
    /// Why a grant is 0.
    pub enum GrantRefusal("no grant is refused for such a reason") {
        /// The person is younger than 13 or older than 73 on the day of the transaction.
        Age = "AGE",
        /// The country has no share of world population.
        NoShare = "NO_SHARE",
        /// The country has used up all phases.
        PhasesUsedUp = "PHASES_USED_UP",
    }
}

impl DomainEvent {
    /// The names of all events that the ledger can emit (PRJ-04).
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

    /// Returns the event's name.
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

    /// Returns the accounts whose state the event sets. If the event becomes a dead letter, later
    /// events of these accounts wait for it.
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

/// Deserializes an optional field whose key must be present; `null` is `None`.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}
