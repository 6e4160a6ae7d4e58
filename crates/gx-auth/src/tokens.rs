//! Access and refresh tokens: JWTs with one algorithm per deployment. [`crate::sessions`] signs
//! them; the authorization of each request and each refresh verify them. Each claim and header is
//! checked by name.

use std::ops::DerefMut;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use gx_db::{PgConnection, SessionId};
use gx_model::Clock;
use gx_serve::Problem;
use gx_serve::problem::ErrorChain;
use gx_serve::settings::duration;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::key_ring::KeyRing;
use crate::token_keys::{KeySet, SigningKey, TokenKeyError, read_key};

/// Shortest HMAC secret: 256 bits.
const MIN_SECRET_BYTES: usize = 32;
/// Limit of a token's length; longer tokens are not parsed.
const MAX_TOKEN_BYTES: usize = 4096;

/// Keys and lifetimes of tokens.
#[derive(Clone, Debug, clap::Args)]
pub struct TokenSettings {
    /// Secret that signs tokens by HS256, at least 32 bytes; without it GX_TOKEN_KEY_FILE signs.
    #[arg(long, env = "JWT_SECRET", hide_env_values = true, value_parser = strong_secret)]
    pub jwt_secret: Option<SecretString>,
    /// File with the Ed25519 private key (PKCS#8 PEM) that signs tokens.
    #[arg(long, env = "GX_TOKEN_KEY_FILE")]
    pub token_key_file: Option<PathBuf>,
    /// Files with keys that signed before and are still accepted, separated by commas.
    #[arg(long, env = "GX_TOKEN_OLD_KEY_FILES", value_delimiter = ',')]
    pub token_old_key_files: Vec<PathBuf>,
    /// How long an access token is valid, such as 24h.
    #[arg(long, env = "JWT_EXPIRY", default_value = "24h", value_parser = duration)]
    pub jwt_expiry: Duration,
    /// How long a refresh token is valid unless it is used, such as 7d.
    #[arg(long, env = "JWT_REFRESH_EXPIRY", default_value = "7d", value_parser = duration)]
    pub jwt_refresh_expiry: Duration,
    /// How long a person stays signed in at most, even if tokens are refreshed.
    #[arg(long, env = "GX_SESSION_LIFETIME", default_value = "30d", value_parser = duration)]
    pub session_lifetime: Duration,
    /// How long an administrator stays signed in at most.
    #[arg(long, env = "GX_ADMIN_SESSION_LIFETIME", default_value = "12h", value_parser = duration)]
    pub admin_session_lifetime: Duration,
    /// How long an administrator's session may be unused, such as 30m; at least 1m.
    #[arg(long, env = "GX_ADMIN_SESSION_IDLE", default_value = "30m", value_parser = idle_limit)]
    pub admin_session_idle: Duration,
    /// The issuer that tokens name.
    #[arg(long, env = "GX_TOKEN_ISSUER", default_value = "gx-protocol")]
    pub token_issuer: String,
    /// Largest difference between the clocks of the machines that run services, such as 30s; at
    /// most 5m. A token is accepted this long before and after its time.
    #[arg(long, env = "GX_TOKEN_LEEWAY", default_value = "30s", value_parser = leeway)]
    pub token_leeway: Duration,
}

/// Lifetime of a token that enrols a second factor.
pub(crate) const ENROLMENT_LIFE: Duration = Duration::from_mins(10);
/// Time after which the keys of the database are read again.
pub(crate) const KEYS_MAX_AGE: time::Duration = time::Duration::seconds(30);
/// Time after which the keys are read again for a token of an unknown key.
pub(crate) const KEYS_MIN_AGE: time::Duration = time::Duration::seconds(1);
/// Time for which a process may still sign with a key after the next one has begun: many times
/// [`KEYS_MAX_AGE`].
const LATE_LOOK: Duration = Duration::from_mins(10);

/// Shortest idle limit of sessions.
const MIN_IDLE_LIMIT: Duration = Duration::from_mins(1);
/// Limit of the leeway, so that expired tokens are rejected.
const MAX_LEEWAY: Duration = Duration::from_mins(5);

