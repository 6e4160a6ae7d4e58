//! Keys and certificates before they are read: where they are, and which setting says so.

use std::fs;
use std::path::PathBuf;

use crate::finding::Finding;

/// A PEM text, or the file that holds it.
#[derive(Clone)]
pub struct PemSource {
    setting: String,
    place: Place,
}

#[derive(Clone)]
enum Place {
    File(PathBuf),
    Text(String),
}

impl PemSource {
    /// In a file that `setting` names.
    pub fn file(setting: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { setting: setting.into(), place: Place::File(path.into()) }
    }

    /// In the settings themselves.
    pub fn text(setting: impl Into<String>, text: impl Into<String>) -> Self {
        Self { setting: setting.into(), place: Place::Text(text.into()) }
    }

    /// The setting, with the file that it names.
    pub fn name(&self) -> String {
        match &self.place {
            Place::File(path) => format!("{} ({})", self.setting, path.display()),
            Place::Text(_) => self.setting.clone(),
        }
    }

    /// The text.
    ///
    /// # Errors
    /// A finding that names setting and file.
    pub fn read(&self) -> Result<String, Finding> {
        match &self.place {
            Place::Text(text) => Ok(text.clone()),
            Place::File(path) => fs::read_to_string(path).map_err(|error| {
                let code = match error.kind() {
                    std::io::ErrorKind::NotFound => "file_missing",
                    _ => "file_unreadable",
                };
                let reason = format!("the file cannot be read: {error}");
                Finding::refused(code, reason).in_setting(self.name())
            }),
        }
    }
}

/// Never shows a text: it may be a key.
impl std::fmt::Debug for PemSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PemSource").field(&self.name()).finish()
    }
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct CredentialSource {
    /// The certificate.
    pub certificate: PemSource,
    /// The private key that belongs to it.
    pub private_key: PemSource,
}
