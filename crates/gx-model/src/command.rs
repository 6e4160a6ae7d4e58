//! Commands: the changes that the backend can request from the ledger. Services enqueue them, the
//! outbox stores their payloads, and the submitter and the projector read these again. This list is
//! the source for the API, the outbox table, the submitter and the contracts (OUT-02).

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::economics::AGES;
use crate::{
    AccountId, BiometricHash, CommandKind, Country, CountryCode, FabricUserId, Qirat, ReasonCode,
    TxType,
};

/// A command with its complete, typed payload. `OutboxCommand.payload` holds its JSON without the
/// kind: never a name, an address or a credential (OUT-12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    content = "payload",
    rename_all = "SCREAMING_SNAKE_CASE",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Command {
    /// Creates the whole supply in the pools, once.
    BootstrapSystem {},
    /// Adds countries with their shares of world population. Each country is added once.
    InitializeCountryData {
        /// The countries to add.
        countries: Vec<Country>,
    },
    /// Makes the ledger refuse every change except a resume.
    PauseSystem {
        /// The reason of the pause.
        reason_code: ReasonCode,
    },
    /// Ends a pause.
    ResumeSystem {},
    /// Unlocks one country's treasury.
    ActivateTreasury {
        /// The country of the treasury.
        country_code: CountryCode,
    },
    /// Creates a person on the ledger.
    CreateUser {
        /// The id reserved for the person.
        user_id: FabricUserId,
        /// HMAC of the selfie that the reviewer accepted.
        biometric_hash: BiometricHash,
        /// The country; the id contains the same one.
        nationality: CountryCode,
        /// Full years at approval, 0–150.
        #[serde(deserialize_with = "age")]
        age: u8,
    },
    /// Pays a person's one genesis grant, and the treasury's part of it.
    DistributeGenesis {
        /// The person.
        user_id: FabricUserId,
        /// The country whose phase decides the amount.
        nationality: CountryCode,
    },
    /// Transfers money. The payer pays the fee on top of the amount.
    Transfer {
        /// The payer.
        from: AccountId,
        /// The receiver.
        to: AccountId,
        /// The amount that the receiver gets.
        amount: Qirat,
        /// The class that the caller claims; the contract refuses a class that contradicts the
        /// accounts.
        tx_type: Option<TxType>,
    },
    /// Forbids a person to spend.
    FreezeWallet {
        /// The person.
        user_id: FabricUserId,
        /// The reason of the freeze.
        reason_code: ReasonCode,
    },
    /// Allows a person to spend again.
    UnfreezeWallet {
        /// The person.
        user_id: FabricUserId,
    },
}

impl Command {
    /// Returns the kind of the command.
    pub const fn kind(&self) -> CommandKind {
        match self {
            Self::BootstrapSystem {} => CommandKind::BootstrapSystem,
            Self::InitializeCountryData { .. } => CommandKind::InitializeCountryData,
            Self::PauseSystem { .. } => CommandKind::PauseSystem,
            Self::ResumeSystem {} => CommandKind::ResumeSystem,
            Self::ActivateTreasury { .. } => CommandKind::ActivateTreasury,
            Self::CreateUser { .. } => CommandKind::CreateUser,
            Self::DistributeGenesis { .. } => CommandKind::DistributeGenesis,
            Self::Transfer { .. } => CommandKind::Transfer,
            Self::FreezeWallet { .. } => CommandKind::FreezeWallet,
            Self::UnfreezeWallet { .. } => CommandKind::UnfreezeWallet,
        }
    }

    /// Returns the key of the command's aggregate; commands with the same key are sent in order.
    /// The key is a person's id, `treasury_CC`, `SYSTEM` or `SYSTEM_PAUSE`. Pause and resume have a
    /// key of their own, because a command that waits for the resume must not be ahead of the
    /// resume.
    pub fn aggregate_key(&self) -> String {
        match self {
            Self::BootstrapSystem {} | Self::InitializeCountryData { .. } => "SYSTEM".to_owned(),
            Self::PauseSystem { .. } | Self::ResumeSystem {} => "SYSTEM_PAUSE".to_owned(),
            Self::ActivateTreasury { country_code } => {
                AccountId::Treasury(*country_code).to_string()
            }
            Self::CreateUser { user_id, .. }
            | Self::DistributeGenesis { user_id, .. }
            | Self::FreezeWallet { user_id, .. }
            | Self::UnfreezeWallet { user_id } => user_id.to_string(),
            Self::Transfer { from, .. } => from.to_string(),
        }
    }

    /// Returns the accounts that the command may write on the ledger, by id. A country's
    /// counters count as its treasury. Two commands conflict only if their lists overlap.
    pub fn touches(&self) -> Vec<String> {
        match self {
            Self::DistributeGenesis { user_id, nationality } => {
                vec![user_id.to_string(), AccountId::Treasury(*nationality).to_string()]
            }
            Self::Transfer { from, to, .. } => vec![from.to_string(), to.to_string()],
            _ => vec![self.aggregate_key()],
        }
    }

    /// Returns the payload's JSON, without the kind.
    pub fn payload(&self) -> serde_json::Value {
        let mut tagged = serde_json::to_value(self).expect("a command has only text keys");
        tagged["payload"].take()
    }

    /// Parses the payload of a command of this kind.
    ///
    /// # Errors
    /// `serde_json::Error`, which names the field that is missing, unknown or malformed.
    pub fn from_payload(
        kind: CommandKind,
        payload: &serde_json::Value,
    ) -> Result<Self, serde_json::Error> {
        serde_json::from_value(serde_json::json!({ "kind": kind.name(), "payload": payload }))
    }
}

fn age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    let age = u8::deserialize(deserializer)?;
    if AGES.contains(&age) {
        Ok(age)
    } else {
        Err(de::Error::custom("an age is a whole number of years from 0 to 150"))
    }
}
