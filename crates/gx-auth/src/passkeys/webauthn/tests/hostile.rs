//! What a hostile page, browser or authenticator can send: each variation breaks one rule, and is
//! refused for that.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ciborium::Value as Cbor;
use serde_json::{Value, json};

use super::super::*;
use crate::testing::{AuthenticatorOutput, SoftPasskey};

const ORIGIN: &str = "https://example.org";
const CHALLENGE: &[u8] = b"a challenge of at least 16 bytes";
const USER: &[u8] = b"a user";

/// A change of what is said before it is signed.
type Change = fn(&mut AuthenticatorOutput);

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn bytes(credential: &Value, member: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(credential["response"][member].as_str().unwrap()).unwrap()
}

fn relying_party() -> RelyingParty {
    RelyingParty::new("example.org", &[ORIGIN.to_owned()]).unwrap()
}

/// Returns options that serve both ceremonies.
fn options() -> Value {
    json!({ "challenge": encode(CHALLENGE), "rpId": "example.org", "rp": { "id": "example.org" },
            "user": { "id": encode(USER) } })
}

fn registration(credential: &Value) -> RegistrationResponse {
    RegistrationResponse {
        credential_id: BASE64_URL_SAFE_NO_PAD.decode(credential["id"].as_str().unwrap()).unwrap(),
        client_data_json: bytes(credential, "clientDataJSON"),
        attestation_object: bytes(credential, "attestationObject"),
    }
}

fn assertion(credential: &Value) -> AssertionResponse {
    AssertionResponse {
        credential_id: BASE64_URL_SAFE_NO_PAD.decode(credential["id"].as_str().unwrap()).unwrap(),
        client_data_json: bytes(credential, "clientDataJSON"),
        authenticator_data: bytes(credential, "authenticatorData"),
        signature: bytes(credential, "signature"),
        user_handle: bytes(credential, "userHandle"),
    }
}

fn stored(credential: &NewCredential) -> StoredCredential {
    StoredCredential {
        public_key: credential.public_key.clone(),
        user_handle: USER.to_vec(),
        is_backup_eligible: credential.is_backup_eligible,
    }
}

fn register(change: Change) -> Result<NewCredential, PasskeyRefusal> {
    let (rp, options) = (relying_party(), options());
    let (_, credential) = SoftPasskey::create_with(&options, ORIGIN, change);
    verify_registration(&registration(&credential), &Demands::new(&rp, CHALLENGE))
}

/// The variations that both ceremonies refuse for the same reason.
const IN_BOTH: [(Change, PasskeyRefusal); 11] = [
    (|said| said.client_data["type"] = "payment.get".into(), PasskeyRefusal::Ceremony),
    (|said| said.client_data["challenge"] = encode(b"another").into(), PasskeyRefusal::Challenge),
    (|said| said.client_data["origin"] = "https://example.com".into(), PasskeyRefusal::Origin),
    (|said| said.client_data["origin"] = "https://example.org/".into(), PasskeyRefusal::Origin),
    (|said| said.client_data["crossOrigin"] = true.into(), PasskeyRefusal::CrossOrigin),
    (|said| said.client_data["topOrigin"] = ORIGIN.into(), PasskeyRefusal::CrossOrigin),
    (|said| said.client_data = json!([]), PasskeyRefusal::ClientData),
    (|said| said.rp_id = "example.com".to_owned(), PasskeyRefusal::RelyingParty),
    (|said| said.flags &= !1, PasskeyRefusal::Presence),
    (|said| said.flags &= !4, PasskeyRefusal::Verification),
    (|said| said.trailing = vec![0], PasskeyRefusal::AuthenticatorData),
];

/// AUTHN-15: a registration is accepted as the authenticator has made it, and refused if it is of
/// another page, relying party, challenge or ceremony, without a verified user, or malformed.
#[test]
fn authn_15_a_registration_that_breaks_a_rule_is_refused() {
    let credential = register(|_| {}).unwrap();
    assert!(credential.is_backup_eligible);
    assert!(credential.is_backed_up);
    let own: [(Change, PasskeyRefusal); 10] = [
        (|said| said.client_data["type"] = "webauthn.get".into(), PasskeyRefusal::Ceremony),
        (|said| said.flags &= !8, PasskeyRefusal::Backup),
        (|said| said.flags |= 1 << 7, PasskeyRefusal::AuthenticatorData),
        (|said| said.flags &= !(1 << 6), PasskeyRefusal::AuthenticatorData),
        (|said| said.algorithm = -257, PasskeyRefusal::PublicKey),
        (|said| said.algorithm = -35, PasskeyRefusal::PublicKey),
        (|said| said.credential_id = Vec::new(), PasskeyRefusal::CredentialId),
        (|said| said.credential_id = vec![1; 1024], PasskeyRefusal::CredentialId),
        (|said| said.credential_id[0] ^= 1, PasskeyRefusal::CredentialId),
        (
            |said| said.statement = Cbor::Map(vec![("alg".into(), (-7).into())]),
            PasskeyRefusal::Attestation,
        ),
    ];
    for (at, (change, refusal)) in IN_BOTH.into_iter().chain(own).enumerate() {
        assert_eq!(register(change), Err(refusal), "variation {at}");
    }
}

