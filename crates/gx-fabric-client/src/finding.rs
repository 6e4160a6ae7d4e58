//! What is wrong with how the ledger is configured, one thing each.

use std::fmt;

use serde::Serialize;

use crate::config::ConfigError;
use crate::error::{LedgerError, OutcomeClass};
use crate::identity::IdentityError;

/// What a finding means for a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It will not work until somebody changes a setting: no start.
    Refused,
    /// It may come by itself: start, and go on trying.
    Waiting,
    /// It works, and somebody should look.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it means for a start.
    pub severity: Severity,
    /// The kind of finding, the same for every release.
    pub code: &'static str,
    /// The setting to look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setting: Option<String>,
    /// The signer it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The peer it is about.
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

    /// What a failed call tells about the settings.
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
    /// The error as a finding that refuses the start.
    pub fn finding(&self) -> Finding {
        let code = match self {
            Self::NoPeers | Self::NoOwnPeer { .. } => "no_own_peer",
            Self::Unnamed(_) => "name_missing",
            Self::Endpoint { .. } => "endpoint_malformed",
            Self::LiteralAddress { .. } => "literal_address",
            Self::TlsRoot { .. } => "tls_root_unreadable",
            Self::Tls { .. } => "tls_settings",
            Self::ZeroLimit(_) => "zero_limit",
        };
        Finding::refused(code, self.to_string())
    }
}

impl IdentityError {
    /// The error as a finding's code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoMspId => "msp_id_missing",
            Self::NoCertificate(_) | Self::UnreadableCertificate(_) => "certificate_unreadable",
            Self::NoPrivateKey(_) => "key_unreadable",
            Self::EncryptedPrivateKey => "key_encrypted",
            Self::WrongPrivateKey(_) => "key_unsupported",
            Self::KeyMismatch { .. } => "key_mismatch",
        }
    }
}
