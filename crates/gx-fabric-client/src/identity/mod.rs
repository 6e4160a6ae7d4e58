//! Identities: an MSP id with a certificate and its private key. `Profile::identity` reads them at
//! the start, and each proposal, envelope and request for blocks is signed by one.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use gx_fabric_proto::msp::SerializedIdentity;
use gx_fabric_proto::{PemError, certificate_of, certificates_in, private_key_in};
use gx_ledger_api::SignerRole;
use prost::Message;
use time::OffsetDateTime;

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

/// Why a certificate and a key are not an identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The MSP id is empty.
    #[error("the MSP id is empty; set it")]
    NoMspId,
    /// The certificate's file has a private key.
    #[error(
        "the certificate file holds a private key, and what signs goes to the ledger, where \
         everybody reads it for ever; keep certificate and key in two files, and take the key out \
         of this one, and if anything was ever signed with this file, have the certificate \
         revoked and enrol again with a new key"
    )]
    CertificateHoldsKey,
    /// A file cannot be used, or certificate and key do not match.
    #[error(transparent)]
    Pem(PemError),
}

impl From<PemError> for IdentityError {
    fn from(error: PemError) -> Self {
        match error {
            PemError::CertificateHoldsKey => Self::CertificateHoldsKey,
            error => Self::Pem(error),
        }
    }
}

impl Identity {
    /// Reads a key (PKCS#8 or SEC1) and the certificate that belongs to it. The certificate's file
    /// may have other certificates, for example of its authorities, but no key. Signed headers
    /// contain only this one certificate, encoded again, so nothing else in the file is published
    /// on the ledger.
    ///
    /// # Errors
    /// [`IdentityError`] if a file cannot be used or they do not match.
    pub fn from_pem(
        msp_id: &str,
        certificate_pem: &str,
        private_key_pem: &str,
    ) -> Result<Self, IdentityError> {
        if msp_id.is_empty() {
            return Err(IdentityError::NoMspId);
        }
        // Checked first, because a key in this file must not be used again.
        certificates_in(certificate_pem)?;
        let key = read_key(private_key_pem)?;
        let certificate = certificate_of(certificate_pem, key.public_key().as_ref())?;
        let creator = SerializedIdentity {
            mspid: msp_id.to_owned(),
            id_bytes: certificate.pem().into_bytes(),
        };
        Ok(Self(Arc::new(Inner {
            msp_id: msp_id.to_owned(),
            key,
            creator: creator.encode_to_vec(),
            facts: CertificateFacts::of(&certificate.x509()),
        })))
    }

    /// Returns the MSP id of the identity's organisation.
    pub fn msp_id(&self) -> &str {
        &self.0.msp_id
    }

    /// Returns the certificate's subject.
    pub fn subject(&self) -> &str {
        &self.0.facts.subject
    }

    /// Returns the time at which the certificate expires.
    pub fn not_after(&self) -> OffsetDateTime {
        self.0.facts.not_after
    }

    /// Returns the role that the contracts see in the certificate, or `None` if they see none.
    pub fn role(&self) -> Option<SignerRole> {
        self.0.facts.role
    }

    pub(crate) fn facts(&self) -> &CertificateFacts {
        &self.0.facts
    }

    /// Returns the encoded identity for signed headers.
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

/// Does not show the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("msp_id", &self.0.msp_id)
            .field("subject", &self.0.facts.subject)
            .field("not_after", &self.0.facts.not_after)
            .finish_non_exhaustive()
    }
}

/// Reads the one P-256 key of a text.
fn read_key(private_key_pem: &str) -> Result<EcdsaKeyPair, PemError> {
    let key = private_key_in(private_key_pem)?;
    EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, key.der()).map_err(
        |rejected| {
            PemError::UnsupportedKey(format!(
                "the private key is not an ECDSA key on P-256: {rejected}"
            ))
        },
    )
}

#[cfg(test)]
mod tests;
