//! Commands: what the backend may ask of the ledger. This list drives the API, the outbox
//! table, the submitter and the contracts (OUT-02).

use serde::{Deserialize, Serialize};

use crate::{
    AccountId, BiometricHash, Country, CountryCode, FabricUserId, Qirat, ReasonCode, TxType,
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

/// The name of a command, as `OutboxCommand.kind` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "each is the name of a Command variant, documented there")]
pub enum CommandKind {
    BootstrapSystem,
    InitializeCountryData,
    PauseSystem,
    ResumeSystem,
    ActivateTreasury,
    CreateUser,
    DistributeGenesis,
    Transfer,
    FreezeWallet,
    UnfreezeWallet,
}

/// Which of the submitter's identities signs a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignerRole {
    /// `gx_partner_api`
    PartnerApi,
    /// `gx_admin`
    Admin,
    /// `gx_super_admin`
    SuperAdmin,
}

/// A command as a contract call: the function's qualified name and its text arguments,
/// without the command id that every mutating call carries last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandCall {
    /// `Contract:Function`.
    pub function: String,
    /// The arguments, in the function's order.
    pub args: Vec<String>,
}

/// Why a contract call is no command: what is wrong with which argument.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommand {
    /// No mutating function has this name.
    #[error("there is no function {0}")]
    UnknownFunction(String),
    /// The function takes another number of arguments.
    #[error("{function} takes {expected} arguments, not {given}")]
    ArgumentCount {
        /// The function called.
        function: &'static str,
        /// Arguments it takes, the command id not counted.
        expected: usize,
        /// Arguments given.
        given: usize,
    },
    /// An argument is not of its type.
    #[error("argument {argument} of {function}: {reason}")]
    Argument {
        /// The function called.
        function: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// What is wrong and what is right.
        reason: String,
    },
}

impl CommandKind {
    /// Every kind there is.
    pub const ALL: [Self; 10] = [
        Self::BootstrapSystem,
        Self::InitializeCountryData,
        Self::PauseSystem,
        Self::ResumeSystem,
        Self::ActivateTreasury,
        Self::CreateUser,
        Self::DistributeGenesis,
        Self::Transfer,
        Self::FreezeWallet,
        Self::UnfreezeWallet,
    ];

