//! Findings: problems of the ledger configuration.
//!
//! `profile`, `preflight` and `pinned` make them. The commands of `gx` that use a ledger log them
//! and do not start after a [`Severity::Refused`]; later they are shown in the health check
//! `ledgerSettings`.

use std::fmt;

use gx_fabric_proto::PemError;
use serde::Serialize;

use crate::config::ConfigError;
use crate::error::LedgerError;
use crate::identity::IdentityError;
use crate::outcome_class::OutcomeClass;

/// Whether a finding prevents the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It fails until an operator changes a setting: no start.
    Refused,
    /// It may resolve by itself: start, and try again.
    Waiting,
    /// It works, but an operator must check it.
    Warning,
}

/// One problem of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether the finding prevents the start.
    pub severity: Severity,
    /// The kind of finding; stable across releases.
    pub code: &'static str,
    /// The setting to check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setting: Option<String>,
    /// The signer that the finding is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The peer that the finding is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Finding {
    pub(crate) fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { severity, code, setting: None, identity: None, peer: None, message }
    }

    pub(crate) fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Refused, code, message)
    }

    pub(crate) fn in_setting(self, setting: impl Into<String>) -> Self {
        Self { setting: Some(setting.into()), ..self }
    }

    pub(crate) fn of_identity(self, identity: impl Into<String>) -> Self {
        Self { identity: Some(identity.into()), ..self }
    }

    pub(crate) fn at_peer(self, peer: impl Into<String>) -> Self {
        Self { peer: Some(peer.into()), ..self }
    }

    /// Returns the finding of a failed call.
    pub(crate) fn from_error(error: &LedgerError) -> Self {
        let severity = match error.class {
            OutcomeClass::Misconfigured => Severity::Refused,
            OutcomeClass::Refused
            | OutcomeClass::Conflict
            | OutcomeClass::Unknown
            | OutcomeClass::Unavailable => Severity::Waiting,
        };
        let finding = Self::new(severity, error.kind(), error.to_string());
        Self { peer: error.peer.clone(), ..finding }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(setting) = &self.setting {
            write!(f, ", {setting}")?;
        }
        if let Some(identity) = &self.identity {
            write!(f, ", {identity}")?;
        }
        if let Some(peer) = self.peer.as_ref().filter(|peer| !self.message.contains(*peer)) {
            write!(f, ", peer {peer}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl ConfigError {
    /// Returns the error as a finding that prevents the start.
    pub fn finding(&self) -> Finding {
        let code = match self {
            Self::NoPeers | Self::NoOwnPeer { .. } => "no_own_peer",
            Self::Unnamed(_) => "name_missing",
            Self::Endpoint { .. } => "endpoint_malformed",
            Self::LiteralAddress { .. } => "literal_address",
            Self::TlsRoot { .. } => "tls_root_unreadable",
            Self::TlsRootHoldsKey { .. } => PemError::CertificateHoldsKey.code(),
            Self::Tls { .. } => "tls_settings",
            Self::ClientTls(error) => error.code(),
            Self::ZeroLimit(_) => "zero_limit",
        };
        Finding::refused(code, self.to_string())
    }
}

impl IdentityError {
    /// Returns the code of the error's finding.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoMspId => "msp_id_missing",
            Self::CertificateHoldsKey => PemError::CertificateHoldsKey.code(),
            Self::Pem(error) => error.code(),
        }
    }

    /// Returns whether the error is about the private key's file.
    pub fn is_about_key(&self) -> bool {
        matches!(self, Self::Pem(error) if error.is_about_key())
    }
}