/// AUTHN-15: self attestation is verified; a statement of another format counts as none.
#[test]
fn authn_15_self_attestation_is_verified() {
    let packed = |said: &mut AuthenticatorOutput| {
        said.format = "packed".to_owned();
        said.statement = Cbor::Null;
    };
    assert!(register(packed).is_ok());
    let wrong = |said: &mut AuthenticatorOutput| {
        said.format = "packed".to_owned();
        let signature = Cbor::Bytes(vec![0; 70]);
        said.statement = Cbor::Map(vec![("alg".into(), (-7).into()), ("sig".into(), signature)]);
    };
    assert_eq!(register(wrong), Err(PasskeyRefusal::Attestation));
    let other_algorithm = |said: &mut AuthenticatorOutput| {
        said.format = "packed".to_owned();
        said.statement = Cbor::Map(vec![("alg".into(), (-8).into())]);
    };
    assert_eq!(register(other_algorithm), Err(PasskeyRefusal::Attestation));
    assert!(register(|said| said.format = "unheard-of".to_owned()).is_ok());
}

/// AUTHN-15: an assertion is accepted as the authenticator has signed it, and refused in each
/// variation of a registration, and if signature, user or backup flags are other ones.
#[test]
fn authn_15_an_assertion_that_breaks_a_rule_is_refused() {
    let (rp, options) = (relying_party(), options());
    let demands = Demands::new(&rp, CHALLENGE);
    let (passkey, created) = SoftPasskey::create(&options, ORIGIN);
    let stored = stored(&verify_registration(&registration(&created), &demands).unwrap());
    let signed = |change: Change| assertion(&passkey.sign_with(&options, ORIGIN, change));
    let right = signed(|_| {});
    let verified = VerifiedAssertion { sign_count: 0, is_backed_up: true };
    assert_eq!(verify_assertion(&right, &stored, &demands), Ok(verified));

    let own: [(Change, PasskeyRefusal); 4] = [
        (|said| said.client_data["type"] = "webauthn.create".into(), PasskeyRefusal::Ceremony),
        (|said| said.flags &= !8, PasskeyRefusal::Backup),
        (|said| said.flags &= !(8 | 16), PasskeyRefusal::Backup),
        (|said| said.flags |= 1 << 6, PasskeyRefusal::AuthenticatorData),
    ];
    for (at, (change, refusal)) in IN_BOTH.into_iter().chain(own).enumerate() {
        let outcome = verify_assertion(&signed(change), &stored, &demands);
        assert_eq!(outcome, Err(refusal), "variation {at}");
    }

    let refused = |response: &AssertionResponse| verify_assertion(response, &stored, &demands);
    for bit in 0..8 {
        let mut flipped = right.clone();
        let last = flipped.signature.len() - 1;
        flipped.signature[last] ^= 1 << bit;
        assert_eq!(refused(&flipped), Err(PasskeyRefusal::Signature), "bit {bit}");
        let mut flipped = right.clone();
        flipped.authenticator_data[36] ^= 1 << bit;
        assert_eq!(refused(&flipped), Err(PasskeyRefusal::Signature), "bit {bit} of the counter");
    }
    let cut = AssertionResponse { signature: Vec::new(), ..right.clone() };
    assert_eq!(refused(&cut), Err(PasskeyRefusal::Signature));
    let other = AssertionResponse { user_handle: b"another".to_vec(), ..right.clone() };
    assert_eq!(refused(&other), Err(PasskeyRefusal::UserHandle));
    let (stranger, _) = SoftPasskey::create(&options, ORIGIN);
    let forged = assertion(&stranger.sign(&options, ORIGIN));
    assert_eq!(refused(&forged), Err(PasskeyRefusal::Signature));
}

/// AUTHN-15: a counter that counts must grow; one that is always zero tells nothing.
#[test]
fn authn_15_a_counter_that_does_not_grow_has_gone_back() {
    for (stored, given, expected) in
        [(0, 0, false), (0, 1, false), (1, 2, false), (1, 1, true), (5, 4, true), (5, 0, true)]
    {
        assert_eq!(has_gone_back(stored, given), expected, "{stored} {given}");
    }
    assert!(!has_gone_back(i64::from(u32::MAX) - 1, u32::MAX));
}