fn leeway(text: &str) -> Result<Duration, String> {
    let zero = text.trim_end_matches('s') == "0";
    let leeway = if zero { Duration::ZERO } else { duration(text)? };
    if leeway > MAX_LEEWAY {
        return Err(format!("must be at most {} seconds", MAX_LEEWAY.as_secs()));
    }
    Ok(leeway)
}

fn idle_limit(text: &str) -> Result<Duration, String> {
    let limit = duration(text)?;
    if limit < MIN_IDLE_LIMIT {
        return Err("must be at least 1m".to_owned());
    }
    Ok(limit)
}

fn strong_secret(text: &str) -> Result<SecretString, String> {
    if text.len() < MIN_SECRET_BYTES {
        return Err(format!(
            "must have at least {MIN_SECRET_BYTES} bytes; create one with `openssl rand -base64 48`"
        ));
    }
    Ok(text.into())
}

impl TokenSettings {
    fn leeway_s(&self) -> i64 {
        i64::try_from(self.token_leeway.min(MAX_LEEWAY).as_secs()).expect("minutes fit")
    }

    /// Returns the time after the last signature of a key for which a token of it may be valid.
    fn accepted_for(&self) -> time::Duration {
        let life = self.jwt_expiry.max(self.jwt_refresh_expiry).max(ENROLMENT_LIFE);
        let longest = life.saturating_add(self.token_leeway).saturating_add(LATE_LOOK);
        time::Duration::try_from(longest).unwrap_or(time::Duration::MAX)
    }
}

/// The services that accept a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// For people, at svc-identity and svc-tokenomics.
    User,
    /// For administrators, at svc-admin.
    Admin,
}

/// The permitted use of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// Calling routes.
    Access,
    /// Getting new tokens.
    Refresh,
    /// Enrolling the second factor without which an administrator cannot sign in.
    Enrolment,
}

impl Audience {
    const fn name(self) -> &'static str {
        match self {
            Self::User => "gx-user",
            Self::Admin => "gx-admin",
        }
    }
}

impl TokenUse {
    /// Returns the header's `typ` (RFC 9068 defines the first).
    const fn typ(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Refresh => "rt+jwt",
            Self::Enrolment => "enrolment+jwt",
        }
    }
}

/// The claims of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// Id of the person or administrator.
    pub sub: String,
    /// Audience.
    pub aud: String,
    /// End of validity, in seconds since 1970.
    pub exp: i64,
    /// Start of validity, in seconds since 1970.
    pub nbf: i64,
    /// Time of issue, in seconds since 1970.
    pub iat: i64,
    /// Id of the token.
    pub jti: String,
    /// The session behind it.
    pub sid: SessionId,
    /// Tenant.
    pub tenant: String,
    /// The administrator's role when the token was issued. The current role is in the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The version of the password with which a token without a session was obtained. Another
    /// password ends the token.
    #[serde(rename = "pwv", skip_serializing_if = "Option::is_none")]
    pub password_version: Option<String>,
}

/// A token that is rejected, with the reason for the log. Clients do not see the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token is rejected: {0}")]
pub struct InvalidToken(pub &'static str);

impl InvalidToken {
    /// The key that signed is not known. It may have been added since the last look.
    pub(crate) const UNKNOWN_KEY: Self = Self("signed by an unknown key");
    /// The type in the header is that of another use.
    const OTHER_USE: Self = Self("issued for another use");
}

/// Signs and verifies tokens. Clones share the keys.
#[derive(Clone)]
pub struct Tokens(Arc<Shared>);

struct Shared {
    algorithm: Algorithm,
    keys: RwLock<Arc<KeySet>>,
    /// Decrypts the keys of the database. `None` if a shared secret signs, which is not replaced by
    /// them.
    ring: Option<KeyRing>,
    look: Mutex<Look>,
    issuer: String,
    leeway_s: i64,
    clock: Clock,
}

/// The last look at the keys of the database.
#[derive(Default)]
struct Look {
    at: Option<OffsetDateTime>,
    /// Whether any look has succeeded.
    has_succeeded: bool,
    /// The key that this process cannot use, and why.
    unusable: Option<String>,
}

/// A look that is under way. One that fails or is dropped does not count, so that the next request
/// looks again.
struct Looking<'a> {
    tokens: &'a Tokens,
    has_ended: bool,
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.tokens.look().at = None;
        }
    }
}

