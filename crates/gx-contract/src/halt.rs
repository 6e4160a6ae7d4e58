//! Why a call as a whole, or one command of it, goes no further.

use gx_model::{Prerequisite, Rejection, RejectionCode};

use crate::{Response, StateError};

/// Ends a call: no transaction comes of it.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Against the rules, with a stable code.
    Refused { status: i32, code: &'static str, detail: String },
    /// A value in the state is not what this contract writes.
    Damaged(String),
    /// The state could not be read.
    State(StateError),
}

/// Ends one command; its neighbours in the batch are not concerned.
#[derive(Debug)]
pub(crate) enum Stop {
    /// For good.
    Refused(Rejection),
    /// For now.
    Deferred(Prerequisite),
    /// Ends the call.
    Damaged(Damaged),
}

/// A value in the state is not what this contract writes.
#[derive(Debug)]
pub(crate) struct Damaged(pub(crate) String);

impl Halt {
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

impl From<StateError> for Halt {
    fn from(why: StateError) -> Self {
        Self::State(why)
    }
}

impl From<Damaged> for Halt {
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
