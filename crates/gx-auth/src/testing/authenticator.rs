//! A software authenticator with its browser, for tests of passkeys. It signs with ES256. What it
//! says can be changed before it is signed.

use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ciborium::Value as Cbor;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Bytes of a credential's id.
const ID_BYTES: usize = 16;
/// User present, user verified, backup eligible, backed up.
const FLAGS: u8 = 0b1_1101;
/// The flag of a new credential.
const HAS_CREDENTIAL: u8 = 1 << 6;
/// Bytes of a coordinate of P-256.
const COORDINATE_BYTES: usize = 32;

/// What the browser and the authenticator say before it is signed.
#[derive(Clone, Debug)]
pub struct AuthenticatorOutput {
    /// The client data.
    pub client_data: Value,
    /// The domain whose hash is in the authenticator data.
    pub rp_id: String,
    /// Flags of the authenticator data.
    pub flags: u8,
    /// Counter of signatures.
    pub sign_count: u32,
    /// Id of the credential.
    pub credential_id: Vec<u8>,
    /// Number of the algorithm in the public key.
    pub algorithm: i64,
    /// Bytes behind the authenticator data.
    pub trailing: Vec<u8>,
    /// Format of the attestation statement.
    pub format: String,
    /// The attestation statement. Null means self attestation if the format is `packed`.
    pub statement: Cbor,
}

/// A passkey in software.
#[derive(Debug)]
pub struct SoftPasskey {
    key: EcdsaKeyPair,
    /// Id of the credential.
    pub credential_id: Vec<u8>,
    /// The account, as the options of the registration have named it.
    pub user_handle: Vec<u8>,
    /// Counter of signatures, which the next signature has.
    pub sign_count: u32,
}

impl SoftPasskey {
    /// Creates a passkey after creation options, as a page of this origin does. Returns it with the
    /// credential in JSON.
    pub fn create(options: &Value, origin: &str) -> (Self, Value) {
        Self::create_with(options, origin, |_| {})
    }

    /// Creates a passkey and changes what is said.
    pub fn create_with(
        options: &Value,
        origin: &str,
        change: impl FnOnce(&mut AuthenticatorOutput),
    ) -> (Self, Value) {
        let mut credential_id = vec![0; ID_BYTES];
        rand::fill(&mut credential_id).unwrap();
        let passkey = Self {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            credential_id,
            user_handle: decode(&options["user"]["id"]),
            sign_count: 0,
        };
        let rp_id = options["rp"]["id"].as_str().unwrap();
        let mut output = passkey.output("webauthn.create", options, rp_id, origin);
        output.flags |= HAS_CREDENTIAL;
        change(&mut output);
        let credential = passkey.attest(&output);
        (passkey, credential)
    }

    /// Signs a challenge of request options, as a page of this origin does, and returns the
    /// credential in JSON.
    pub fn sign(&self, options: &Value, origin: &str) -> Value {
        self.sign_with(options, origin, |_| {})
    }

    /// Signs a challenge and changes what is said.
    pub fn sign_with(
        &self,
        options: &Value,
        origin: &str,
        change: impl FnOnce(&mut AuthenticatorOutput),
    ) -> Value {
        let rp_id = options["rpId"].as_str().unwrap();
        let mut output = self.output("webauthn.get", options, rp_id, origin);
        change(&mut output);
        let client_data = output.client_data.to_string().into_bytes();
        let data = [output.authenticator_data(), output.trailing.clone()].concat();
        let signature = self.signature(&data, &client_data);
        let id = encode(&output.credential_id);
        json!({
            "id": id, "rawId": id, "type": "public-key", "clientExtensionResults": {},
            "authenticatorAttachment": "platform",
            "response": {
                "clientDataJSON": encode(&client_data),
                "authenticatorData": encode(&data),
                "signature": encode(&signature),
                "userHandle": encode(&self.user_handle),
            },
        })
    }

    /// Returns the statement with which the passkey attests itself.
    fn self_attestation(&self, data: &[u8], client_data: &[u8]) -> Cbor {
        let signature = Cbor::Bytes(self.signature(data, client_data));
        Cbor::Map(vec![("alg".into(), (-7).into()), ("sig".into(), signature)])
    }

    fn output(
        &self,
        kind: &str,
        options: &Value,
        rp_id: &str,
        origin: &str,
    ) -> AuthenticatorOutput {
        AuthenticatorOutput {
            client_data: json!({ "type": kind, "challenge": options["challenge"], "origin": origin,
                                 "crossOrigin": false }),
            rp_id: rp_id.to_owned(),
            flags: FLAGS,
            sign_count: self.sign_count,
            credential_id: self.credential_id.clone(),
            algorithm: -7,
            trailing: Vec::new(),
            format: "none".to_owned(),
            statement: Cbor::Map(Vec::new()),
        }
    }

    fn attest(&self, output: &AuthenticatorOutput) -> Value {
        let client_data = output.client_data.to_string().into_bytes();
        let id = &output.credential_id;
        let id_bytes = u16::try_from(id.len()).unwrap().to_be_bytes();
        let data = [
            output.authenticator_data().as_slice(),
            [0; 16].as_slice(),
            id_bytes.as_slice(),
            id.as_slice(),
            self.public_key(output.algorithm).as_slice(),
            output.trailing.as_slice(),
        ]
        .concat();
        let statement = match output.format.as_str() {
            "packed" if output.statement == Cbor::Null => {
                self.self_attestation(&data, &client_data)
            }
            _ => output.statement.clone(),
        };
        let object = Cbor::Map(vec![
            ("fmt".into(), output.format.as_str().into()),
            ("attStmt".into(), statement),
            ("authData".into(), Cbor::Bytes(data)),
        ]);
        let id = encode(&self.credential_id);
        json!({
            "id": id, "rawId": id, "type": "public-key", "clientExtensionResults": {},
            "authenticatorAttachment": "platform",
            "response": {
                "clientDataJSON": encode(&client_data),
                "attestationObject": encode(&written(&object)),
                "transports": ["internal", "hybrid"],
            },
        })
    }

    /// Returns the public key in COSE.
    fn public_key(&self, algorithm: i64) -> Vec<u8> {
        let point = self.key.public_key().as_ref();
        let (x, y) = point[1..].split_at(COORDINATE_BYTES);
        written(&Cbor::Map(vec![
            (1.into(), 2.into()),
            (3.into(), algorithm.into()),
            ((-1).into(), 1.into()),
            ((-2).into(), Cbor::Bytes(x.to_vec())),
            ((-3).into(), Cbor::Bytes(y.to_vec())),
        ]))
    }

    fn signature(&self, data: &[u8], client_data: &[u8]) -> Vec<u8> {
        let hash: [u8; 32] = Sha256::digest(client_data).into();
        let message = [data, hash.as_slice()].concat();
        self.key.sign(&SystemRandom::new(), &message).unwrap().as_ref().to_vec()
    }
}

impl AuthenticatorOutput {
    /// Returns the authenticator data up to the counter.
    fn authenticator_data(&self) -> Vec<u8> {
        let hash: [u8; 32] = Sha256::digest(&self.rp_id).into();
        [hash.as_slice(), [self.flags].as_slice(), self.sign_count.to_be_bytes().as_slice()]
            .concat()
    }
}

fn written(value: &Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &Value) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap()
}
