//! Reads PEM files with certificates and keys, and encodes them again. Called by the ledger client,
//! the chaincode service and the devnet for each file of their settings; a [`PemError`] is shown to
//! the operator instead of a start.
//!
//! A certificate is published: in every transaction, in a chaincode package, in TLS handshakes. The
//! text of its file is never published, because the file may contain other things.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::parse_x509_certificate;
use x509_parser::pem::Pem;

/// The label of a certificate's block.
const CERTIFICATE: &str = "CERTIFICATE";
/// What the label of every kind of private key contains.
const PRIVATE_KEY: &str = "PRIVATE KEY";
/// The label of an encrypted key in PKCS#8.
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
/// The line that marks an encrypted key in the older format.
const ENCRYPTED_HEADER: &str = "Proc-Type: 4,ENCRYPTED";
/// Number of characters in a line of base64.
const LINE_CHARACTERS: usize = 64;

/// Why a file has no usable certificate or key, or why certificate and key do not match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// A certificate file also holds a private key.
    #[error(
        "the certificate file holds a private key; keep certificate and key in two files, and take \
         the key out of this one"
    )]
    CertificateHoldsKey,
    /// A certificate file has no certificate.
    #[error("no PEM block CERTIFICATE was found in the certificate: {0}")]
    NoCertificate(String),
    /// A block of a certificate file cannot be read.
    #[error("the certificate cannot be read: {0}")]
    UnreadableCertificate(String),
    /// A key file has no private key.
    #[error("no PEM block PRIVATE KEY or EC PRIVATE KEY was found in the key: {0}")]
    NoKey(String),
    /// A block of a key file cannot be read.
    #[error("the private key cannot be read: {0}")]
    UnreadableKey(String),
    /// A key file has several private keys.
    #[error("the key file holds {0} private keys; leave the one that belongs to the certificate")]
    SeveralKeys(usize),
    /// The key is encrypted with a passphrase.
    #[error("the private key is encrypted; give it without a passphrase")]
    EncryptedKey,
    /// The kind of key is not supported.
    #[error("{0}")]
    UnsupportedKey(String),
    /// None of the certificates belongs to the key.
    #[error("the private key is not that of the certificate {subject}")]
    KeyMismatch {
        /// The subjects of the certificates in the file.
        subject: String,
    },
    /// Several different certificates belong to the key.
    #[error(
        "the certificate file holds several certificates of the same key, {subject}; leave the \
         one to use"
    )]
    SeveralCertificates {
        /// The subjects of these certificates.
        subject: String,
    },
}

impl PemError {
    /// Returns a stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::CertificateHoldsKey => "certificate_holds_key",
            Self::NoCertificate(_) | Self::UnreadableCertificate(_) => "certificate_unreadable",
            Self::SeveralCertificates { .. } => "certificate_ambiguous",
            Self::NoKey(_) | Self::UnreadableKey(_) => "key_unreadable",
            Self::SeveralKeys(_) => "key_ambiguous",
            Self::EncryptedKey => "key_encrypted",
            Self::UnsupportedKey(_) => "key_unsupported",
            Self::KeyMismatch { .. } => "key_mismatch",
        }
    }

    /// Returns whether the error is about the key's file and not the certificate's, so that the
    /// caller's message names the right file.
    pub fn is_about_key(&self) -> bool {
        self.code().starts_with("key_")
    }
}

/// One X.509 certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemCertificate {
    der: Vec<u8>,
}

impl PemCertificate {
    fn read(block: Pem) -> Result<Self, PemError> {
        match parse_x509_certificate(&block.contents) {
            Ok(([], _)) => Ok(Self { der: block.contents }),
            Ok((rest, _)) => {
                let reason = format!("{} bytes follow a certificate in its block", rest.len());
                Err(PemError::UnreadableCertificate(reason))
            }
            Err(error) => Err(PemError::UnreadableCertificate(error.to_string())),
        }
    }

    /// Returns the DER encoding of the certificate.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the parsed certificate.
    pub fn x509(&self) -> X509Certificate<'_> {
        parse_x509_certificate(&self.der).expect("it was parsed when it was read").1
    }

    /// Encodes the certificate as one PEM block.
    pub fn pem(&self) -> String {
        encode(CERTIFICATE, &self.der)
    }

    fn subject(&self) -> String {
        self.x509().subject().to_string()
    }
}

/// Reads all certificates of a text, in their order. Comments and blocks without secrets are
/// ignored.
///
/// # Errors
/// [`PemError`] if the text has a private key, a block that cannot be read, or no certificate.
pub fn certificates_in(text: &str) -> Result<Vec<PemCertificate>, PemError> {
    // Checked in the text and not only in the blocks: an incomplete block is not parsed and still
    // contains its key.
    if text.lines().any(|line| line.contains("-----") && line.contains(PRIVATE_KEY)) {
        return Err(PemError::CertificateHoldsKey);
    }
    let blocks = blocks_in(text).map_err(PemError::UnreadableCertificate)?;
    let (certificates, others): (Vec<_>, Vec<_>) =
        blocks.into_iter().partition(|block| block.label == CERTIFICATE);
    if certificates.is_empty() {
        return Err(PemError::NoCertificate(what_is_in(&others)));
    }
    certificates.into_iter().map(PemCertificate::read).collect()
}

/// Encodes certificates as PEM, one block after the other.
pub fn certificates_pem(certificates: &[PemCertificate]) -> String {
    certificates.iter().map(PemCertificate::pem).collect()
}

/// One private key.
#[derive(Clone, PartialEq, Eq)]
pub struct PemKey {
    label: String,
    der: Vec<u8>,
}

