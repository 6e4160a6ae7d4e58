//! Options for browsers in JSON (WebAuthn Level 3, sections 5.4, 5.5 and 5.1.8). A page passes
//! `publicKey` to `PublicKeyCredential.parseCreationOptionsFromJSON()` or
//! `parseRequestOptionsFromJSON()`.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::ToSchema;

use super::store::{AccountNames, KnownCredential};
use super::webauthn::Algorithm;
use super::{CHALLENGE_LIFE, DrawnChallenge};
use crate::relying_party::RelyingParty;

/// Name of the relying party. Browsers show its domain instead.
const NAME: &str = "GX";
const PUBLIC_KEY: &str = "public-key";
const REQUIRED: &str = "required";

/// Options to add a passkey, and the id of their challenge.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreationChallenge {
    /// Send it back with the new credential, within five minutes.
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    challenge_id: String,
    public_key: CreationOptions,
}

/// `PublicKeyCredentialCreationOptionsJSON`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreationOptions {
    rp: RelyingPartyEntity,
    user: UserEntity,
    /// Random bytes in base64url.
    #[schema(example = "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s")]
    challenge: String,
    pub_key_cred_params: Vec<CredentialParameters>,
    /// Milliseconds.
    #[schema(example = 300_000)]
    timeout: i64,
    /// Passkeys that the account has.
    exclude_credentials: Vec<CredentialDescriptor>,
    authenticator_selection: AuthenticatorSelection,
    #[schema(example = "none")]
    attestation: &'static str,
}

/// The domain that the passkey belongs to.
#[derive(Debug, Serialize, ToSchema)]
struct RelyingPartyEntity {
    #[schema(example = "example.com")]
    id: String,
    #[schema(example = "GX")]
    name: &'static str,
}

/// The account, as authenticators show it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UserEntity {
    /// Random bytes in base64url that belong to the account.
    #[schema(example = "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s")]
    id: String,
    #[schema(example = "sarah.johnson@gxtest.com")]
    name: String,
    #[schema(example = "Sarah Johnson")]
    display_name: String,
}

/// An algorithm that is offered.
#[derive(Debug, Serialize, ToSchema)]
struct CredentialParameters {
    #[serde(rename = "type")]
    #[schema(example = "public-key")]
    kind: &'static str,
    /// Number in the registry of COSE.
    #[schema(example = -7)]
    alg: i64,
}

/// A credential that is known already.
#[derive(Debug, Serialize, ToSchema)]
struct CredentialDescriptor {
    #[serde(rename = "type")]
    #[schema(example = "public-key")]
    kind: &'static str,
    /// Id of the credential in base64url.
    #[schema(example = "q6urq6urq6urq6urq6urqw")]
    id: String,
    #[schema(example = json!(["internal"]))]
    transports: Vec<String>,
}

/// What the authenticator must be able to do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuthenticatorSelection {
    #[schema(example = "required")]
    resident_key: &'static str,
    #[schema(example = true)]
    require_resident_key: bool,
    #[schema(example = "required")]
    user_verification: &'static str,
}

/// Options to sign in with a passkey, and the id of their challenge.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestChallenge {
    /// Send it back with the signed challenge, within five minutes.
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    challenge_id: String,
    public_key: RequestOptions,
}

/// `PublicKeyCredentialRequestOptionsJSON`. It names no credential: the authenticator knows the
/// account.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RequestOptions {
    /// Random bytes in base64url.
    #[schema(example = "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s")]
    challenge: String,
    /// Milliseconds.
    #[schema(example = 300_000)]
    timeout: i64,
    #[schema(example = "example.com")]
    rp_id: String,
    #[schema(example = "required")]
    user_verification: &'static str,
}

/// Returns bytes in base64url.
fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn timeout_ms() -> i64 {
    CHALLENGE_LIFE.whole_seconds() * 1_000
}

/// Returns the options with which an account adds a passkey.
pub(super) fn creation(
    relying_party: &RelyingParty,
    drawn: DrawnChallenge,
    user_handle: &[u8],
    account: AccountNames,
    known: Vec<KnownCredential>,
) -> CreationChallenge {
    let exclude = known.into_iter().map(|credential| CredentialDescriptor {
        kind: PUBLIC_KEY,
        id: encode(&credential.credential_id),
        transports: credential.transports,
    });
    let offered =
        |algorithm: Algorithm| CredentialParameters { kind: PUBLIC_KEY, alg: algorithm.number() };
    let public_key = CreationOptions {
        rp: RelyingPartyEntity { id: relying_party.id().to_owned(), name: NAME },
        user: UserEntity {
            id: encode(user_handle),
            name: account.email,
            display_name: account.display_name,
        },
        challenge: encode(&drawn.challenge),
        pub_key_cred_params: Algorithm::ALL.map(offered).into(),
        timeout: timeout_ms(),
        exclude_credentials: exclude.collect(),
        authenticator_selection: AuthenticatorSelection {
            resident_key: REQUIRED,
            require_resident_key: true,
            user_verification: REQUIRED,
        },
        attestation: "none",
    };
    CreationChallenge { challenge_id: drawn.challenge_id, public_key }
}

/// Returns the options with which somebody signs in.
pub(super) fn request(relying_party: &RelyingParty, drawn: DrawnChallenge) -> RequestChallenge {
    let public_key = RequestOptions {
        challenge: encode(&drawn.challenge),
        timeout: timeout_ms(),
        rp_id: relying_party.id().to_owned(),
        user_verification: REQUIRED,
    };
    RequestChallenge { challenge_id: drawn.challenge_id, public_key }
}
