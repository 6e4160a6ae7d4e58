//! A service in process, with a database of its own and a clock that tests move. Every
//! answer is checked against the service's OpenAPI document (API-09).

#![allow(clippy::unwrap_used, clippy::panic, clippy::missing_panics_doc, reason = "for tests only")]

use axum::Router;
use axum::body::Body;
use gx_db::testing::TestDatabase;
use gx_model::{AccountStatus, Clock, DenialFinality};
use gx_serve::{Client, Entropy, Service, conformity};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use secrecy::SecretString;
use serde_json::Value;
use time::macros::datetime;
use tower::ServiceExt;

use crate::foundation::{Foundation, FoundationSettings};
use crate::hashing::HashingSettings;
use crate::role::AdminRole;
use crate::sessions::{Realm, TokenPair};
use crate::tokens::{TokenSettings, create_key_file};

/// A password that the policy accepts.
pub const PASSWORD: &str = "SecurePassword123!";
/// What no answer contains (API-07): hashes by their form and their columns, the password.
const SECRETS: [&str; 6] =
    ["$argon2", "passwordHash", "biometricHash", "refreshHash", "BEGIN PRIVATE", PASSWORD];
/// Pages that are the same for everybody.
const DOCUMENTS: [&str; 3] = ["/docs", "/openapi.json", "/metrics"];
/// The ledger channel whose lag is reported.
pub const CHANNEL: &str = "gxchannel";

/// A service that answers in process.
pub struct TestHost {
    /// The service.
    pub service: Service,
    /// What it is built on.
    pub base: Foundation,
    /// Its database.
    pub database: TestDatabase,
    /// Its time.
    pub clock: Clock,
    router: Router,
    document: Value,
}

/// Settings with a key file made for the test.
pub fn token_settings() -> TokenSettings {
    let folder = tempfile::tempdir().unwrap().keep();
    let key = folder.join("token-key.pem");
    create_key_file(&key).unwrap();
    TokenSettings {
        jwt_secret: None,
        token_key_file: Some(key),
        token_old_key_files: Vec::new(),
        jwt_expiry: std::time::Duration::from_secs(86_400),
        jwt_refresh_expiry: std::time::Duration::from_secs(7 * 86_400),
        session_lifetime: std::time::Duration::from_secs(30 * 86_400),
        admin_session_lifetime: std::time::Duration::from_secs(12 * 3_600),
        token_issuer: "gx-protocol".to_owned(),
    }
}

impl TestHost {
    /// Builds the service on a database of its own.
    pub async fn new(build: impl FnOnce(Foundation) -> Service) -> Self {
        Self::with(TestDatabase::create().await, Entropy::system(), build).await
    }

    /// Builds the service on that database with that randomness.
    pub async fn with(
        database: TestDatabase,
        entropy: Entropy,
        build: impl FnOnce(Foundation) -> Service,
    ) -> Self {
        let clock = Clock::manual(datetime!(2026-03-01 12:00:00.123 UTC));
        let tokens = token_settings();
        let key = tokens.token_key_file.clone();
        let settings = FoundationSettings {
            tokens,
            hashing: HashingSettings::default(),
            lag: gx_serve::LagSettings::default(),
        };
        let pool = gx_db::connect(&database.settings()).await.unwrap();
        let base = Foundation::new(&settings, CHANNEL, pool, clock.clone(), entropy).unwrap();
        if let Some(folder) = key.as_ref().and_then(|key| key.parent()) {
            std::fs::remove_dir_all(folder).unwrap();
        }
        let service = build(base.clone());
        let document = serde_json::to_value(&service.openapi).unwrap();
        let router = service.public(true);
        Self { service, base, database, clock, router, document }
    }