impl Tokens {
    /// Reads the keys that the settings name. Those of the database are read before the first token
    /// is signed or verified.
    ///
    /// # Errors
    /// [`TokenKeyError`] if no key is set, if a secret and a key file are set, or if a file cannot
    /// be read.
    pub fn new(
        settings: &TokenSettings,
        ring: KeyRing,
        clock: Clock,
    ) -> Result<Self, TokenKeyError> {
        let (algorithm, ring, first, old) = match (&settings.jwt_secret, &settings.token_key_file) {
            (Some(_), Some(_)) => return Err(TokenKeyError::Both),
            (None, None) => return Err(TokenKeyError::None),
            (Some(secret), None) => {
                let key = SigningKey::shared_secret(secret.expose_secret().as_bytes());
                (Algorithm::HS256, None, key, Vec::new())
            }
            (None, Some(path)) => {
                let old = settings.token_old_key_files.iter().map(|path| read_key(path));
                let old = old.collect::<Result<Vec<_>, _>>()?;
                (Algorithm::EdDSA, Some(ring), read_key(path)?, old)
            }
        };
        let keys = KeySet::new(first, old, settings.accepted_for());
        Ok(Self(Arc::new(Shared {
            algorithm,
            keys: RwLock::new(Arc::new(keys)),
            ring,
            look: Mutex::default(),
            issuer: settings.token_issuer.clone(),
            leeway_s: settings.leeway_s(),
            clock,
        })))
    }

    /// Returns the public keys with which other programs verify tokens, also those of keys that
    /// will sign later. Empty if a shared secret signs.
    pub fn public_keys(&self) -> JwkSet {
        let keys = self.keys();
        let accepted = keys.accepted(self.0.clock.now());
        JwkSet { keys: accepted.filter_map(|key| key.public.clone()).collect() }
    }

    fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn look(&self) -> MutexGuard<'_, Look> {
        self.0.look.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the caller must look for keys, because the last look was `max_age` ago or
    /// none has succeeded. If one caller looks again, others use the known keys meanwhile.
    fn begin_look(&self, max_age: time::Duration) -> bool {
        if self.0.ring.is_none() {
            return false;
        }
        let now = self.0.clock.now();
        let mut look = self.look();
        let is_old = look.at.is_none_or(|at| now - at >= max_age || now < at);
        if is_old {
            look.at = Some(now);
        }
        is_old || !look.has_succeeded
    }