/// Does not show the key.
impl fmt::Debug for PemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PemKey").field("label", &self.label).finish_non_exhaustive()
    }
}

impl PemKey {
    /// Returns the DER encoding of the key: PKCS#8, or the format that its label names.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Encodes the key as one PEM block.
    pub fn pem(&self) -> String {
        encode(&self.label, &self.der)
    }
}

/// Reads the one private key of a text. Curve parameters, certificates and comments are ignored.
///
/// # Errors
/// [`PemError`] if there is no key, more than one key, an encrypted key, or a block that cannot be
/// read.
pub fn private_key_in(text: &str) -> Result<PemKey, PemError> {
    if text.contains(ENCRYPTED_HEADER) {
        return Err(PemError::EncryptedKey);
    }
    let blocks = blocks_in(text).map_err(PemError::UnreadableKey)?;
    let (mut keys, others): (Vec<_>, Vec<_>) =
        blocks.into_iter().partition(|block| block.label.ends_with(PRIVATE_KEY));
    if keys.iter().any(|key| key.label == ENCRYPTED) {
        return Err(PemError::EncryptedKey);
    }
    match (keys.pop(), keys.len()) {
        (Some(key), 0) => Ok(PemKey { label: key.label, der: key.contents }),
        (Some(_), others) => Err(PemError::SeveralKeys(others + 1)),
        (None, _) => Err(PemError::NoKey(what_is_in(&others))),
    }
}

/// Returns the one certificate of a text that belongs to a key. `public_key` is the content of the
/// bit string in which a certificate holds the public key.
///
/// # Errors
/// [`PemError`] for a text that [`certificates_in`] refuses, or if no certificate or several
/// different ones belong to the key.
pub fn certificate_of(text: &str, public_key: &[u8]) -> Result<PemCertificate, PemError> {
    let certificates = certificates_in(text)?;
    let at = only_match(&certificates, |certificate| {
        certificate.public_key().subject_public_key.data.as_ref() == public_key
    })?;
    Ok(certificates[at].clone())
}

/// A TLS certificate with its chain and its private key.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsPair {
    /// The certificate of the key first, then the others in the order of their file.
    chain: Vec<PemCertificate>,
    key: PemKey,
}

/// Does not show the key.
impl fmt::Debug for TlsPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsPair").field("subject", &self.leaf().subject()).finish_non_exhaustive()
    }
}

impl TlsPair {
    /// Reads a certificate file and its key. Intermediate certificates may be in any order.
    ///
    /// # Errors
    /// [`PemError`] if a file cannot be used or they do not match.
    pub fn read(certificates: &str, key: &str) -> Result<Self, PemError> {
        let mut chain = certificates_in(certificates)?;
        let key = private_key_in(key)?;
        let unsupported = |reason: String| {
            PemError::UnsupportedKey(format!("the private key cannot be used for TLS: {reason}"))
        };
        let der = PrivateKeyDer::try_from(key.der().to_vec())
            .map_err(|reason| unsupported(reason.to_owned()))?;
        let signing = any_supported_type(&der).map_err(|error| unsupported(error.to_string()))?;
        let public = signing
            .public_key()
            .ok_or_else(|| unsupported("its public key cannot be derived".to_owned()))?;
        let at = only_match(&chain, |leaf| leaf.public_key().raw == public.as_ref())?;
        chain[..=at].rotate_right(1);
        Ok(Self { chain, key })
    }

    /// Returns the certificate that belongs to the key.
    pub fn leaf(&self) -> &PemCertificate {
        &self.chain[0]
    }

    /// Encodes the certificate and its chain as PEM.
    pub fn chain_pem(&self) -> String {
        certificates_pem(&self.chain)
    }

    /// Encodes the key as PEM.
    pub fn key_pem(&self) -> String {
        self.key.pem()
    }
}

/// Returns the index of the one certificate that fits. The same certificate may be in the file
/// twice. Fails if none fits, or if different ones do.
fn only_match(
    certificates: &[PemCertificate],
    fits: impl Fn(&X509Certificate<'_>) -> bool,
) -> Result<usize, PemError> {
    let subjects = |certificates: &mut dyn Iterator<Item = &PemCertificate>| {
        certificates.map(PemCertificate::subject).collect::<Vec<_>>().join(" and ")
    };
    let mut fitting = certificates.iter().enumerate().filter(|(_, one)| fits(&one.x509()));
    let Some((at, first)) = fitting.next() else {
        return Err(PemError::KeyMismatch { subject: subjects(&mut certificates.iter()) });
    };
    match fitting.find(|(_, other)| *other != first) {
        None => Ok(at),
        Some((_, other)) => Err(PemError::SeveralCertificates {
            subject: subjects(&mut [first, other].into_iter()),
        }),
    }
}

/// Returns all PEM blocks of a text. The error is the reason why one cannot be read.
fn blocks_in(text: &str) -> Result<Vec<Pem>, String> {
    Pem::iter_from_buffer(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

/// Describes the blocks of a text that lacks the wanted one, for the error message.
fn what_is_in(blocks: &[Pem]) -> String {
    match blocks {
        [] => "it holds no PEM block at all".to_owned(),
        _ => {
            let labels: Vec<_> = blocks.iter().map(|block| block.label.as_str()).collect();
            format!("it holds {}", labels.join(", "))
        }
    }
}

/// Encodes a PEM block by RFC 7468, with the line length that most tools use.
fn encode(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in base64.as_bytes().chunks(LINE_CHARACTERS) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests;