    /// The name in SQL and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BootstrapSystem => "BOOTSTRAP_SYSTEM",
            Self::InitializeCountryData => "INITIALIZE_COUNTRY_DATA",
            Self::PauseSystem => "PAUSE_SYSTEM",
            Self::ResumeSystem => "RESUME_SYSTEM",
            Self::ActivateTreasury => "ACTIVATE_TREASURY",
            Self::CreateUser => "CREATE_USER",
            Self::DistributeGenesis => "DISTRIBUTE_GENESIS",
            Self::Transfer => "TRANSFER",
            Self::FreezeWallet => "FREEZE_WALLET",
            Self::UnfreezeWallet => "UNFREEZE_WALLET",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The contract function that carries it out.
    pub const fn function(self) -> &'static str {
        match self {
            Self::BootstrapSystem => "AdminContract:BootstrapSystem",
            Self::InitializeCountryData => "AdminContract:InitializeCountryData",
            Self::PauseSystem => "AdminContract:PauseSystem",
            Self::ResumeSystem => "AdminContract:ResumeSystem",
            Self::ActivateTreasury => "AdminContract:ActivateTreasuryAccount",
            Self::CreateUser => "IdentityContract:CreateUser",
            Self::DistributeGenesis => "TokenomicsContract:DistributeGenesis",
            Self::Transfer => "TokenomicsContract:TransferWithFees",
            Self::FreezeWallet => "TokenomicsContract:FreezeWallet",
            Self::UnfreezeWallet => "TokenomicsContract:UnfreezeWallet",
        }
    }

    /// The least role that may call it, and the one the submitter signs with unless that is
    /// less than admin.
    pub const fn role(self) -> SignerRole {
        match self {
            Self::BootstrapSystem
            | Self::InitializeCountryData
            | Self::PauseSystem
            | Self::ResumeSystem => SignerRole::SuperAdmin,
            Self::ActivateTreasury
            | Self::DistributeGenesis
            | Self::FreezeWallet
            | Self::UnfreezeWallet => SignerRole::Admin,
            Self::CreateUser | Self::Transfer => SignerRole::PartnerApi,
        }
    }

    /// Names of the arguments, the command id left out.
    pub const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::BootstrapSystem | Self::ResumeSystem => &[],
            Self::InitializeCountryData => &["countries"],
            Self::PauseSystem => &["reasonCode"],
            Self::ActivateTreasury => &["countryCode"],
            Self::CreateUser => &["userID", "biometricHash", "nationality", "age"],
            Self::DistributeGenesis => &["userID", "nationality"],
            Self::Transfer => &["fromID", "toID", "amount", "txType"],
            Self::FreezeWallet => &["userID", "reasonCode"],
            Self::UnfreezeWallet => &["userID"],
        }
    }
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

    /// What keeps its commands in order: a person's id, `treasury_CC`, or `SYSTEM`.
    pub fn aggregate_key(&self) -> String {
        match self {
            Self::BootstrapSystem {}
            | Self::InitializeCountryData { .. }
            | Self::PauseSystem { .. }
            | Self::ResumeSystem {} => "SYSTEM".to_owned(),
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

    /// The contract call that carries it out.
    pub fn call(&self) -> CommandCall {
        let args = match self {
            Self::BootstrapSystem {} | Self::ResumeSystem {} => vec![],
            Self::InitializeCountryData { countries } => {
                vec![serde_json::to_string(countries).expect("countries have only text keys")]
            }
            Self::PauseSystem { reason_code } => vec![reason_code.to_string()],
            Self::ActivateTreasury { country_code } => vec![country_code.to_string()],
            Self::CreateUser { user_id, biometric_hash, nationality, age } => vec![
                user_id.to_string(),
                biometric_hash.to_string(),
                nationality.to_string(),
                age.to_string(),
            ],
            Self::DistributeGenesis { user_id, nationality } => {
                vec![user_id.to_string(), nationality.to_string()]
            }
            Self::Transfer { from, to, amount, tx_type } => vec![
                from.to_string(),
                to.to_string(),
                amount.to_string(),
                tx_type.map(|class| class.name().to_owned()).unwrap_or_default(),
            ],
            Self::FreezeWallet { user_id, reason_code } => {
                vec![user_id.to_string(), reason_code.to_string()]
            }
            Self::UnfreezeWallet { user_id } => vec![user_id.to_string()],
        };
        CommandCall { function: self.kind().function().to_owned(), args }
    }
}

/// Parses a contract call, each argument by its type.
impl TryFrom<&CommandCall> for Command {
    type Error = InvalidCommand;

    fn try_from(call: &CommandCall) -> Result<Self, InvalidCommand> {
        let kind = CommandKind::ALL
            .into_iter()
            .find(|kind| kind.function() == call.function)
            .ok_or_else(|| InvalidCommand::UnknownFunction(call.function.clone()))?;
        let args = Arguments { kind, values: &call.args };
        args.check_count()?;
        Ok(match kind {
            CommandKind::BootstrapSystem => Self::BootstrapSystem {},
            CommandKind::InitializeCountryData => {
                let countries = serde_json::from_str(&call.args[0]);
                Self::InitializeCountryData { countries: args.typed(0, countries)? }
            }
            CommandKind::PauseSystem => Self::PauseSystem { reason_code: args.parse(0)? },
            CommandKind::ResumeSystem => Self::ResumeSystem {},
            CommandKind::ActivateTreasury => Self::ActivateTreasury { country_code: args.parse(0)? },
            CommandKind::CreateUser => Self::CreateUser {
                user_id: args.parse(0)?,
                biometric_hash: args.parse(1)?,
                nationality: args.parse(2)?,
                age: args.age(3)?,
            },
            CommandKind::DistributeGenesis => {
                Self::DistributeGenesis { user_id: args.parse(0)?, nationality: args.parse(1)? }
            }
            CommandKind::Transfer => Self::Transfer {
                from: args.parse(0)?,
                to: args.parse(1)?,
                amount: args.parse(2)?,
                tx_type: if call.args[3].is_empty() { None } else { Some(args.parse(3)?) },
            },
            CommandKind::FreezeWallet => {
                Self::FreezeWallet { user_id: args.parse(0)?, reason_code: args.parse(1)? }
            }
            CommandKind::UnfreezeWallet => Self::UnfreezeWallet { user_id: args.parse(0)? },
        })
    }
}

/// The arguments of one call, read by position and reported by name.
struct Arguments<'a> {
    kind: CommandKind,
    values: &'a [String],
}

impl Arguments<'_> {
    fn check_count(&self) -> Result<(), InvalidCommand> {
        let expected = self.kind.arguments().len();
        if self.values.len() == expected {
            return Ok(());
        }
        let function = self.kind.function();
        Err(InvalidCommand::ArgumentCount { function, expected, given: self.values.len() })
    }

    fn parse<T: std::str::FromStr>(&self, at: usize) -> Result<T, InvalidCommand>
    where
        T::Err: std::fmt::Display,
    {
        self.typed(at, self.values[at].parse())
    }

    fn age(&self, at: usize) -> Result<u8, InvalidCommand> {
        let canonical = |age: &u8| age.to_string() == self.values[at] && *age <= 150;
        let age = self.values[at].parse().ok().filter(canonical);
        self.typed(at, age.ok_or("an age is a whole number of years from 0 to 150"))
    }

    fn typed<T, E: std::fmt::Display>(
        &self,
        at: usize,
        value: Result<T, E>,
    ) -> Result<T, InvalidCommand> {
        value.map_err(|why| InvalidCommand::Argument {
            function: self.kind.function(),
            argument: self.kind.arguments()[at],
            reason: why.to_string(),
        })
    }
}
