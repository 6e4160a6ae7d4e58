//! Client data: what the browser says about the ceremony (section 5.8.1).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Demands, PasskeyRefusal};

/// UTF-8's byte order mark, which a decoder takes away (section 7.1, `JSONtext`).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a browser was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ceremony {
    /// Adding a passkey.
    Registration,
    /// Signing in.
    Assertion,
}

impl Ceremony {
    const fn name(self) -> &'static str {
        match self {
            Self::Registration => "webauthn.create",
            Self::Assertion => "webauthn.get",
        }
    }
}

/// The members that are compared. Browsers may add others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    top_origin: Option<String>,
}

/// Compares the client data with what was asked for, and returns its SHA-256.
pub(super) fn check(
    json: &[u8],
    ceremony: Ceremony,
    demands: &Demands<'_>,
) -> Result<[u8; 32], PasskeyRefusal> {
    let text = json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json);
    let client: ClientData =
        serde_json::from_slice(text).map_err(|_| PasskeyRefusal::ClientData)?;
    // Sections 7.1 and 7.2, `C.type`.
    if client.r#type != ceremony.name() {
        return Err(PasskeyRefusal::Ceremony);
    }
    // `C.challenge`: the base64url of the challenge without padding.
    if client.challenge != BASE64_URL_SAFE_NO_PAD.encode(demands.challenge) {
        return Err(PasskeyRefusal::Challenge);
    }
    // `C.origin` and section 13.4.9: the whole origin is compared.
    if !demands.relying_party.has_origin(&client.origin) {
        return Err(PasskeyRefusal::Origin);
    }
    // `C.crossOrigin` and `C.topOrigin`: no page of GX asks for a passkey from a frame.
    if client.cross_origin || client.top_origin.is_some() {
        return Err(PasskeyRefusal::CrossOrigin);
    }
    Ok(Sha256::digest(json).into())
}
