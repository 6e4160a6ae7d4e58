//! What a failed endorsement says about the commands of its batch. Called by `submitter::send` and
//! `submitter::witness`, which charge, split or back off accordingly.

use std::time::Duration;

use gx_fabric_client::{LedgerError, OutcomeClass, Phase};
use gx_outbox::failure::FailureClass;

use crate::outage::MAX_PROBE_WAIT;
use crate::shared_state::MAX_BACKOFF;

/// Why a batch was not endorsed, as far as it decides what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndorseFailure {
    /// No connection was made, so no peer was asked.
    NoConnection,
    /// No peer can serve, or a setting is wrong. The submitter backs off.
    Unavailable,
    /// No answer came. The submitter backs off, and a batch of several commands is tried in halves
    /// next time.
    Unanswered,
    /// The endorsements of the peers differ.
    Differs,
    /// The contract refused the batch. If it has several commands, each half is tried at once.
    Refused(FailureClass),
}

impl EndorseFailure {
    /// Classifies an error of an endorsement.
    pub(crate) fn of(error: &LedgerError) -> Self {
        match (error.class, error.chaincode_status()) {
            _ if error.phase == Phase::Connect => Self::NoConnection,
            // A signer without the role is a wrong setting, and no command's fault.
            (OutcomeClass::Refused, Some(403)) => Self::Unavailable,
            // A failure inside the contract usually comes from the state database.
            (OutcomeClass::Refused, Some(500..)) => Self::Refused(FailureClass::Unavailable),
            (OutcomeClass::Refused, _) => Self::Refused(FailureClass::Refused),
            (OutcomeClass::Conflict, _) => Self::Differs,
            (OutcomeClass::Unknown, _) => Self::Unanswered,
            (OutcomeClass::Unavailable | OutcomeClass::Misconfigured, _) => Self::Unavailable,
        }
    }

    /// Returns the class that a command is charged with if it caused the failure.
    pub(crate) fn class(self) -> FailureClass {
        match self {
            Self::NoConnection | Self::Unavailable => FailureClass::Unavailable,
            Self::Unanswered => FailureClass::Unknown,
            Self::Differs => FailureClass::Conflict,
            Self::Refused(class) => class,
        }
    }

    /// Returns the longest wait between two probes if everything fails in this way, or `None` if
    /// the submitter backs off at once.
    pub(crate) fn max_wait(self) -> Option<Duration> {
        match self {
            Self::NoConnection | Self::Unavailable | Self::Unanswered => None,
            // The state database may be back soon.
            Self::Refused(FailureClass::Unavailable) => Some(MAX_BACKOFF),
            Self::Refused(_) | Self::Differs => Some(MAX_PROBE_WAIT),
        }
    }
}
