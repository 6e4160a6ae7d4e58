//! Where the ledger is and who signs: Fabric's common connection profile with a section of
//! ours, `x-gx`. Nothing is read from the files that it names until it is needed, so that
//! settings which win over the profile need not have them.

mod document;
mod reading;
mod source;

use std::fs;
use std::path::Path;

use gx_model::SignerRole;
use time::OffsetDateTime;

pub use source::{CredentialSource, PemSource};

use crate::config::{ClientTls, LedgerConfig, LedgerLimits, PeerConfig};
use crate::finding::{Finding, Severity};
use crate::identity::Identity;

/// Largest timeout that a profile may give.
pub const LARGEST_TIMEOUT_MS: u64 = 600_000;
/// The channel where nothing names one.
pub const DEFAULT_CHANNEL: &str = "gxchannel";
/// The chaincode where nothing names one.
pub const DEFAULT_CHAINCODE: &str = "gxtv3";
/// A certificate that ends so soon is worth a word.
const EXPIRY_NOTICE: time::Duration = time::Duration::days(30);

/// The ledger and its signers, as settings describe them.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The organisation of the signers; its peers serve the calls.
    pub msp_id: String,
    /// Every organisation's peers.
    pub peers: Vec<PeerSource>,
    /// The channel.
    pub channel: String,
    /// The chaincode.
    pub chaincode: String,
    /// Who signs.
    pub signers: SignerSources,
    /// The certificate for peers that ask for one.
    pub client_tls: Option<CredentialSource>,
    /// Timeouts and other bounds.
    pub limits: LedgerLimits,
}

/// One peer.
#[derive(Clone, Debug)]
pub struct PeerSource {
    /// `host:port`.
    pub endpoint: String,
    /// The peer's organisation.
    pub msp_id: String,
    /// The authorities that may vouch for its TLS certificate.
    pub tls_root: PemSource,
    /// The name in that certificate, if it is not the host.
    pub server_name: Option<String>,
}

/// The signers by role. Without one of the others `admin` signs what it would.
#[derive(Clone, Debug, Default)]
pub struct SignerSources {
    /// Signs what administrators may do.
    pub admin: Option<CredentialSource>,
    /// Signs what only super admins may do.
    pub super_admin: Option<CredentialSource>,
    /// Signs evaluations and requests for blocks.
    pub partner_api: Option<CredentialSource>,
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file cannot be read.
    #[error("the connection profile {path} cannot be read")]
    Unreadable {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is neither YAML nor JSON, or a value has the wrong shape.
    #[error("the connection profile is malformed: {0}")]
    Malformed(String),
    /// It contradicts itself or lacks something.
    #[error("the connection profile is wrong: {}", .0.join("; "))]
    Wrong(Vec<String>),
}

impl Profile {
    /// A commented profile with everything in it that is read.
    pub const EXAMPLE: &'static str = include_str!("example.yaml");

    /// Reads a profile; paths in it are relative to its folder.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn read(path: &Path) -> Result<Self, ProfileError> {
        Self::read_for(path, None)
    }

