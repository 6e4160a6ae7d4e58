//! What the contracts say in a transaction's one chaincode event.
//!
//! A transaction of `BatchContract:Execute` sets the event named [`BatchEvent::NAME`],
//! whose payload is the JSON of a [`BatchEvent`]: one entry per command, in order, each
//! with its outcome and its domain events. Events carry balances **after** the change, so
//! that applying one is assignment and repeating it changes nothing. A direct call sets the
//! same event with one entry.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::{AccountId, CommandId, Country, CountryCode, FabricUserId, Qirat, ReasonCode, TxType};

/// Everything one transaction did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchEvent {
    /// Version of this form, [`BatchEvent::VERSION`].
    pub version: u32,
    /// One entry per command, in the order of execution.
    pub entries: Vec<BatchEntry>,
}

impl BatchEvent {
    /// The chaincode event's name.
    pub const NAME: &str = "GxBatch";
    /// The version written now.
    pub const VERSION: u32 = 1;
}

/// What became of one command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchEntry {
    /// Which command.
    pub command_id: CommandId,
    /// How it ended.
    pub outcome: EntryOutcome,
    /// What it changed; empty unless applied.
    pub events: Vec<EventRecord>,
}

/// A domain event on the wire: `{"name", "version", "aggregates", "data"}`. It stays JSON
/// until [`EventRecord::decode`], so that one event that cannot be read is a dead letter of
/// its own and does not take its neighbours with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventRecord(Value);

/// Why an event on the wire cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableEvent {
    /// `name`, `version`, `aggregates` or `data` is absent, of another type, or not alone.
    #[error("the event's envelope is malformed: {0}")]
    Envelope(String),
    /// This release knows no event of that name and version.
    #[error("no event {name} of version {version} is known")]
    Unknown {
        /// The event's name.
        name: String,
        /// The event's version.
        version: u64,
    },
    /// The data are not those of this event.
    #[error("the data of {name} are malformed: {reason}")]
    Data {
        /// The event's name.
        name: String,
        /// Which field, and why.
        reason: String,
    },
}

/// The envelope's fields, exactly.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Envelope {
    name: String,
    version: u64,
    #[serde(rename = "aggregates")]
    _aggregates: Vec<String>,
    data: Value,
}

impl EventRecord {
    /// The version of every event written now.
    pub const VERSION: u64 = 1;

    /// An event as it stood on the wire.
    pub fn from_json(json: Value) -> Self {
        Self(json)
    }

    /// The event as it stood on the wire.
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// The event's name, if it can be read.
    pub fn name(&self) -> Option<&str> {
        self.0.get("name")?.as_str()
    }

    /// What the event concerns, if it can be read even though the rest may not be.
    pub fn aggregates(&self) -> Option<Vec<String>> {
        let list = self.0.get("aggregates")?.as_array()?;
        list.iter().map(|key| key.as_str().map(str::to_owned)).collect()
    }

    /// The event itself, read by its name and version.
    ///
    /// # Errors
    /// [`UnreadableEvent`]; an absent field is an error, never a default (PRJ-02).
    pub fn decode(&self) -> Result<DomainEvent, UnreadableEvent> {
        let envelope: Envelope = serde_json::from_value(self.0.clone())
            .map_err(|why| UnreadableEvent::Envelope(why.to_string()))?;
        let Envelope { name, version, data, .. } = envelope;
        if version != Self::VERSION || !DomainEvent::NAMES.contains(&name.as_str()) {
            return Err(UnreadableEvent::Unknown { name, version });
        }
        serde_json::from_value(json!({ "name": name, "data": data }))
            .map_err(|why| UnreadableEvent::Data { name, reason: why.to_string() })
    }
}

impl From<&DomainEvent> for EventRecord {
    fn from(event: &DomainEvent) -> Self {
        let mut json = serde_json::to_value(event).expect("an event has only text keys");
        json["version"] = Self::VERSION.into();
        json["aggregates"] = event.aggregates().iter().map(ToString::to_string).collect();
        Self(json)
    }
}

/// Reads an optional field that must be present, as `null` where there is no value.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// How a command ended in one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "status",
    rename_all = "SCREAMING_SNAKE_CASE",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum EntryOutcome {
    /// Took effect. Final, recorded on chain.
    Applied {},
    /// Refused by a rule. Final, recorded on chain.
    Refused {
        /// Which rule, and why.
        rejection: Rejection,
    },
    /// Nothing written: the command waits for a prerequisite.
    Deferred {
        /// What is missing.
        prerequisite: Prerequisite,
    },
    /// The id is already on chain with the same content: nothing written now.
    Replay {
        /// The transaction in which it first ended.
        tx_id: String,
        /// How it ended then.
        first: Box<EntryOutcome>,
    },
    /// The id is already on chain with other content: nothing written now.
    Mismatch {
        /// The transaction in which the id was first used.
        tx_id: String,
    },
    /// Cancelled before it took effect. Final, recorded on chain.
    Cancelled {},
}

/// A rule's refusal: a stable code, and the particulars for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Which rule.
    pub code: RejectionCode,
    /// What exactly is wrong. Never personal data.
    pub detail: String,
}

/// The rules that refuse a command for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RejectionCode {
    /// Unknown function, wrong argument count or a malformed argument.
    InvalidCommand,
    /// The signer's role does not reach the function.
    RoleRequired,
    /// Bootstrap was done before.
    AlreadyBootstrapped,
    /// The country's facts are on chain already.
    CountryExists,
    /// Shares would sum to more than 10^9.
    SharesExceedTotal,
    /// Already paused.
    AlreadyPaused,
    /// Not paused.
    NotPaused,
    /// The treasury is active already.
    TreasuryActive,
    /// The treasury is locked.
    TreasuryLocked,
    /// The nationality is not the id's country.
    NationalityMismatch,
    /// The user exists already.
    UserExists,
    /// There is no such user or account.
    AccountUnknown,
    /// The user got the one grant before.
    GenesisDone,
    /// Sender and receiver are the same.
    SelfTransfer,
    /// Zero, or too much.
    InvalidAmount,
    /// The claimed class contradicts the accounts.
    TxTypeMismatch,
    /// The payer is frozen.
    AccountFrozen,
    /// The wallet is frozen already.
    AlreadyFrozen,
    /// The wallet is not frozen.
    NotFrozen,
    /// Amount and fee exceed the balance.
    InsufficientBalance,
}

/// What a deferred command waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
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

/// Why a grant is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GrantRefusal {
    /// Younger than 13 or older than 73 on the day.
    Age,
    /// The country has no share of world population.
    NoShare,
    /// All phases of the country are used up.
    PhasesUsedUp,
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
