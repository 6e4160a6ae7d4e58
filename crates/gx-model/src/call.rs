//! Converts commands into contract calls, for the submitter's batches, and parses contract calls,
//! for the contracts. The contracts refuse a command whose call cannot be parsed.

use crate::economics::AGES;
use crate::{Command, CommandKind};

/// A command as a contract call. The command id, which is the last argument of every mutating call,
/// is not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandCall {
    /// `Contract:Function`.
    pub function: String,
    /// The arguments, in the function's order.
    pub args: Vec<String>,
}

/// Why a contract call is not a valid command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommand {
    /// No mutating function has this name.
    #[error("there is no function {0}")]
    UnknownFunction(String),
    /// The number of arguments is wrong.
    #[error("{function} takes {expected} arguments, not {given}")]
    ArgumentCount {
        /// The function called.
        function: &'static str,
        /// Number of arguments that the function takes, without the command id.
        expected: usize,
        /// Number of arguments that were given.
        given: usize,
    },
    /// An argument cannot be parsed as its type.
    #[error("argument {argument} of {function}: {reason}")]
    Argument {
        /// The function called.
        function: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// Why the argument is invalid.
        reason: String,
    },
}

impl Command {
    /// Returns the contract call that carries out the command.
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
        let kind = CommandKind::from_function(&call.function)
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
            CommandKind::ActivateTreasury => {
                Self::ActivateTreasury { country_code: args.parse(0)? }
            }
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
        let canonical = |age: &u8| age.to_string() == self.values[at] && AGES.contains(age);
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
