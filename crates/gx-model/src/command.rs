//! Commands: what the backend may ask of the ledger. This list drives the API, the outbox
//! table, the submitter and the contracts (OUT-02).

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::economics::AGES;
use crate::{
    AccountId, BiometricHash, CommandKind, Country, CountryCode, FabricUserId, Qirat, ReasonCode,
    TxType,
};

/// A command with its complete, typed payload. Its JSON, without the kind, is what
/// `OutboxCommand.payload` holds: never a name, an address or a credential (OUT-12).
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
    /// Writes the countries and their shares of world population, once each.
    InitializeCountryData {
        /// The countries to add.
        countries: Vec<Country>,
    },
    /// Refuses every change but a resume from here on.
    PauseSystem {
        /// Why.
        reason_code: ReasonCode,
    },
    /// Ends a pause.
    ResumeSystem {},
    /// Unlocks one country's treasury.
    ActivateTreasury {
        /// Whose treasury.
        country_code: CountryCode,
    },
    /// Brings a person into existence on the ledger.
    CreateUser {
        /// The id reserved for the person.
        user_id: FabricUserId,
        /// Stands for the accepted selfie.
        biometric_hash: BiometricHash,
        /// The country, which the id names too.
        nationality: CountryCode,
        /// Full years at approval, 0–150.
        #[serde(deserialize_with = "age")]
        age: u8,
    },
    /// Pays the person's one genesis grant and the treasury's part.
    DistributeGenesis {
        /// Who.
        user_id: FabricUserId,
        /// The country whose phase counts.
        nationality: CountryCode,
    },
    /// Moves money; the sender pays the fee on top.
    Transfer {
        /// Who pays.
        from: AccountId,
        /// Who receives.
        to: AccountId,
        /// What the receiver gets.
        amount: Qirat,
        /// Class claimed by the caller; refused where it contradicts the accounts.
        tx_type: Option<TxType>,
    },
    /// Forbids a person to spend.
    FreezeWallet {
        /// Who.
        user_id: FabricUserId,
        /// Why.
        reason_code: ReasonCode,
    },
    /// Allows it again.
    UnfreezeWallet {
        /// Who.
        user_id: FabricUserId,
    },
}

impl Command {
    /// The command's name.
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

    /// What keeps its commands in order: a person's id, `treasury_CC`, `SYSTEM`, or
    /// `SYSTEM_PAUSE`, because what waits for a resume must not stand before the resume.
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

    /// What the command touches on the ledger: accounts by their id, a country's counter as
    /// its treasury. Two commands conflict only where these meet.
    pub fn touches(&self) -> Vec<String> {
        match self {
            Self::DistributeGenesis { user_id, nationality } => {
                vec![user_id.to_string(), AccountId::Treasury(*nationality).to_string()]
            }
            Self::Transfer { from, to, .. } => vec![from.to_string(), to.to_string()],
            _ => vec![self.aggregate_key()],
        }
    }

    /// The payload's JSON, without the kind.
    pub fn payload(&self) -> serde_json::Value {
        let mut tagged = serde_json::to_value(self).expect("a command has only text keys");
        tagged["payload"].take()
    }

    /// The command of that kind with that payload.
    ///
    /// # Errors
    /// Names the missing, unknown or malformed field.
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