    /// Reads the keys of the database if the last look was `max_age` ago. `conn` is asked for a
    /// connection then. If a key cannot be used, an error is logged and the others are used.
    ///
    /// # Errors
    /// The problem of a database failure, or of a key that cannot be used if no look has succeeded.
    pub(crate) async fn learn_keys<C>(
        &self,
        max_age: time::Duration,
        conn: impl Future<Output = Result<C, Problem>>,
    ) -> Result<(), Problem>
    where
        C: DerefMut<Target = PgConnection>,
    {
        let Some(ring) = self.0.ring.as_ref().filter(|_| self.begin_look(max_age)) else {
            return Ok(());
        };
        let mut looking = Looking { tokens: self, has_ended: false };
        let (keys, unusable) = self.keys().read(&mut *conn.await?, ring).await?;
        looking.has_ended = true;
        match unusable {
            Some(error) if !self.has_learned_keys() => return Err(Problem::internal(&error)),
            Some(error) => {
                tracing::error!(error = %ErrorChain(&error),
                    "a key that signs tokens cannot be used here; check GX_MASTER_KEY_FILE");
                self.look().unusable = Some(ErrorChain(&error).to_string());
            }
            None => {
                let mut look = self.look();
                (look.has_succeeded, look.unusable) = (true, None);
            }
        }
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    /// Returns whether the keys of the database were read once, or are not used.
    pub(crate) fn has_learned_keys(&self) -> bool {
        self.0.ring.is_none() || self.look().has_succeeded
    }

    /// Returns why this process cannot use a key that others use, for the health report.
    pub(crate) fn unusable_key(&self) -> Option<String> {
        self.look().unusable.clone()
    }

    /// Returns the issuer that tokens name.
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// Signs claims.
    ///
    /// # Errors
    /// The library's error if signing fails.
    pub fn sign(
        &self,
        token_use: TokenUse,
        claims: &Claims,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let keys = self.keys();
        let issued = OffsetDateTime::from_unix_timestamp(claims.iat);
        let key = keys.signer(issued.unwrap_or_else(|_| self.0.clock.now()));
        let mut header = Header::new(self.0.algorithm);
        header.typ = Some(token_use.typ().to_owned());
        header.kid.clone_from(&key.id);
        jsonwebtoken::encode(&header, claims, &key.signing)
    }

    /// Verifies a token of one of these uses and returns its use and its claims.
    ///
    /// # Errors
    /// [`InvalidToken`] with the reason.
    pub(crate) fn verify_any(
        &self,
        token: &str,
        uses: &[TokenUse],
        audience: Audience,
    ) -> Result<(TokenUse, Claims), InvalidToken> {
        for token_use in uses {
            match self.verify(token, *token_use, audience) {
                Err(InvalidToken::OTHER_USE) => {}
                verified => return verified.map(|claims| (*token_use, claims)),
            }
        }
        Err(InvalidToken::OTHER_USE)
    }

    /// Verifies a token and returns its claims.
    ///
    /// # Errors
    /// [`InvalidToken`] with the reason, for the log. The client gets 401 without it.
    pub fn verify(
        &self,
        token: &str,
        token_use: TokenUse,
        audience: Audience,
    ) -> Result<Claims, InvalidToken> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(InvalidToken("too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| InvalidToken("not a JWT"))?;
        check_header(&header, token_use)?;
        let (keys, now) = (self.keys(), self.0.clock.now());
        let mut accepted = keys.accepted(now);
        let key = accepted.find(|key| key.id == header.kid).ok_or(InvalidToken::UNKNOWN_KEY)?;
        let mut validation = Validation::new(self.0.algorithm);
        validation.set_audience(&[audience.name()]);
        validation.set_issuer(&[&self.0.issuer]);
        validation.set_required_spec_claims(&["iss", "sub", "aud", "exp", "nbf"]);
        // Times are compared below, with the clock that was passed in.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.verifying, &validation)
            .map_err(|_| InvalidToken("wrong signature, issuer, audience or claims"))?
            .claims;
        let now = now.unix_timestamp();
        let leeway_s = self.0.leeway_s;
        if claims.exp <= now - leeway_s {
            return Err(InvalidToken("expired"));
        }
        if claims.nbf > now + leeway_s || claims.iat > now + leeway_s {
            return Err(InvalidToken("not valid yet"));
        }
        Ok(claims)
    }

    /// Creates the claims of a token.
    pub(crate) fn claims(&self, of: ClaimsContent<'_>) -> Claims {
        let issued = of.issued.unix_timestamp();
        Claims {
            iss: self.0.issuer.clone(),
            sub: of.subject.to_owned(),
            aud: of.audience.name().to_owned(),
            exp: of.until.unix_timestamp(),
            nbf: issued,
            iat: issued,
            jti: of.token_id,
            sid: of.session_id.clone(),
            tenant: "default".to_owned(),
            role: of.role.map(str::to_owned),
            password_version: of.password_version,
        }
    }
}

/// Content of [`Claims`].
pub(crate) struct ClaimsContent<'a> {
    pub(crate) subject: &'a str,
    pub(crate) session_id: &'a SessionId,
    pub(crate) audience: Audience,
    pub(crate) role: Option<&'a str>,
    pub(crate) password_version: Option<String>,
    pub(crate) token_id: String,
    pub(crate) issued: OffsetDateTime,
    pub(crate) until: OffsetDateTime,
}

/// Rejects headers with keys of their own, and tokens of another use.
fn check_header(header: &Header, token_use: TokenUse) -> Result<(), InvalidToken> {
    let has_a_key = header.jku.is_some()
        || header.jwk.is_some()
        || header.x5u.is_some()
        || header.x5c.is_some()
        || header.crit.is_some();
    if has_a_key {
        return Err(InvalidToken("the header contains a key or an extension"));
    }
    if header.typ.as_deref() != Some(token_use.typ()) {
        return Err(InvalidToken::OTHER_USE);
    }
    Ok(())
}
