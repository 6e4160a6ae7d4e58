//! A service in process for tests, with its own database and a clock that tests move. Every
//! response is checked against the OpenAPI document (API-09).

#![expect(clippy::unwrap_used, clippy::panic, reason = "for tests only")]

mod ask;
mod authenticator;
mod mails;

use std::task::Poll;

use axum::Router;
use gx_db::DatabaseSettings;
use gx_db::testing::TestDatabase;
use gx_model::{AccountStatus, Clock, DenialFinality};
use gx_serve::{Client, Entropy, RateLimitSettings, RouteAccess, RouteInfo, Service};
use http::Request;
use secrecy::SecretString;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use time::macros::datetime;

pub use self::ask::{Answer, Ask};
pub use self::authenticator::{AuthenticatorOutput, SoftPasskey};
pub use self::mails::{code_in, token_in};
use crate::foundation::{Foundation, FoundationSettings};
use crate::hashing::HashingSettings;
use crate::key_ring::{self, KeyRing};
use crate::realm::Subject;
use crate::relying_party::{PasskeySettings, RelyingParty};
use crate::role::AdminRole;
use crate::sessions::TokenPair;
use crate::token_keys::create_key_file;
use crate::tokens::TokenSettings;

/// A password that the rules accept.
pub const PASSWORD: &str = "SecurePassword123!";
/// How long a request waits for a lock, in milliseconds.
const LOCK_TIMEOUT_MS: u64 = 60_000;
/// Limit of the wait for sessions of the database.
const BOUND: std::time::Duration = std::time::Duration::from_secs(60);
/// Id in the examples of the OpenAPI documents.
pub const EXAMPLE_ID: &str = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91";
/// The ledger channel whose lag is reported.
pub const CHANNEL: &str = "gxchannel";

/// A service in process.
pub struct TestHost {
    /// The service.
    pub service: Service,
    /// Shared resources of the service.
    pub base: Foundation,
    /// Its database.
    pub database: TestDatabase,
    /// Its clock.
    pub clock: Clock,
    router: Router,
}

/// Returns settings with a new key file.
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
        admin_session_idle: std::time::Duration::from_secs(30 * 60),
        token_issuer: "gx-protocol".to_owned(),
        token_leeway: std::time::Duration::from_secs(30),
    }
}

/// Returns the domain of passkeys with the local origins of both realms, because a host does not
/// know which service it has.
fn local_relying_party() -> RelyingParty {
    let origins = ["http://localhost:3001", "http://localhost:3006"].map(str::to_owned);
    RelyingParty::new("localhost", &origins).unwrap()
}

/// Returns a key ring with one key, which draws nonces from this random source.
pub fn key_ring(entropy: Entropy) -> KeyRing {
    KeyRing::parse(&key_ring::new_line(1, &Entropy::seeded(0)), entropy).unwrap()
}

impl TestHost {
    /// Builds the service with these rate limits, which are out of reach in other hosts.
    pub async fn limited(
        limits: RateLimitSettings,
        build: impl FnOnce(Foundation) -> Service,
    ) -> Self {
        let database = TestDatabase::create().await;
        let settings = database.settings();
        Self::start(&settings, database, limits, Entropy::system(), build).await
    }

    /// Builds the service with its own database.
    pub async fn new(build: impl FnOnce(Foundation) -> Service) -> Self {
        Self::with(TestDatabase::create().await, Entropy::system(), build).await
    }

    /// Builds the service with this database and random source.
    pub async fn with(
        database: TestDatabase,
        entropy: Entropy,
        build: impl FnOnce(Foundation) -> Service,
    ) -> Self {
        let mut settings = database.settings();
        // On a busy machine, a request that waits for a row or a lock must not fail.
        settings.session.database_lock_timeout_ms = LOCK_TIMEOUT_MS;
        Self::on(&settings, database, entropy, build).await
    }

    /// Builds the service with this database and these settings of the connection.
    pub async fn on(
        reached: &DatabaseSettings,
        database: TestDatabase,
        entropy: Entropy,
        build: impl FnOnce(Foundation) -> Service,
    ) -> Self {
        Self::start(reached, database, RateLimitSettings::generous(), entropy, build).await
    }

