//! Access and refresh tokens: JWTs with one algorithm per deployment. [`crate::sessions`] signs
//! them; the authorization of each request and each refresh verify them. Each claim and header is
//! checked by name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use gx_db::SessionId;
use gx_model::Clock;
use gx_serve::settings::duration;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

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
    /// The issuer that tokens name.
    #[arg(long, env = "GX_TOKEN_ISSUER", default_value = "gx-protocol")]
    pub token_issuer: String,
    /// Largest difference between the clocks of the machines that run services, such as 30s; at
    /// most 5m. A token is accepted this long before and after its time.
    #[arg(long, env = "GX_TOKEN_LEEWAY", default_value = "30s", value_parser = leeway)]
    pub token_leeway: Duration,
}

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

/// Why the settings give no usable keys.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// No secret and no key file is set.
    #[error("no key signs tokens: set GX_TOKEN_KEY_FILE, or JWT_SECRET with at least 32 bytes")]
    None,
    /// A secret and a key file are set.
    #[error("JWT_SECRET and GX_TOKEN_KEY_FILE are both set; set only one")]
    Both,
    /// The file cannot be read or written.
    #[error("the token key `{path}` cannot be read or written; check the path and its permissions")]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The file contains no usable key.
    #[error(
        "`{path}` contains no Ed25519 private key in PKCS#8 PEM: replace the file, or set \
         GX_TOKEN_KEY_FILE to another one"
    )]
    Key {
        /// Path of the file.
        path: PathBuf,
        /// Error of the key.
        source: jsonwebtoken::errors::Error,
    },
    /// The library could not create a key.
    #[error("an Ed25519 key cannot be created: try again, or create one with `openssl genpkey`")]
    Create,
}

/// A token that is rejected, with the reason for the log. Clients do not see the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token is rejected: {0}")]
pub struct InvalidToken(pub &'static str);

/// Signs and verifies tokens. Clones share the keys.
#[derive(Clone)]
pub struct Tokens(Arc<Keys>);

struct Keys {
    algorithm: Algorithm,
    signing: EncodingKey,
    kid: Option<String>,
    verifying: Vec<(Option<String>, DecodingKey)>,
    public: JwkSet,
    issuer: String,
    leeway_s: i64,
    clock: Clock,
}

/// Creates a key file that only its owner can read, unless the file exists.
///
/// # Errors
/// [`TokenKeyError`] if the file cannot be written.
pub fn create_key_file(path: &Path) -> Result<(), TokenKeyError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let file_error = |source| TokenKeyError::File { path: path.to_owned(), source };
    let random = aws_lc_rs::rand::SystemRandom::new();
    let der = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8v1(&random)
        .map_err(|_| TokenKeyError::Create)?;
    let body = BASE64_STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(file_error)
        }
        Err(exists) if exists.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(other) => Err(file_error(other)),
    }
}

impl Tokens {
    /// Reads the keys that the settings name.
    ///
    /// # Errors
    /// [`TokenKeyError`] if no key is set, if a secret and a key file are set, or if a file cannot
    /// be read.
    pub fn new(settings: &TokenSettings, clock: Clock) -> Result<Self, TokenKeyError> {
        let keys = match (&settings.jwt_secret, &settings.token_key_file) {
            (Some(_), Some(_)) => return Err(TokenKeyError::Both),
            (None, None) => return Err(TokenKeyError::None),
            (Some(secret), None) => shared_secret(secret, settings, clock),
            (None, Some(path)) => key_pair(path, settings, clock)?,
        };
        Ok(Self(Arc::new(keys)))
    }

    /// Returns the public keys, with which other programs verify tokens. Empty if a shared secret
    /// signs.
    pub fn public_keys(&self) -> &JwkSet {
        &self.0.public
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
        let mut header = Header::new(self.0.algorithm);
        header.typ = Some(token_use.typ().to_owned());
        header.kid.clone_from(&self.0.kid);
        jsonwebtoken::encode(&header, claims, &self.0.signing)
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
        let same = |(kid, _): &&(Option<String>, DecodingKey)| *kid == header.kid;
        let (_, key) =
            self.0.verifying.iter().find(same).ok_or(InvalidToken("signed by an unknown key"))?;
        let mut validation = Validation::new(self.0.algorithm);
        validation.set_audience(&[audience.name()]);
        validation.set_issuer(&[&self.0.issuer]);
        validation.set_required_spec_claims(&["iss", "sub", "aud", "exp", "nbf"]);
        // Times are compared below, with the clock that was passed in.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &validation)
            .map_err(|_| InvalidToken("wrong signature, issuer, audience or claims"))?
            .claims;
        let now = self.0.clock.now().unix_timestamp();
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
        return Err(InvalidToken("issued for another use"));
    }
    Ok(())
}

/// Returns the keys of a deployment that signs with a secret.
fn shared_secret(secret: &SecretString, settings: &TokenSettings, clock: Clock) -> Keys {
    let bytes = secret.expose_secret().as_bytes();
    Keys {
        algorithm: Algorithm::HS256,
        signing: EncodingKey::from_secret(bytes),
        kid: None,
        verifying: vec![(None, DecodingKey::from_secret(bytes))],
        public: JwkSet { keys: Vec::new() },
        issuer: settings.token_issuer.clone(),
        leeway_s: settings.leeway_s(),
        clock,
    }
}

/// Returns the keys of a deployment that signs with a key file, and accepts older files.
fn key_pair(path: &Path, settings: &TokenSettings, clock: Clock) -> Result<Keys, TokenKeyError> {
    let (signing, newest) = read_key(path)?;
    let kid = newest.common.key_id.clone();
    let mut public = vec![newest];
    for old in &settings.token_old_key_files {
        public.push(read_key(old)?.1);
    }
    let verifying = public
        .iter()
        .map(|jwk| Ok((jwk.common.key_id.clone(), DecodingKey::from_jwk(jwk)?)))
        .collect::<Result<_, _>>()
        .map_err(|source| TokenKeyError::Key { path: path.to_owned(), source })?;
    Ok(Keys {
        algorithm: Algorithm::EdDSA,
        signing,
        kid,
        verifying,
        public: JwkSet { keys: public },
        issuer: settings.token_issuer.clone(),
        leeway_s: settings.leeway_s(),
        clock,
    })
}

/// Reads a key file and returns the private key and its public key, whose id is its thumbprint.
fn read_key(path: &Path) -> Result<(EncodingKey, Jwk), TokenKeyError> {
    let pem = std::fs::read_to_string(path)
        .map_err(|source| TokenKeyError::File { path: path.to_owned(), source })?;
    let parse = || {
        let key = EncodingKey::from_ed_pem(pem.as_bytes())?;
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA)?;
        jwk.common.key_id = Some(jwk.thumbprint(ThumbprintHash::SHA256)?);
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok((key, jwk))
    };
    parse().map_err(|source| TokenKeyError::Key { path: path.to_owned(), source })
}
