//! Credentials as browsers write them in JSON: `PublicKeyCredential.toJSON()` (WebAuthn Level 3,
//! section 5.1.8). Members that are not listed here are not read.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gx_serve::fields::{Field, FieldError};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value;
use utoipa::ToSchema;

use super::webauthn::{AssertionResponse, RegistrationResponse};

/// Limit of the transports that are stored, and of the characters of each.
const MAX_TRANSPORTS: usize = 10;
const MAX_TRANSPORT_CHARACTERS: usize = 32;

/// Bytes that are written in base64url without padding.
#[derive(Clone, Debug)]
struct Base64Url(Vec<u8>);

impl<'de> Deserialize<'de> for Base64Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_URL_SAFE_NO_PAD.decode(text).map(Self).map_err(D::Error::custom)
    }
}

/// Type of a credential.
#[derive(Clone, Copy, Debug, serde::Deserialize, ToSchema)]
enum CredentialType {
    #[serde(rename = "public-key")]
    PublicKey,
}

/// A new credential, as `PublicKeyCredential.toJSON()` writes it.
#[derive(Clone, Debug, serde::Deserialize, ToSchema)]
pub(super) struct CreatedCredential {
    /// Id of the credential in base64url.
    #[schema(value_type = String, example = "q6urq6urq6urq6urq6urqw")]
    id: Base64Url,
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "only one type can be read")]
    kind: CredentialType,
    response: AttestationJson,
}

/// The authenticator's response to a registration.
#[derive(Clone, Debug, serde::Deserialize, ToSchema)]
struct AttestationJson {
    #[serde(rename = "clientDataJSON")]
    #[schema(value_type = String, example = "eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIn0")]
    client_data_json: Base64Url,
    #[serde(rename = "attestationObject")]
    #[schema(value_type = String, example = "o2NmbXRkbm9uZQ")]
    attestation_object: Base64Url,
    /// Ways in which the authenticator can be reached.
    #[serde(default)]
    #[schema(required = false, example = json!(["internal"]))]
    transports: Vec<String>,
}

/// A signed challenge, as `PublicKeyCredential.toJSON()` writes it.
#[derive(Clone, Debug, serde::Deserialize, ToSchema)]
pub(super) struct SignedCredential {
    /// Id of the credential in base64url.
    #[schema(value_type = String, example = "q6urq6urq6urq6urq6urqw")]
    id: Base64Url,
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "only one type can be read")]
    kind: CredentialType,
    response: AssertionJson,
}

/// The authenticator's response to a sign-in.
#[derive(Clone, Debug, serde::Deserialize, ToSchema)]
struct AssertionJson {
    #[serde(rename = "clientDataJSON")]
    #[schema(value_type = String, example = "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0")]
    client_data_json: Base64Url,
    #[serde(rename = "authenticatorData")]
    #[schema(value_type = String, example = "SZYN5YgOjGh0NBcPZHZgW4_krrmihjLHmVzzuoMdl2MFAAAAAA")]
    authenticator_data: Base64Url,
    #[schema(value_type = String, example = "MEUCIQ")]
    signature: Base64Url,
    /// The account, as the authenticator knows it.
    #[serde(rename = "userHandle")]
    #[schema(value_type = String, example = "q6urq6urq6urq6urq6urqw")]
    user_handle: Base64Url,
}

impl CreatedCredential {
    pub(super) fn response(&self) -> RegistrationResponse {
        RegistrationResponse {
            credential_id: self.id.0.clone(),
            client_data_json: self.response.client_data_json.0.clone(),
            attestation_object: self.response.attestation_object.0.clone(),
        }
    }

    /// Returns the well-formed transports. Names that this release does not know are kept.
    pub(super) fn transports(&self) -> Vec<String> {
        let is_one = |text: &&String| {
            (1..=MAX_TRANSPORT_CHARACTERS).contains(&text.len())
                && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
        };
        self.response.transports.iter().filter(is_one).take(MAX_TRANSPORTS).cloned().collect()
    }
}

impl SignedCredential {
    pub(super) fn response(&self) -> AssertionResponse {
        AssertionResponse {
            credential_id: self.id.0.clone(),
            client_data_json: self.response.client_data_json.0.clone(),
            authenticator_data: self.response.authenticator_data.0.clone(),
            signature: self.response.signature.0.clone(),
            user_handle: self.response.user_handle.0.clone(),
        }
    }
}

fn not_a_credential() -> FieldError {
    let message = "must be a credential as PublicKeyCredential.toJSON() writes it";
    FieldError::new("format", message)
}

impl Field for CreatedCredential {
    fn read(value: &Value) -> Result<Self, FieldError> {
        Self::deserialize(value).map_err(|_| not_a_credential())
    }
}

impl Field for SignedCredential {
    fn read(value: &Value) -> Result<Self, FieldError> {
        Self::deserialize(value).map_err(|_| not_a_credential())
    }
}
