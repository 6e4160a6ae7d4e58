//! Known devices: a sign-in leaves a device token with the client, as a cookie and in the answer. A
//! client that sends it has failed sign-ins counted apart, so that it can sign in while others
//! guess (AUTHN-12). A sign-in from another device is told to the person.

mod store;

use axum::extract::FromRequestParts;
use gx_db::PgConnection;
use gx_serve::fields::{Field, FieldError, text};
use gx_serve::{Client, Problem};
use http::header::{COOKIE, SET_COOKIE};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::net::IpAddr;
use std::time::Duration;

use crate::foundation::Foundation;
use crate::notices::Notice;
use crate::realm::Subject;

/// Name of the cookie. The prefix makes browsers refuse it without TLS, and for other hosts.
const COOKIE_NAME: &str = "__Host-gx-device";
/// How long a device is known after its last sign-in.
const LIFE: Duration = Duration::from_hours(365 * 24);
/// Devices of one account that are kept; the ones that were not used for longest are forgotten.
const MAX_DEVICES: i64 = 20;
/// Random bytes of a device token.
const TOKEN_BYTES: usize = 32;
/// Limit of a device token as it is sent, in characters.
const MAX_CHARACTERS: usize = 128;
/// Purpose of the keys with which clients are hashed.
const CLIENTS: &str = "clients of devices";

/// A device token that a client has sent.
#[derive(Clone, Debug)]
pub struct DeviceToken(SecretString);

/// The device token of a request's cookie.
#[derive(Clone, Debug)]
pub struct DeviceCookie(pub Option<DeviceToken>);

/// A device from which the account has signed in before.
#[derive(Clone, Debug)]
pub struct KnownDevice {
    token: DeviceToken,
}

impl DeviceToken {
    fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret()).into()
    }

    /// Returns the token, for the answer to a sign-in.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Returns the field of the response that sets the cookie.
    pub fn set_cookie(&self) -> [(HeaderName, HeaderValue); 1] {
        let (token, age_s) = (self.expose(), LIFE.as_secs());
        let cookie = format!(
            "{COOKIE_NAME}={token}; Path=/; Max-Age={age_s}; Secure; HttpOnly; SameSite=Strict"
        );
        let value = HeaderValue::from_str(&cookie).expect("a token of ours is hexadecimal");
        [(SET_COOKIE, value)]
    }
}

impl Field for DeviceToken {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let given = text(value)?;
        if given.chars().count() > MAX_CHARACTERS {
            let message = format!("must have at most {MAX_CHARACTERS} characters");
            return Err(FieldError::new("too_long", message));
        }
        Ok(Self(given.into()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for DeviceCookie {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let fields = parts.headers.get_all(COOKIE).iter();
        let pairs = fields.filter_map(|field| field.to_str().ok()).flat_map(|text| text.split(';'));
        let mut named = pairs.filter_map(|pair| pair.trim().split_once('='));
        let value = named.find(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value);
        let value = value.filter(|value| value.len() <= MAX_CHARACTERS);
        Ok(Self(value.map(|value| DeviceToken(value.into()))))
    }
}

/// Forgets the devices of an account except `kept`, in the transaction that replaces its password.
pub(crate) async fn forget_all(
    conn: &mut PgConnection,
    subject: &Subject,
    kept: Option<&DeviceToken>,
) -> Result<(), sqlx::Error> {
    let kept = kept.map(DeviceToken::hash);
    store::forget_all(conn, subject, kept.as_ref().map(|hash| &hash[..])).await
}

impl KnownDevice {
    pub(crate) fn hash(&self) -> [u8; 32] {
        self.token.hash()
    }
}

impl Foundation {
    /// Returns the device of a sign-in, if the account knows it. Without an account, the same
    /// statement finds nothing.
    ///
    /// # Errors
    /// `sqlx::Error` if the statement fails.
    pub async fn known_device(
        &self,
        conn: &mut PgConnection,
        subject: Option<&Subject>,
        given: Option<&DeviceToken>,
    ) -> Result<Option<KnownDevice>, sqlx::Error> {
        let Some(token) = given else { return Ok(None) };
        let nobody = Subject::User(String::new().into());
        let (subject, now) = (subject.unwrap_or(&nobody), self.clock.now());
        let is_known = store::is_known(conn, subject, &token.hash(), now).await?;
        Ok(is_known.then(|| KnownDevice { token: token.clone() }))
    }

    /// Stores the device of a sign-in that succeeded, in its transaction, and returns the token
    /// that the client gets. A device that the account does not know is told to the person, unless
    /// `is_first`: the sign-in of a registration.
    ///
    /// # Errors
    /// `sqlx::Error` if a statement fails.
    pub async fn remember_device(
        &self,
        conn: &mut PgConnection,
        subject: &Subject,
        known: Option<KnownDevice>,
        client: &Client,
        is_first: bool,
    ) -> Result<DeviceToken, sqlx::Error> {
        let now = self.clock.now();
        let until = now + LIFE;
        if let Some(KnownDevice { token }) = known
            && store::note_use(conn, &token.hash(), now, until).await?
        {
            return Ok(token);
        }
        let client_hash = self.client_hash(client);
        let is_new = !is_first && !store::has_client(conn, subject, &client_hash).await?;
        // A client that keeps no token would add a device with each sign-in, and evict the others.
        store::forget_unused(conn, subject, &client_hash).await?;
        let token: [u8; TOKEN_BYTES] = self.entropy.bytes();
        let token = DeviceToken(hex::encode(token).into());
        store::insert(conn, subject, &token.hash(), &client_hash, now, until).await?;
        store::forget_oldest(conn, subject, MAX_DEVICES).await?;
        if is_new {
            self.mailing().notify(conn, subject, Notice::NewDevice(client)).await?;
        }
        Ok(token)
    }

    /// Returns the keyed hash of user agent and network. The network of an IPv4 address has 24
    /// bits, that of an IPv6 address 48.
    fn client_hash(&self, client: &Client) -> [u8; 32] {
        let network = match client.address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => address.octets()[..3].to_vec(),
            Some(IpAddr::V6(address)) => address.octets()[..6].to_vec(),
            None => Vec::new(),
        };
        let agent = client.agent.as_deref().unwrap_or_default();
        let keys = self.key_ring.fingerprint_keys(CLIENTS);
        *keys.hashes(&[agent.as_bytes(), &network]).current()
    }
}
