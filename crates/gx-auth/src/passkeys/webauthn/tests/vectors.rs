//! The figures of section 16 of WebAuthn Level 3, "Test Vectors", of the draft of 2026-07-30.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::super::attestation::AttestationObject;
use super::super::authenticator_data::AuthenticatorData;
use super::super::public_key::PublicKey;
use super::super::*;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    name: String,
    credential_id: Hex,
    registration: RegistrationVector,
    assertion: AssertionVector,
}

#[derive(Deserialize)]
struct RegistrationVector {
    challenge: Hex,
    #[serde(rename = "clientDataJSON")]
    client_data_json: Hex,
    #[serde(rename = "attestationObject")]
    attestation_object: Hex,
}

#[derive(Deserialize)]
struct AssertionVector {
    challenge: Hex,
    #[serde(rename = "clientDataJSON")]
    client_data_json: Hex,
    #[serde(rename = "authenticatorData")]
    authenticator_data: Hex,
    signature: Hex,
}

/// Bytes that are written in hexadecimal digits.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Hex(Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        hex::decode(text).map(Self)
    }
}

const USER: &[u8] = b"a user";

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn relying_party() -> RelyingParty {
    RelyingParty::new("example.org", &["https://example.org".to_owned()]).unwrap()
}

impl Vector {
    fn register(&self, demands: &Demands<'_>) -> Result<NewCredential, PasskeyRefusal> {
        let response = RegistrationResponse {
            credential_id: self.credential_id.0.clone(),
            client_data_json: self.registration.client_data_json.0.clone(),
            attestation_object: self.registration.attestation_object.0.clone(),
        };
        verify_registration(&response, demands)
    }

    fn assert(
        &self,
        credential: &NewCredential,
        demands: &Demands<'_>,
    ) -> Result<VerifiedAssertion, PasskeyRefusal> {
        let response = AssertionResponse {
            credential_id: self.credential_id.0.clone(),
            client_data_json: self.assertion.client_data_json.0.clone(),
            authenticator_data: self.assertion.authenticator_data.0.clone(),
            signature: self.assertion.signature.0.clone(),
            user_handle: USER.to_vec(),
        };
        let stored = StoredCredential {
            public_key: credential.public_key.clone(),
            user_handle: USER.to_vec(),
            is_backup_eligible: credential.is_backup_eligible,
        };
        verify_assertion(&response, &stored, demands)
    }
}

/// AUTHN-15: each vector of the specification gives the outcome that GX's rules demand: its key is
/// of an offered algorithm, its page was in no frame, and its user was verified.
#[test]
fn authn_15_the_vectors_of_the_specification_have_their_outcomes() {
    use PasskeyRefusal::{CrossOrigin, PublicKey, Verification};
    let expected = [
        ("none-es256", Err(Verification), Err(Verification)),
        ("packed-self-es256", Ok(()), Err(Verification)),
        ("none-es256-crossOrigin", Err(CrossOrigin), Err(CrossOrigin)),
        ("none-es256-topOrigin", Err(CrossOrigin), Err(CrossOrigin)),
        ("none-es256-long-credential-id", Err(Verification), Ok(())),
        ("packed-es256", Ok(()), Ok(())),
        ("packed-es384", Err(Verification), Err(PublicKey)),
        ("packed-es512", Err(PublicKey), Err(PublicKey)),
        ("packed-rs256", Ok(()), Err(Verification)),
        ("packed-eddsa", Err(Verification), Err(Verification)),
        ("packed-ed448", Err(Verification), Err(PublicKey)),
        ("tpm-es256", Ok(()), Ok(())),
        ("android-key-es256", Ok(()), Err(Verification)),
        ("apple-es256", Err(Verification), Err(Verification)),
        ("fido-u2f-es256", Err(Verification), Err(Verification)),
    ];
    let rp = relying_party();
    let vectors = vectors();
    let names: Vec<&str> = vectors.iter().map(|vector| vector.name.as_str()).collect();
    assert_eq!(names, expected.map(|(name, ..)| name));
    for (vector, (name, registered, asserted)) in vectors.iter().zip(expected) {
        let demands = Demands::new(&rp, &vector.registration.challenge.0);
        assert_eq!(vector.register(&demands).map(|_| ()), registered, "{name}");
        // A credential that is never stored has no assertion to verify.
        let Ok(credential) = vector.register(&demands.without_user_verification()) else {
            continue;
        };
        let demands = Demands::new(&rp, &vector.assertion.challenge.0);
        assert_eq!(vector.assert(&credential, &demands).map(|_| ()), asserted, "{name}");
        let lenient = demands.without_user_verification();
        assert!(vector.assert(&credential, &lenient).is_ok(), "{name}");
        assert_eq!(credential.id, vector.credential_id.0, "{name}");
    }
}

/// AUTHN-15: the signature of each vector with an offered algorithm is right, and wrong with any
/// bit changed. Keys of other algorithms are refused.
#[test]
fn authn_15_signatures_of_the_offered_algorithms_are_verified() {
    let mut algorithms = Vec::new();
    for vector in vectors() {
        let object = AttestationObject::read(&vector.registration.attestation_object.0).unwrap();
        let data = AuthenticatorData::read(&object.authenticator_data).unwrap();
        let Ok(key) = PublicKey::read(data.credential.unwrap().public_key) else {
            assert!(["es384", "es512", "ed448"].iter().any(|other| vector.name.ends_with(other)));
            continue;
        };
        let hash: [u8; 32] = Sha256::digest(&vector.assertion.client_data_json.0).into();
        let message = [vector.assertion.authenticator_data.0.as_slice(), hash.as_slice()].concat();
        let mut signature = vector.assertion.signature.0.clone();
        assert_eq!(key.verify(&message, &signature), Ok(()), "{}", vector.name);
        let last = signature.len() - 1;
        signature[last] ^= 1;
        assert_eq!(key.verify(&message, &signature), Err(PasskeyRefusal::Signature));
        if !algorithms.contains(&key.algorithm) {
            algorithms.push(key.algorithm);
        }
    }
    assert_eq!(algorithms, [Algorithm::Es256, Algorithm::Rs256, Algorithm::Ed25519]);
}

/// AUTHN-15: an attestation object that is cut anywhere, or has one byte more, is refused, and
/// authenticator data too.
#[test]
fn authn_15_cut_and_lengthened_objects_are_refused() {
    for vector in vectors() {
        let object = &vector.registration.attestation_object.0;
        let whole = AttestationObject::read(object).unwrap();
        for end in 0..object.len() {
            assert!(AttestationObject::read(&object[..end]).is_err(), "{} {end}", vector.name);
        }
        let data = &whole.authenticator_data;
        for end in 0..data.len() {
            assert!(AuthenticatorData::read(&data[..end]).is_err(), "{} {end}", vector.name);
        }
        for longer in [0x00, 0xa0, 0xff] {
            assert!(AttestationObject::read(&[object.as_slice(), &[longer]].concat()).is_err());
            assert!(AuthenticatorData::read(&[data.as_slice(), &[longer]].concat()).is_err());
        }
    }
}
