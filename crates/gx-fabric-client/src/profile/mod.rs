//! The connection profile: Fabric's common format with a section `x-gx` for GX. The files that it
//! names are read only when they are needed, so files that other settings replace need not exist.
//! Called by each command of `gx` that uses a ledger, and by gx-bench. All errors and findings are
//! for the operator.

mod document;
mod reading;
mod source;

use std::fs;
use std::path::Path;

use gx_ledger_api::SignerRole;
use time::OffsetDateTime;

pub use source::{CredentialSource, PemSource};

use crate::config::{LedgerConfig, LedgerLimits, PeerConfig};
use crate::finding::{Finding, Severity};
use crate::identity::Identity;

/// Limit of a timeout in a profile.
pub const LARGEST_TIMEOUT_MS: u64 = 600_000;
/// The channel if no setting names one.
pub const DEFAULT_CHANNEL: &str = "gxchannel";
/// The chaincode if no setting names one.
pub const DEFAULT_CHAINCODE: &str = "gxtv3";
/// A certificate that expires within this time gets a warning.
const EXPIRY_NOTICE: time::Duration = time::Duration::days(30);

/// The ledger and its signers, as described in settings.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The organisation of the signers; its peers serve the calls.
    pub msp_id: String,
    /// The peers of all organisations.
    pub peers: Vec<PeerSource>,
    /// The channel's name.
    pub channel: String,
    /// The chaincode's name.
    pub chaincode: String,
    /// The signers.
    pub signers: SignerSources,
    /// The client certificate for peers that require one.
    pub client_tls: Option<CredentialSource>,
    /// Timeouts and other limits.
    pub limits: LedgerLimits,
}

/// One peer.
#[derive(Clone, Debug)]
pub struct PeerSource {
    /// `host:port`.
    pub endpoint: String,
    /// The peer's organisation.
    pub msp_id: String,
    /// The certificate authorities of its TLS certificate.
    pub tls_root: PemSource,
    /// The name in the TLS certificate, if it is not the host.
    pub server_name: Option<String>,
}

/// The signers by role. `admin` signs for a role that has no signer.
#[derive(Clone, Debug, Default)]
pub struct SignerSources {
    /// Signs commands that administrators may send.
    pub admin: Option<CredentialSource>,
    /// Signs commands that only super admins may send.
    pub super_admin: Option<CredentialSource>,
    /// Signs evaluations and requests for blocks.
    pub partner_api: Option<CredentialSource>,
}

/// Why there is no usable profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file cannot be read.
    #[error("the connection profile `{path}` cannot be read; check the path and its permissions")]
    Unreadable {
        /// The path of the file.
        path: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file is neither YAML nor JSON, or a value has the wrong type.
    #[error("the connection profile is malformed: {0}; write it as YAML or JSON")]
    Malformed(String),
    /// The profile contradicts itself or lacks something.
    #[error("the connection profile is wrong: {}; correct it", .0.join("; "))]
    Wrong(Vec<String>),
}

impl Profile {
    /// A profile with comments that has every setting that GX reads.
    pub const EXAMPLE: &'static str = include_str!("example.yaml");

    /// Reads a profile. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// [`ProfileError`] if the file cannot be read or is wrong.
    pub fn read(path: &Path) -> Result<Self, ProfileError> {
        Self::read_for(path, None)
    }

    /// Reads a profile for a channel that replaces the profile's own, with the peers of that
    /// channel.
    ///
    /// # Errors
    /// [`ProfileError`] if the file cannot be read or is wrong.
    pub fn read_for(path: &Path, channel: Option<&str>) -> Result<Self, ProfileError> {
        let text = fs::read_to_string(path).map_err(|source| ProfileError::Unreadable {
            path: path.display().to_string(),
            source,
        })?;
        Self::parse(&text, path.parent().unwrap_or(Path::new("")), channel)
    }

