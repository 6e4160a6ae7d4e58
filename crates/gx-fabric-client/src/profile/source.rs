//! Where keys and certificates are, and the settings that say so. `Profile::identity` and
//! `Profile::ledger_config` read them; each failure is a finding that prevents the start.

use std::fs;
use std::path::PathBuf;

use gx_fabric_proto::{PemError, TlsPair, certificates_in, certificates_pem};

use crate::config::ClientTls;
use crate::finding::Finding;

/// A PEM text, or the file that has it.
#[derive(Clone)]
pub struct PemSource {
    setting: String,
    position: SourcePosition,
}

#[derive(Clone)]
enum SourcePosition {
    File(PathBuf),
    Text(String),
}

impl PemSource {
    /// Returns the source of a text in a file that `setting` names.
    pub fn file(setting: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { setting: setting.into(), position: SourcePosition::File(path.into()) }
    }

    /// Returns the source of a text in the settings.
    pub fn text(setting: impl Into<String>, text: impl Into<String>) -> Self {
        Self { setting: setting.into(), position: SourcePosition::Text(text.into()) }
    }

    /// Returns the name of the setting, and the path if the text is in a file.
    pub fn name(&self) -> String {
        match &self.position {
            SourcePosition::File(path) => format!("{} ({})", self.setting, path.display()),
            SourcePosition::Text(_) => self.setting.clone(),
        }
    }

    /// Reads the text.
    ///
    /// # Errors
    /// A finding that names the setting and the file.
    pub fn read(&self) -> Result<String, Finding> {
        match &self.position {
            SourcePosition::Text(text) => Ok(text.clone()),
            SourcePosition::File(path) => fs::read_to_string(path).map_err(|error| {
                let code = match error.kind() {
                    std::io::ErrorKind::NotFound => "file_missing",
                    _ => "file_unreadable",
                };
                let reason = format!("the file cannot be read: {error}");
                Finding::refused(code, reason).in_setting(self.name())
            }),
        }
    }

    /// Reads the certificates of the text and encodes them again without the rest of the file.
    ///
    /// # Errors
    /// A finding that names the setting and the file.
    pub(super) fn read_certificates(&self) -> Result<String, Finding> {
        let text = self.read()?;
        certificates_in(&text).map(|read| certificates_pem(&read)).map_err(|error| {
            let code = match &error {
                PemError::CertificateHoldsKey => error.code(),
                _ => "tls_root_unreadable",
            };
            Finding::refused(code, error.to_string()).in_setting(self.name())
        })
    }
}

/// Does not show the text, which may be a key.
impl std::fmt::Debug for PemSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PemSource").field(&self.name()).finish()
    }
}

/// A certificate and its private key.
#[derive(Clone, Debug)]
pub struct CredentialSource {
    /// The certificate.
    pub certificate: PemSource,
    /// The private key that belongs to it.
    pub private_key: PemSource,
}

impl CredentialSource {
    /// Reads both texts.
    ///
    /// # Errors
    /// One finding for each file that cannot be read.
    pub(super) fn read(&self) -> Result<(String, String), Vec<Finding>> {
        match (self.certificate.read(), self.private_key.read()) {
            (Ok(certificate), Ok(key)) => Ok((certificate, key)),
            (certificate, key) => {
                Err([certificate.err(), key.err()].into_iter().flatten().collect())
            }
        }
    }

    /// Reads the certificate with its chain, and the key, for TLS.
    ///
    /// # Errors
    /// Findings that name the setting and the file.
    pub(super) fn read_for_tls(&self) -> Result<ClientTls, Vec<Finding>> {
        let (certificate, key) = self.read()?;
        match TlsPair::read(&certificate, &key) {
            Ok(pair) => {
                Ok(ClientTls { certificate_pem: pair.chain_pem(), private_key_pem: pair.key_pem() })
            }
            Err(error) => {
                let setting = self.file_of(error.is_about_key()).name();
                Err(vec![Finding::refused(error.code(), error.to_string()).in_setting(setting)])
            }
        }
    }

    /// Returns the source of the key if `key` is set, and of the certificate otherwise.
    pub(super) fn file_of(&self, key: bool) -> &PemSource {
        if key { &self.private_key } else { &self.certificate }
    }
}
