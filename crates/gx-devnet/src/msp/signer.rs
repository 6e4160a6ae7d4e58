//! A local identity that signs: a peer its endorsements, the orderer its blocks. Loaded at the
//! start.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use gx_fabric_proto::certificates_in;
use gx_fabric_proto::msp::SerializedIdentity;
use prost::Message;
use rcgen::KeyPair;

use super::PemIdentity;
use super::signature::low_s_der;

/// A certificate with its key, ready to sign.
pub(crate) struct Signer {
    creator: Vec<u8>,
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl Signer {
    /// Returns the signer of an identity, or the reason why its texts are invalid.
    pub(crate) fn from_pem(identity: &PemIdentity) -> Result<Self, String> {
        let key = KeyPair::from_pem(&identity.private_key_pem).map_err(|e| e.to_string())?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der())
            .map_err(|e| e.to_string())?;
        // The certificate is encoded again, so that no other text of its file is sent.
        let found = certificates_in(&identity.certificate_pem).map_err(|e| e.to_string())?;
        let [certificate] = found.as_slice() else {
            return Err(format!("{} certificates are given for one signer", found.len()));
        };
        let serialized = SerializedIdentity {
            mspid: identity.msp_id.clone(),
            id_bytes: certificate.pem().into_bytes(),
        };
        Ok(Self { creator: serialized.encode_to_vec(), key, random: SystemRandom::new() })
    }

    /// Returns the identity in the form of headers and endorsements.
    pub(crate) fn creator(&self) -> &[u8] {
        &self.creator
    }

    /// Signs a message; the signature is DER with a low S.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let fixed = self
            .key
            .sign(&self.random, message)
            .expect("signing with a checked P-256 key does not fail");
        low_s_der(fixed.as_ref().try_into().expect("a fixed P-256 signature has 64 bytes"))
    }
}