    async fn start(
        reached: &DatabaseSettings,
        database: TestDatabase,
        limits: RateLimitSettings,
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
            limits,
            passkeys: PasskeySettings::default(),
        };
        let pool = gx_db::connect(reached).await.unwrap();
        let ring = key_ring(entropy.clone());
        let base = Foundation::new(&settings, CHANNEL, pool, ring, clock.clone(), entropy);
        let mut base = base.unwrap();
        base.is_development = true;
        base.relying_party = Some(local_relying_party());
        if let Some(folder) = key.as_ref().and_then(|key| key.parent()) {
            std::fs::remove_dir_all(folder).unwrap();
        }
        let service = build(base.clone());
        let router = service.public(true);
        Self { service, base, database, clock, router }
    }

    /// Creates a request, to be completed and sent.
    pub fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        Ask { host: self, request: Request::builder().method(method).uri(path), body: Vec::new() }
    }

    /// Sends a `GET`.
    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask("GET", path).token(token).send().await
    }

    /// Sends a `POST` with a JSON body.
    pub async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.ask("POST", path).token(token).json(body).send().await
    }

    /// Adds a person with this status and all documents, and returns the `profileId`.
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
        self.session(&Subject::User(profile_id.to_owned().into()), None).await
    }

    /// Adds an administrator with this role and opens a session.
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
        self.session(&Subject::Admin(id.into()), Some(role.name())).await
    }

    async fn session(&self, subject: &Subject, role: Option<&str>) -> TokenPair {
        let mut conn = self.base.connection().await.unwrap();
        let client = Client::default();
        self.base.auth.sessions.open(&mut conn, subject, role, &client).await.unwrap()
    }

    /// Asks every route of a service for people as each kind of caller: without a token and with an
    /// administrator's token the answer is 401, with the token of an active person it is neither
    /// 401 nor 403. Returns the routes that anybody may use.
    pub async fn check_access_of_people(&self) -> Vec<&str> {
        let person = self.add_person("access@gxtest.com", AccountStatus::Active).await;
        let administrator = self.add_administrator(AdminRole::SuperAdmin).await.access_token;
        let mut public = Vec::new();
        for RouteInfo { method, path, access, .. } in &self.service.routes {
            match access {
                RouteAccess::Public => {
                    public.push(path.as_str());
                    continue;
                }
                RouteAccess::User | RouteAccess::UserRetrying => {}
                RouteAccess::Admin(_) | RouteAccess::AdminEnrolling => {
                    panic!("{path} is open to administrators")
                }
            }
            let segments = path.split('/');
            let named = segments.map(|part| if part.starts_with('{') { "nobody" } else { part });
            let url = named.collect::<Vec<_>>().join("/");
            let code = async |token: &str| self.ask(method, &url).token(token).send().await.code();
            assert_eq!(code("").await, 401, "{method} {path} without a token");
            assert_eq!(code(&administrator).await, 401, "{method} {path} for an administrator");
            let own = code(&self.session_of(&person).await.access_token).await;
            assert!(![401, 403].contains(&own), "{method} {path}: {own} for a person");
        }
        public
    }

    /// Sends the example of each body in the document, with a token of its own, and returns the
    /// routes that succeeded. Panics if an example is refused before the route looks at its data.
    pub async fn try_examples(&self, token: impl AsyncFn() -> String) -> Vec<String> {
        const OF_REQUESTS: [&str; 6] = [
            "validation_failed",
            "malformed_json",
            "bad_request",
            "idempotency_key_required",
            "unauthenticated",
            "forbidden",
        ];
        let mut succeeded = Vec::new();
        for RouteInfo { method, path, .. } in &self.service.routes {
            let operation = &self.service.openapi["paths"][path][method.to_lowercase()];
            let body = operation.pointer("/requestBody/content/application~1json/example");
            let Some(body) = body else { continue };
            let id = if path.contains("dead-events") { "1" } else { EXAMPLE_ID };
            let named = path.split('/').map(|part| if part.starts_with('{') { id } else { part });
            let ask = self.ask(method, &named.collect::<Vec<_>>().join("/"));
            let ask = ask.header("idempotency-key", "an-example").token(&token().await);
            let answer = ask.json(body).send().await;
            let is_read = !OF_REQUESTS.contains(&answer.problem());
            assert!(is_read, "{method} {path} with {body}: {}", answer.text);
            if answer.status.is_success() {
                succeeded.push(format!("{method} {path}"));
            }
        }
        succeeded
    }

    /// Returns a session of the database that holds the statement's locks until it is dropped.
    pub async fn holding(&self, statement: &'static str) -> PgConnection {
        let mut conn = self.database.connection().await;
        sqlx::query("BEGIN").execute(&mut conn).await.unwrap();
        sqlx::query(statement).execute(&mut conn).await.unwrap();
        conn
    }

    /// Waits until exactly this many sessions wait for a lock. Panics if there are more.
    pub async fn waiting_for_locks(&self, sessions: i64) {
        let mut conn = self.database.connection().await;
        let waiting = async {
            loop {
                let found: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'",
                )
                .fetch_one(&mut conn)
                .await
                .unwrap();
                assert!(found <= sessions, "{found} sessions wait for a lock");
                if found == sessions {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(BOUND, waiting).await.expect("sessions wait for a lock");
    }

    /// Returns the number of rows in the tables that a request can write.
    pub async fn rows(&self) -> i64 {
        sqlx::query_scalar(
            r#"SELECT (SELECT count(*) FROM "UserProfile") + (SELECT count(*) FROM "UserSession")
                    + (SELECT count(*) FROM "AuditEntry") + (SELECT count(*) FROM "OutboxCommand")
                    + (SELECT count(*) FROM "KYCVerification")
                    + (SELECT count(*) FROM "FabricIdReservation")"#,
        )
        .fetch_one(self.database.pool())
        .await
        .unwrap()
    }
}

/// Runs requests at the same time and returns their responses in order.
pub async fn all<F: Future>(requests: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut under_way: Vec<_> = requests.into_iter().map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (request, answer) in &mut under_way {
            if answer.is_none() {
                *answer = match request.as_mut().poll(context) {
                    Poll::Ready(answer) => Some(answer),
                    Poll::Pending => None,
                };
            }
        }
        match under_way.iter().all(|(_, answer)| answer.is_some()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    under_way.into_iter().filter_map(|(_, answer)| answer).collect()
}

/// Returns the code that an authenticator with this secret, in base32, shows at a time.
pub fn totp_code(secret: &str, at: OffsetDateTime) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    let totp = totp_rs::Builder::new().with_secret(secret).build().unwrap();
    totp.generate(u64::try_from(at.unix_timestamp()).unwrap()).to_string()
}

/// Returns [`PASSWORD`] as a secret.
pub fn password() -> SecretString {
    PASSWORD.into()
}
