//! Files with keys that sign tokens. Read at the start of each service, and written by the first
//! start of `gx dev`.

use std::path::{Path, PathBuf};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::EncodingKey;
use secrecy::SecretSlice;

use super::SigningKey;

/// Why the settings give no usable keys.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// No secret and no key file is set.
    #[error("no key signs tokens; set GX_TOKEN_KEY_FILE, or JWT_SECRET with at least 32 bytes")]
    None,
    /// A secret and a key file are set.
    #[error("JWT_SECRET and GX_TOKEN_KEY_FILE are both set; set only one")]
    Both,
    /// The file cannot be read or written.
    #[error("the token key `{path}` cannot be read or written; check the path and its permissions")]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The file contains no usable key.
    #[error(
        "`{path}` contains no Ed25519 private key in PKCS#8 PEM; replace the file, or set \
         GX_TOKEN_KEY_FILE to another one"
    )]
    Key {
        /// Path of the file.
        path: PathBuf,
        /// Error of the key.
        source: jsonwebtoken::errors::Error,
    },
    /// The library could not create a key.
    #[error("an Ed25519 key cannot be created; try again, or create one with `openssl genpkey`")]
    Create,
}

/// Creates a key file that only its owner can read, unless the file exists.
///
/// # Errors
/// [`TokenKeyError`] if the file cannot be written.
pub fn create_key_file(path: &Path) -> Result<(), TokenKeyError> {
    use secrecy::ExposeSecret as _;
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let file_error = |source| TokenKeyError::File { path: path.to_owned(), source };
    let body = BASE64_STANDARD.encode(new_key()?.expose_secret());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(file_error)
        }
        Err(exists) if exists.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(other) => Err(file_error(other)),
    }
}

/// Returns a new Ed25519 private key in PKCS#8.
pub(super) fn new_key() -> Result<SecretSlice<u8>, TokenKeyError> {
    let random = aws_lc_rs::rand::SystemRandom::new();
    let der = Ed25519KeyPair::generate_pkcs8v1(&random).map_err(|_| TokenKeyError::Create)?;
    Ok(der.as_ref().to_vec().into())
}

/// Reads the key of a file.
pub(crate) fn read_key(path: &Path) -> Result<SigningKey, TokenKeyError> {
    let pem = std::fs::read_to_string(path)
        .map_err(|source| TokenKeyError::File { path: path.to_owned(), source })?;
    EncodingKey::from_ed_pem(pem.as_bytes())
        .and_then(SigningKey::ed25519)
        .map_err(|source| TokenKeyError::Key { path: path.to_owned(), source })
}
