//! Failures of calls to the ledger, by phase and by what can be done about them.
//!
//! Every call that fails returns a [`LedgerError`]. The gateway calls decide by its class whether
//! to ask the next peer, the submitter whether to try or send again, and health checks show its
//! text.

mod cause;
mod classify;

use gx_fabric_proto::gateway::ErrorDetail;
use gx_fabric_proto::{ERROR_DETAIL_TYPE_URL, google};
use prost::Message;
use tonic::{Code, Status};

use crate::connect::{self, ConnectFault, TransportFailure};
use crate::outcome_class::OutcomeClass;
pub use cause::Cause;
use classify::{Judgement, judge};

/// The phase of a call in which it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Making the connection: nothing was sent.
    Connect,
    /// Calling the chaincode without a transaction.
    Evaluate,
    /// Collecting endorsements: no transaction exists.
    Endorse,
    /// Submitting the envelope to the orderer.
    Submit,
    /// Waiting for a transaction's validation code.
    CommitStatus,
    /// Reading blocks.
    Stream,
}

impl Phase {
    /// Returns the phase, as in metric labels and log fields.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Evaluate => "evaluate",
            Self::Endorse => "endorse",
            Self::Submit => "submit",
            Self::CommitStatus => "commit_status",
            Self::Stream => "stream",
        }
    }
}

/// The error of one peer or orderer behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndorserDetail {
    /// The address of the server.
    pub address: String,
    /// The server's organisation.
    pub msp_id: String,
    /// The server's message.
    pub message: String,
}

/// A failed call to the ledger.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", self.describe())]
pub struct LedgerError {
    /// The phase in which the call failed.
    pub phase: Phase,
    /// What can be done about it.
    pub class: OutcomeClass,
    /// The gRPC code. It is often misleading; use `class`.
    pub code: Code,
    /// The message of the answer.
    pub message: String,
    /// The errors of peers and orderers behind the gateway.
    pub details: Vec<EndorserDetail>,
    /// The endpoint that was called; `None` if the call was not made.
    pub peer: Option<String>,
    /// Why there was no connection; `None` if there was one.
    pub connect: Option<ConnectFault>,
    /// The setting or state that must be corrected, if the answer names one.
    pub cause: Option<Cause>,
    /// Whether the orderer refuses these bytes finally. If no peer has the transaction, the attempt
    /// can be abandoned.
    pub orderer_refused: bool,
}

impl LedgerError {
    /// Returns an error that the client itself detected.
    pub(crate) fn local(phase: Phase, class: OutcomeClass, message: impl Into<String>) -> Self {
        let code = match class {
            OutcomeClass::Unavailable => Code::Unavailable,
            OutcomeClass::Unknown => Code::DeadlineExceeded,
            _ => Code::FailedPrecondition,
        };
        Self {
            phase,
            class,
            code,
            message: message.into(),
            details: Vec::new(),
            peer: None,
            connect: None,
            cause: None,
            orderer_refused: false,
        }
    }

    /// Returns the error of a call that exceeded the client's own timeout.
    pub(crate) fn timed_out(phase: Phase) -> Self {
        Self::from_status(phase, &Status::deadline_exceeded("no answer within the time allowed"))
    }

    /// Reads a gRPC status with the details that Fabric adds to it.
    pub(crate) fn from_status(phase: Phase, status: &Status) -> Self {
        let inner = connect::transport_failure(status);
        if let Some(TransportFailure { text, fault: Some(fault) }) = inner {
            return Self {
                code: status.code(),
                connect: Some(fault),
                ..Self::local(Phase::Connect, fault.class(), text)
            };
        }
        let details = decode_details(status.details());
        let Judgement { class, cause, orderer_refused } =
            judge(phase, status.code(), status.message(), &details);
        Self {
            phase,
            class,
            code: status.code(),
            message: inner.map_or_else(|| status.message().to_owned(), |inner| inner.text),
            details,
            peer: None,
            connect: None,
            cause,
            orderer_refused,
        }
    }

    /// Returns this error with the endpoint that was called.
    pub(crate) fn at(mut self, peer: &str) -> Self {
        self.peer = Some(peer.to_owned());
        self
    }

    pub(crate) fn because(mut self, cause: Cause) -> Self {
        self.cause = Some(cause);
        self
    }

    /// Returns the kind of failure, the same in metrics, logs and health checks: the connection
    /// fault, the cause, or else the class.
    pub fn kind(&self) -> &'static str {
        match (self.connect, self.cause) {
            (Some(fault), _) => fault.name(),
            (None, Some(cause)) => cause.name(),
            (None, None) => self.class.name(),
        }
    }

    /// Logs that a step failed because the ledger cannot be reached; both workers call it.
    pub fn log_unreachable(&self) {
        let (phase, kind) = (self.phase.name(), self.kind());
        tracing::warn!(
            error = %self, phase, class = kind,
            "the ledger cannot be reached: {kind} in {phase}"
        );
    }

    /// Returns phase, kind and peer, which a health check shows in addition to the text.
    pub fn labels(&self) -> serde_json::Value {
        serde_json::json!({
            "phase": self.phase.name(), "class": self.kind(), "peer": self.peer,
        })
    }

    /// Returns the chaincode's status if the chaincode refused: 400 for a rule, 500 for a failure
    /// in the contract.
    pub fn chaincode_status(&self) -> Option<i32> {
        classify::chaincode_status(&self.message)
            .or_else(|| self.details.iter().find_map(|d| classify::chaincode_status(&d.message)))
    }

    /// Returns what an operator can check, or `None` if neither connection nor cause tells.
    pub fn hint(&self) -> Option<&'static str> {
        match self.connect {
            Some(fault) => Some(fault.hint()),
            None => self.cause.map(Cause::hint),
        }
    }

    fn describe(&self) -> String {
        let mut text = format!("{} failed ({})", self.phase.name(), self.class.name());
        if let Some(peer) = &self.peer {
            text.push_str(&format!(" at {peer}"));
        }
        text.push_str(&format!(": {}", self.message));
        for detail in &self.details {
            text.push_str(&format!("; {} {}: {}", detail.msp_id, detail.address, detail.message));
        }
        if let Some(hint) = self.hint() {
            text.push_str(&format!(" ({hint})"));
        }
        text
    }
}

/// Returns the errors of other nodes in a status; empty if they cannot be read.
fn decode_details(bytes: &[u8]) -> Vec<EndorserDetail> {
    let Ok(status) = google::rpc::Status::decode(bytes) else {
        return Vec::new();
    };
    status
        .details
        .iter()
        .filter(|any| any.type_url == ERROR_DETAIL_TYPE_URL)
        .filter_map(|any| ErrorDetail::decode(any.value.as_slice()).ok())
        .map(|detail| EndorserDetail {
            address: detail.address,
            msp_id: detail.msp_id,
            message: detail.message,
        })
        .collect()
}

#[cfg(test)]
mod tests;
