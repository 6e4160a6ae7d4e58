//! A local identity that signs.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
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
    /// The signer that these texts are; the reason where they are none.
    pub(crate) fn from_pem(identity: &PemIdentity) -> Result<Self, String> {
        let key = KeyPair::from_pem(&identity.private_key_pem).map_err(|e| e.to_string())?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der())
            .map_err(|e| e.to_string())?;
        let serialized = SerializedIdentity {
            mspid: identity.msp_id.clone(),
            id_bytes: identity.certificate_pem.clone().into_bytes(),
        };
        Ok(Self { creator: serialized.encode_to_vec(), key, random: SystemRandom::new() })
    }

    /// The identity as it stands in headers and endorsements.
    pub(crate) fn creator(&self) -> &[u8] {
        &self.creator
    }

    /// A low-S signature in DER.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let fixed = self
            .key
            .sign(&self.random, message)
            .expect("signing with a checked P-256 key does not fail");
        low_s_der(fixed.as_ref().try_into().expect("a fixed P-256 signature has 64 bytes"))
    }
}