    /// Parses YAML, or JSON if the text begins with `{`. A given channel replaces the profile's
    /// own.
    ///
    /// # Errors
    /// [`ProfileError`] lists everything that is wrong with the content.
    pub fn parse(text: &str, folder: &Path, channel: Option<&str>) -> Result<Self, ProfileError> {
        let document = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| error.to_string())
        } else {
            // Lines that an error quotes may contain a key.
            let without_text = serde_saphyr::options! { with_snippet: false };
            serde_saphyr::from_str_with_options(text, without_text)
                .map_err(|error| error.to_string())
        };
        reading::profile_of(document.map_err(ProfileError::Malformed)?, folder, channel)
    }

    /// Returns the client's configuration and reads its files. Loopback addresses and IP addresses
    /// are accepted only in development.
    ///
    /// # Errors
    /// One finding for each file that cannot be read.
    pub fn ledger_config(&self, development: bool) -> Result<LedgerConfig, Vec<Finding>> {
        let mut findings = Vec::new();
        let mut peers = Vec::with_capacity(self.peers.len());
        for peer in &self.peers {
            match peer.tls_root.read_certificates() {
                Ok(tls_root_pem) => peers.push(PeerConfig {
                    endpoint: peer.endpoint.clone(),
                    msp_id: peer.msp_id.clone(),
                    tls_root_pem,
                    server_name: peer.server_name.clone(),
                }),
                Err(finding) => findings.push(finding.at_peer(&peer.endpoint)),
            }
        }
        let mut client_tls = None;
        if let Some(source) = &self.client_tls {
            match source.read_for_tls() {
                Ok(read) => client_tls = Some(read),
                Err(wrong) => findings.extend(wrong),
            }
        }
        if !findings.is_empty() {
            return Err(findings);
        }
        Ok(LedgerConfig {
            peers,
            channel: self.channel.clone(),
            chaincode: self.chaincode.clone(),
            client_tls,
            development,
            limits: self.limits.clone(),
        })
    }

    /// Returns the signer of a role: its own, or else the admin. `None` if neither is configured.
    pub fn signer(&self, role: SignerRole) -> Option<&CredentialSource> {
        self.own_signer(role).or(self.signers.admin.as_ref())
    }

    /// Returns the signer that is configured for the role itself.
    fn own_signer(&self, role: SignerRole) -> Option<&CredentialSource> {
        match role {
            SignerRole::SuperAdmin => self.signers.super_admin.as_ref(),
            SignerRole::Admin => self.signers.admin.as_ref(),
            SignerRole::PartnerApi => self.signers.partner_api.as_ref(),
        }
    }

    /// Reads the identity that signs for a role.
    ///
    /// # Errors
    /// Findings for everything that is wrong with its files.
    pub fn identity(&self, role: SignerRole) -> Result<Identity, Vec<Finding>> {
        let Some(source) = self.signer(role) else {
            let missing = format!(
                "no signer for {} is configured; add one under `x-gx` in the connection profile",
                role.attribute()
            );
            return Err(vec![Finding::refused("signer_missing", missing)]);
        };
        let of_role = |finding: Finding| finding.of_identity(role.attribute());
        let (certificate, key) =
            source.read().map_err(|wrong| wrong.into_iter().map(of_role).collect::<Vec<_>>())?;
        Identity::from_pem(&self.msp_id, &certificate, &key).map_err(|error| {
            let setting = source.file_of(error.is_about_key()).name();
            vec![of_role(Finding::refused(error.code(), error.to_string())).in_setting(setting)]
        })
    }

    /// Returns the findings about the certificate of a role's signer, without calling a peer. Empty
    /// if nothing is wrong with it.
    pub fn certificate_findings(
        &self,
        role: SignerRole,
        identity: &Identity,
        now: OffsetDateTime,
        development: bool,
    ) -> Vec<Finding> {
        let setting = self.signer(role).map(|source| source.certificate.name()).unwrap_or_default();
        let found = |severity, code, message: String| {
            Finding::new(severity, code, message)
                .of_identity(role.attribute())
                .in_setting(setting.clone())
        };
        let facts = identity.facts();
        let mut findings = Vec::new();
        if now > facts.not_after {
            let ended = format!(
                "the certificate of {} ended at {}; enrol it again",
                facts.subject, facts.not_after
            );
            findings.push(found(Severity::Refused, "certificate_expired", ended));
        } else if now + EXPIRY_NOTICE > facts.not_after {
            let ends = format!(
                "the certificate of {} ends at {}; enrol it again before",
                facts.subject, facts.not_after
            );
            findings.push(found(Severity::Warning, "certificate_expires_soon", ends));
        }
        if now < facts.not_before {
            let begins = format!(
                "the certificate of {} begins at {}; check this machine's clock",
                facts.subject, facts.not_before
            );
            findings.push(found(Severity::Refused, "certificate_not_yet_valid", begins));
        }
        // Readers need no role, because the contracts answer queries to everybody.
        if role != SignerRole::PartnerApi && facts.role.is_none_or(|held| held < role) {
            let severity = match self.own_signer(role) {
                Some(_) => Severity::Refused,
                None => Severity::Warning,
            };
            let lacks = if facts.has_malformed_attributes {
                format!(
                    "the attribute gxc_role in the certificate of {} cannot be read; enrol it \
                     again, or the contracts will refuse what it signs",
                    facts.subject
                )
            } else {
                format!(
                    "the certificate of {} does not carry the role {}, as gxc_role or as the unit \
                     admin, and the contracts will refuse what it signs; enrol it with the role",
                    facts.subject,
                    role.attribute()
                )
            };
            findings.push(found(severity, "role_missing", lacks));
        }
        if !development && facts.is_from_devnet {
            let reason = format!(
                "{} is a development ledger's authority, whose keys are public; use your own network's identities",
                facts.issuer
            );
            findings.push(found(Severity::Refused, "development_identity", reason));
        }
        if !development && facts.is_self_issued {
            let reason = format!(
                "the certificate of {} is self-signed; use one that your organisation's authority issued",
                facts.subject
            );
            findings.push(found(Severity::Refused, "self_signed_identity", reason));
        }
        findings
    }
}

#[cfg(test)]
mod tests;