    /// A request, to be completed.
    pub fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        Ask { host: self, request: Request::builder().method(method).uri(path), body: Vec::new() }
    }

    /// `GET`.
    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask("GET", path).token(token).send().await
    }

    /// `POST` with a JSON body.
    pub async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.ask("POST", path).token(token).json(body).send().await
    }

    /// Adds a person in that status, complete for review; gives the profile's id.
    pub async fn add_person(&self, email: &str, status: AccountStatus) -> String {
        let hash = self.base.auth.hasher.hash(&PASSWORD.into()).await.unwrap();
        let now = self.clock.now();
        let id = self.base.entropy.id(now).to_string();
        let digits = u32::from_be_bytes(self.base.entropy.bytes()) % 10_000_000;
        sqlx::query(
            r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email, "phoneNum",
                   "passwordHash", "dateOfBirth", gender, "nationalityCountryCode", status,
                   "createdAt", "updatedAt")
               VALUES ($1, 'Sarah', 'Johnson', $2, $3, $4, '1992-08-20', 'female', 'MY', $5, $6, $6)"#,
        )
        .bind(&id)
        .bind(email)
        .bind(format!("+6012{digits:07}"))
        .bind(hash)
        .bind(status.name())
        .bind(now)
        .execute(self.database.pool())
        .await
        .unwrap();
        id
    }

    /// Sets the finality of a denial.
    pub async fn set_denial(&self, profile_id: &str, finality: DenialFinality) {
        sqlx::query(r#"UPDATE "UserProfile" SET "denialFinality" = $2 WHERE "profileId" = $1"#)
            .bind(profile_id)
            .bind(finality.name())
            .execute(self.database.pool())
            .await
            .unwrap();
    }

    /// Opens a session for a person without a password.
    pub async fn session_of(&self, profile_id: &str) -> TokenPair {
        self.session(Realm::User, profile_id, None).await
    }

    /// Adds an administrator of that role and opens a session.
    pub async fn add_administrator(&self, role: AdminRole) -> TokenPair {
        let now = self.clock.now();
        let id = self.base.entropy.id(now).to_string();
        sqlx::query(
            r#"INSERT INTO "AdminUser" ("adminId", email, "displayName", role, "passwordHash",
                   "createdAt", "updatedAt")
               VALUES ($1, $2, 'An administrator', $3, 'none', $4, $4)"#,
        )
        .bind(&id)
        .bind(format!("{id}@gxtest.com"))
        .bind(role.name())
        .bind(now)
        .execute(self.database.pool())
        .await
        .unwrap();
        self.session(Realm::Admin, &id, Some(role.name())).await
    }

    async fn session(&self, realm: Realm, subject: &str, role: Option<&str>) -> TokenPair {
        let mut conn = self.base.connection().await.unwrap();
        let client = Client::default();
        self.base.auth.sessions.open(&mut conn, realm, subject, role, &client).await.unwrap()
    }

    /// How many rows the tables have that a request could have written.
    pub async fn rows(&self) -> i64 {
        sqlx::query_scalar(
            r#"SELECT (SELECT count(*) FROM "UserProfile") + (SELECT count(*) FROM "UserSession")
                    + (SELECT count(*) FROM "AuditLog") + (SELECT count(*) FROM "OutboxCommand")
                    + (SELECT count(*) FROM "KYCVerification")
                    + (SELECT count(*) FROM "FabricIdReservation")"#,
        )
        .fetch_one(self.database.pool())
        .await
        .unwrap()
    }
}

/// A request that is being made.
pub struct Ask<'a> {
    host: &'a TestHost,
    request: http::request::Builder,
    body: Vec<u8>,
}

impl Ask<'_> {
    /// Sends the token; an empty one is not sent.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        if token.is_empty() {
            self
        } else {
            self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
        }
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Sends a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.bytes("application/json", body.to_string().into_bytes())
    }

    /// Sends any body.
    #[must_use]
    pub fn bytes(self, content_type: &str, body: Vec<u8>) -> Self {
        let mut ask = self.header(CONTENT_TYPE.as_str(), content_type);
        ask.body = body;
        ask
    }

    /// Sends it, and checks the answer against the OpenAPI document.
    pub async fn send(self) -> Answer {
        let (router, document) = (self.host.router.clone(), self.host.document.clone());
        self.exchange(router, &document).await
    }

    /// Sends it to another service on the same foundation.
    pub async fn send_to(self, service: &Service) -> Answer {
        let document = serde_json::to_value(&service.openapi).unwrap();
        self.exchange(service.public(true), &document).await
    }

    async fn exchange(self, router: Router, document: &Value) -> Answer {
        let request = self.request.body(Body::from(self.body)).unwrap();
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        let response = router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let (status, headers) = (parts.status, parts.headers);
        if path.starts_with("/api/") || path.starts_with("/.well-known/") {
            conformity::check(document, &method, &path, status, &headers, &body)
                .unwrap_or_else(|why| panic!("{why}\n{}", String::from_utf8_lossy(&body)));
        }
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let text = String::from_utf8_lossy(&body).into_owned();
        for secret in SECRETS.iter().filter(|_| !DOCUMENTS.contains(&path.as_str())) {
            assert!(!text.contains(secret), "{method} {path} shows {secret}: {text}");
        }
        Answer { status, headers, json, text }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body, if it is JSON.
    pub json: Value,
    /// Its body.
    pub text: String,
}

impl Answer {
    /// The status, to compare.
    pub fn code(&self) -> u16 {
        self.status.as_u16()
    }

    /// The problem's stable code.
    pub fn problem(&self) -> &str {
        self.json["code"].as_str().unwrap_or("no problem")
    }

    /// Pointers of the fields that are wrong.
    pub fn pointers(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array().into_iter().flatten();
        errors.filter_map(|error| error["pointer"].as_str()).collect()
    }

    /// A text of the body.
    pub fn text_at(&self, pointer: &str) -> &str {
        self.json
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no text at {pointer} in {}", self.json))
    }
}

/// The password, as hashers take it.
pub fn password() -> SecretString {
    PASSWORD.into()
}
