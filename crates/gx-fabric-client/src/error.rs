//! Failures of the ledger, typed by phase and by what can be done about them.

mod cause;
mod classify;

use gx_fabric_proto::gateway::ErrorDetail;
use gx_fabric_proto::{ERROR_DETAIL_TYPE_URL, google};
use prost::Message;
use tonic::{Code, Status};

use crate::connect::{self, ConnectFault, TransportStory};
pub use cause::Cause;
use classify::{Judgement, judge};

/// Where in the life of a call it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// No connection could be made: nothing was sent.
    Connect,
    /// Asking the chaincode, without a transaction.
    Evaluate,
    /// Collecting endorsements: there is no transaction.
    Endorse,
    /// Handing the envelope to the orderer.
    Submit,
    /// Asking for a transaction's validation code.
    CommitStatus,
    /// Reading blocks.
    Stream,
}

impl Phase {
    /// The phase as metric labels and log fields write it.
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

/// What can be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutcomeClass {
    /// The contract, or the orderer, said no to this content.
    Refused,
    /// Peers saw different states: propose anew.
    Conflict,
    /// It may have happened: send the same bytes again.
    Unknown,
    /// Nobody can serve it now: wait and try again.
    Unavailable,
    /// It will fail until somebody changes a setting.
    Misconfigured,
}

impl OutcomeClass {
    /// The class as metric labels and log fields write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Conflict => "conflict",
            Self::Unknown => "unknown",
            Self::Unavailable => "unavailable",
            Self::Misconfigured => "misconfigured",
        }
    }
}

/// What one peer or orderer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndorserDetail {
    /// Its address.
    pub address: String,
    /// Its organisation.
    pub msp_id: String,
    /// Its words.
    pub message: String,
}

/// A failed call to the ledger.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", self.describe())]
pub struct LedgerError {
    /// Where it failed.
    pub phase: Phase,
    /// What can be done about it.
    pub class: OutcomeClass,
    /// The gRPC code, misleading as it often is.
    pub code: Code,
    /// The answer's own message.
    pub message: String,
    /// What the peers and orderers behind the gateway said.
    pub details: Vec<EndorserDetail>,
    /// The endpoint that was asked, if any was.
    pub peer: Option<String>,
    /// Why there was no connection, if that was it.
    pub connect: Option<ConnectFault>,
    /// What must be set right, where the answer tells.
    pub cause: Option<Cause>,
    /// The orderer refuses these bytes for good. If no peer has the transaction, the
    /// attempt can be abandoned.
    pub orderer_refused: bool,
}

impl LedgerError {
    /// An error that the client itself found.
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

    /// The local clock ended the call.
    pub(crate) fn timed_out(phase: Phase) -> Self {
        Self::from_status(phase, &Status::deadline_exceeded("no answer within the time allowed"))
    }

    /// Reads a gRPC status, with the details that Fabric hides in it.
    pub(crate) fn from_status(phase: Phase, status: &Status) -> Self {
        let story = connect::story_of(status);
        if let Some(TransportStory { text, fault: Some(fault) }) = story {
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
            message: story.map_or_else(|| status.message().to_owned(), |story| story.text),
            details,
            peer: None,
            connect: None,
            cause,
            orderer_refused,
        }
    }

    pub(crate) fn at(mut self, peer: &str) -> Self {
        self.peer = Some(peer.to_owned());
        self
    }

    pub(crate) fn because(mut self, cause: Cause) -> Self {
        self.cause = Some(cause);
        self
    }

    /// The failure in one word, the same in metrics, logs and health checks: the connection's
    /// fault, what must be set right, or else the class.
    pub fn kind(&self) -> &'static str {
        match (self.connect, self.cause) {
            (Some(fault), _) => fault.name(),
            (None, Some(cause)) => cause.name(),
            (None, None) => self.class.name(),
        }
    }

    /// Phase, kind and peer, as a health check shows them beside the words.
    pub fn labels(&self) -> serde_json::Value {
        serde_json::json!({
            "phase": self.phase.name(), "class": self.kind(), "peer": self.peer,
        })
    }

    /// The chaincode's status, if it was the chaincode that refused: 400 for a rule, 500
    /// for a failure inside the contract.
    pub fn chaincode_status(&self) -> Option<i32> {
        classify::chaincode_status(&self.message)
            .or_else(|| self.details.iter().find_map(|d| classify::chaincode_status(&d.message)))
    }

    /// What a person should look at.
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
