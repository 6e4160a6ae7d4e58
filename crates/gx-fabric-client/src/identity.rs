//! Who signs: an MSP id with a certificate and its private key.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use gx_fabric_proto::msp::SerializedIdentity;
use gx_model::SignerRole;
use prost::Message;
use time::OffsetDateTime;
use x509_parser::pem::Pem;

use crate::certificate::CertificateFacts;
use crate::signature::low_s_der;

/// An MSP id with a certificate and the private key that belongs to it. Clones share the key.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    msp_id: String,
    key: EcdsaKeyPair,
    creator: Vec<u8>,
    facts: CertificateFacts,
}

/// Why a certificate and a key are no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The MSP id is empty.
    #[error("the MSP id is empty")]
    NoMspId,
    /// There is no certificate in the text given as one.
    #[error("no PEM block CERTIFICATE was found in the certificate: {0}")]
    NoCertificate(String),
    /// The certificate is not X.509.
    #[error("the certificate cannot be read: {0}")]
    UnreadableCertificate(String),
    /// There is no private key in the text given as one.
    #[error("no PEM block PRIVATE KEY or EC PRIVATE KEY was found in the key: {0}")]
    NoPrivateKey(String),
    /// The key file is protected by a passphrase.
    #[error("the private key is encrypted; give it without a passphrase")]
    EncryptedPrivateKey,
    /// The key is not on the curve that Fabric signs with.
    #[error("the private key is not an ECDSA key on P-256: {0}")]
    WrongPrivateKey(String),
    /// The key belongs to another certificate.
    #[error("the private key is not that of the certificate {subject}")]
    KeyMismatch {
        /// The certificate's subject.
        subject: String,
    },
}

impl Identity {
    /// Reads a certificate and a key (PKCS#8 or SEC1) and checks that they belong together.
    pub fn from_pem(
        msp_id: &str,
        certificate_pem: &str,
        private_key_pem: &str,
    ) -> Result<Self, IdentityError> {
        if msp_id.is_empty() {
            return Err(IdentityError::NoMspId);
        }
        let certificate_block =
            find_block(certificate_pem, &["CERTIFICATE"]).map_err(IdentityError::NoCertificate)?;
        let certificate = certificate_block
            .parse_x509()
            .map_err(|error| IdentityError::UnreadableCertificate(error.to_string()))?;
        let key = read_key(private_key_pem)?;

        let facts = CertificateFacts::of(&certificate);
        if certificate.public_key().subject_public_key.data != key.public_key().as_ref() {
            return Err(IdentityError::KeyMismatch { subject: facts.subject });
        }
        let creator = SerializedIdentity {
            mspid: msp_id.to_owned(),
            id_bytes: certificate_pem.as_bytes().to_vec(),
        };
        Ok(Self(Arc::new(Inner {
            msp_id: msp_id.to_owned(),
            key,
            creator: creator.encode_to_vec(),
            facts,
        })))
    }

    /// The organisation that this identity claims to belong to.
    pub fn msp_id(&self) -> &str {
        &self.0.msp_id
    }

    /// The certificate's subject, as people write it.
    pub fn subject(&self) -> &str {
        &self.0.facts.subject
    }

    /// When the certificate ends.
    pub fn not_after(&self) -> OffsetDateTime {
        self.0.facts.not_after
    }

    /// The role that the contracts see in the certificate, if any.
    pub fn role(&self) -> Option<SignerRole> {
        self.0.facts.role
    }

    pub(crate) fn facts(&self) -> &CertificateFacts {
        &self.0.facts
    }

    /// The bytes that stand for this identity in signed headers.
    pub(crate) fn creator(&self) -> &[u8] {
        &self.0.creator
    }

    /// Signs the SHA-256 of the message; the signature is DER with a low S.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = self
            .0
            .key
            .sign(&SystemRandom::new(), message)
            .expect("signing fails only when the machine's random source does");
        let fixed =
            signature.as_ref().try_into().expect("a fixed-length P-256 signature has 64 bytes");
        low_s_der(fixed)
    }
}

/// Never shows the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("msp_id", &self.0.msp_id)
            .field("subject", &self.0.facts.subject)
            .field("not_after", &self.0.facts.not_after)
            .finish_non_exhaustive()
    }
}

fn read_key(private_key_pem: &str) -> Result<EcdsaKeyPair, IdentityError> {
    if find_block(private_key_pem, &["ENCRYPTED PRIVATE KEY"]).is_ok()
        || private_key_pem.contains("Proc-Type: 4,ENCRYPTED")
    {
        return Err(IdentityError::EncryptedPrivateKey);
    }
    let block = find_block(private_key_pem, &["PRIVATE KEY", "EC PRIVATE KEY"])
        .map_err(IdentityError::NoPrivateKey)?;
    EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, &block.contents)
        .map_err(|rejected| IdentityError::WrongPrivateKey(rejected.to_string()))
}

/// The first PEM block with one of the labels, or what was found instead.
fn find_block(text: &str, labels: &[&str]) -> Result<Pem, String> {
    let mut seen = Vec::new();
    for block in Pem::iter_from_buffer(text.as_bytes()) {
        let block = block.map_err(|error| error.to_string())?;
        if labels.contains(&block.label.as_str()) {
            return Ok(block);
        }
        seen.push(block.label);
    }
    if seen.is_empty() {
        return Err("it holds no PEM block at all".to_owned());
    }
    Err(format!("it holds {}", seen.join(", ")))
}

#[cfg(test)]
mod tests;
