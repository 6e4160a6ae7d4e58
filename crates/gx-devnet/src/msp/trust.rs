//! Verifies identities against the root certificates of the channel's organisations.
//!
//! [`TrustedRoots::verify_identity`] is called for the creator of each proposal, envelope and
//! request, and for each endorser of an envelope. The callers check expiry, role and the signature
//! of the message.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use gx_fabric_proto::msp::SerializedIdentity;
use prost::Message;
use x509_parser::parse_x509_certificate;
use x509_parser::pem::parse_x509_pem;

use super::identity::Identity;

/// Limit of cached identities, so that a certificate is not verified for each call.
const MAX_CACHED_IDENTITIES: usize = 4_096;

/// Error: the identity has no certificate that an authority of its organisation issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UntrustedIdentity;

/// The root certificates that the channel trusts, and the identities that were verified last.
pub(crate) struct TrustedRoots {
    roots: HashMap<String, Root>,
    known: RwLock<HashMap<Vec<u8>, Arc<Identity>>>,
}

struct Root {
    subject: Vec<u8>,
    key: ParsedPublicKey,
}

impl TrustedRoots {
    /// Trusts one root certificate for each MSP id. The error says why one cannot be read.
    pub(crate) fn new(roots: &[(&str, &str)]) -> Result<Self, String> {
        let roots = roots
            .iter()
            .map(|(msp_id, pem)| Ok(((*msp_id).to_owned(), Root::from_pem(pem)?)))
            .collect::<Result<_, String>>()?;
        Ok(Self { roots, known: RwLock::default() })
    }

    /// Verifies an encoded `SerializedIdentity` and returns the identity, which may have expired or
    /// have no role. The caller refuses an [`UntrustedIdentity`] with a peer's message; an endorser
    /// that is untrusted does not count.
    pub(crate) fn verify_identity(
        &self,
        serialized: &[u8],
    ) -> Result<Arc<Identity>, UntrustedIdentity> {
        let known = self.known.read().expect("no holder of this lock can panic");
        if let Some(identity) = known.get(serialized) {
            return Ok(Arc::clone(identity));
        }
        drop(known);
        let identity = Arc::new(self.verify(serialized).ok_or(UntrustedIdentity)?);
        let mut known = self.known.write().expect("no holder of this lock can panic");
        if known.len() >= MAX_CACHED_IDENTITIES {
            known.clear();
        }
        known.insert(serialized.to_vec(), Arc::clone(&identity));
        Ok(identity)
    }

    /// Returns the identity, or `None` if it is malformed or not issued by its organisation.
    fn verify(&self, serialized: &[u8]) -> Option<Identity> {
        let claim = SerializedIdentity::decode(serialized).ok()?;
        let root = self.roots.get(&claim.mspid)?;
        // As on a peer, only the first block of the text counts.
        let (_, pem) = parse_x509_pem(&claim.id_bytes).ok()?;
        let (rest, certificate) = parse_x509_certificate(&pem.contents).ok()?;
        if !rest.is_empty() {
            return None;
        }
        if certificate.issuer().as_raw() != root.subject || certificate.is_ca() {
            return None;
        }
        let signature = certificate.signature_value.data.as_ref();
        root.key.verify_sig(certificate.tbs_certificate.as_ref(), signature).ok()?;
        Identity::read(&claim.mspid, &certificate)
    }
}

impl Root {
    fn from_pem(pem: &str) -> Result<Self, String> {
        let (_, pem) = parse_x509_pem(pem.as_bytes()).map_err(|e| e.to_string())?;
        let certificate = pem.parse_x509().map_err(|e| e.to_string())?;
        let key = &certificate.public_key().subject_public_key.data;
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.as_ref())
            .map_err(|e| e.to_string())?;
        Ok(Self { subject: certificate.subject().as_raw().to_vec(), key })
    }
}