    /// [`Profile::read`] for a channel that wins over the profile's own, with the peers that
    /// serve it.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn read_for(path: &Path, channel: Option<&str>) -> Result<Self, ProfileError> {
        let text = fs::read_to_string(path).map_err(|source| ProfileError::Unreadable {
            path: path.display().to_string(),
            source,
        })?;
        Self::parse(&text, path.parent().unwrap_or(Path::new("")), channel)
    }

    /// Reads YAML, or JSON where the text begins like it. A channel that is given wins over the
    /// profile's own.
    ///
    /// # Errors
    /// [`ProfileError`]; everything that is wrong with the content at once.
    pub fn parse(text: &str, folder: &Path, channel: Option<&str>) -> Result<Self, ProfileError> {
        let document = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| error.to_string())
        } else {
            // The lines around a mistake may be a key's.
            let without_text = serde_saphyr::options! { with_snippet: false };
            serde_saphyr::from_str_with_options(text, without_text)
                .map_err(|error| error.to_string())
        };
        reading::profile_of(document.map_err(ProfileError::Malformed)?, folder, channel)
    }

    /// The client's configuration, with the files read. Loopback and literal addresses are
    /// accepted in development only.
    ///
    /// # Errors
    /// A finding for each file that cannot be read.
    pub fn ledger_config(&self, development: bool) -> Result<LedgerConfig, Vec<Finding>> {
        let mut findings = Vec::new();
        let mut peers = Vec::with_capacity(self.peers.len());
        for peer in &self.peers {
            match peer.tls_root.read() {
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
            match (source.certificate.read(), source.private_key.read()) {
                (Ok(certificate_pem), Ok(private_key_pem)) => {
                    client_tls = Some(ClientTls { certificate_pem, private_key_pem });
                }
                (certificate, key) => {
                    findings.extend([certificate.err(), key.err()].into_iter().flatten());
                }
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

    /// Whoever signs for a role: its own signer, or else the admin.
    pub fn signer(&self, role: SignerRole) -> Option<&CredentialSource> {
        self.own_signer(role).or(self.signers.admin.as_ref())
    }

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
    /// Everything that is wrong with its files.
    pub fn identity(&self, role: SignerRole) -> Result<Identity, Vec<Finding>> {
        let Some(source) = self.signer(role) else {
            let missing = format!("no signer for {} is configured", role.attribute());
            return Err(vec![Finding::refused("signer_missing", missing)]);
        };
        let of_role = |finding: Finding| finding.of_identity(role.attribute());
        let (certificate, key) = match (source.certificate.read(), source.private_key.read()) {
            (Ok(certificate), Ok(key)) => (certificate, key),
            (certificate, key) => {
                let found = [certificate.err(), key.err()];
                return Err(found.into_iter().flatten().map(of_role).collect());
            }
        };
        Identity::from_pem(&self.msp_id, &certificate, &key).map_err(|error| {
            let setting = match error.code() {
                code if code.starts_with("key") => source.private_key.name(),
                _ => source.certificate.name(),
            };
            vec![of_role(Finding::refused(error.code(), error.to_string())).in_setting(setting)]
        })
    }

    /// What the certificate of a role's signer says against its use, without asking anybody.
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
                "the certificate of {} ended at {}: enrol it again",
                facts.subject, facts.not_after
            );
            findings.push(found(Severity::Refused, "certificate_expired", ended));
        } else if now + EXPIRY_NOTICE > facts.not_after {
            let ends = format!(
                "the certificate of {} ends at {}: enrol it again before",
                facts.subject, facts.not_after
            );
            findings.push(found(Severity::Warning, "certificate_expires_soon", ends));
        }
        if now < facts.not_before {
            let begins = format!(
                "the certificate of {} begins at {}: check this machine's clock",
                facts.subject, facts.not_before
            );
            findings.push(found(Severity::Refused, "certificate_not_yet_valid", begins));
        }
        // Readers need no role: the contracts answer queries to anybody.
        if role != SignerRole::PartnerApi && facts.role.is_none_or(|held| held < role) {
            let severity = match self.own_signer(role) {
                Some(_) => Severity::Refused,
                None => Severity::Warning,
            };
            let lacks = format!(
                "the certificate of {} does not carry the role {}, as gxc_role or as the unit \
                 admin: the contracts will refuse what it signs",
                facts.subject,
                role.attribute()
            );
            findings.push(found(severity, "role_missing", lacks));
        }
        if !development && facts.development {
            let reason = format!(
                "{} is a development ledger's authority; its keys lie in the open: use your own network's identities",
                facts.issuer
            );
            findings.push(found(Severity::Refused, "development_identity", reason));
        }
        if !development && facts.self_issued {
            let reason = format!(
                "the certificate of {} is issued by itself: use one of your organisation's authority",
                facts.subject
            );
            findings.push(found(Severity::Refused, "self_signed_identity", reason));
        }
        findings
    }
}

#[cfg(test)]
mod tests;
