//! The errors that end a whole call or one command of it. [`crate::invoke`] makes a [`CallError`]
//! the response; [`crate::batch`] makes a [`Stop`] the outcome of the command.

use gx_model::{Prerequisite, Rejection, RejectionCode};

use crate::{Response, StateError};

/// An error that ends the call; no transaction is created.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The call is refused, with a stable code.
    Refused { status: i32, code: &'static str, detail: String },
    /// The state has a value that this contract does not write.
    Damaged(String),
    /// The state cannot be read.
    State(StateError),
}

/// The result of a call.
pub(crate) type CallResult = Result<Response, CallError>;

/// An error that ends one command. The other commands of the batch go on, unless the state is
/// damaged.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The command is refused finally.
    Refused(Rejection),
    /// The command waits for a prerequisite.
    Deferred(Prerequisite),
    /// The state is damaged, which ends the whole call.
    Damaged(Damaged),
}

/// Error: the state has a value that this contract does not write.
#[derive(Debug)]
pub(crate) struct Damaged(pub(crate) String);

impl CallError {
    pub(crate) fn refused(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Refused { status: Response::REFUSED, code, detail: detail.into() }
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::refused(RejectionCode::InvalidCommand.name(), detail)
    }

    pub(crate) fn rejected(rejection: Rejection) -> Self {
        Self::refused(rejection.code.name(), rejection.detail)
    }

    pub(crate) fn not_yet(prerequisite: &Prerequisite) -> Self {
        let detail = match prerequisite {
            Prerequisite::SystemBootstrapped {} => "the supply does not exist yet".to_owned(),
            Prerequisite::SystemResumed {} => "changes are stopped until a resume".to_owned(),
            Prerequisite::Country { country_code } => {
                format!("the ledger does not know the country {country_code} yet")
            }
        };
        Self::refused(prerequisite.code(), detail)
    }
}

impl Stop {
    pub(crate) fn refused(code: RejectionCode, detail: impl Into<String>) -> Self {
        Self::Refused(Rejection { code, detail: detail.into() })
    }
}

impl From<StateError> for CallError {
    fn from(why: StateError) -> Self {
        Self::State(why)
    }
}

impl From<Damaged> for CallError {
    fn from(Damaged(why): Damaged) -> Self {
        Self::Damaged(why)
    }
}

impl From<Damaged> for Stop {
    fn from(why: Damaged) -> Self {
        Self::Damaged(why)
    }
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}
