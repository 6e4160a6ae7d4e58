//! Resources that the HTTP services share: database, authentication, time, randomness, and the
//! health checks of all services. `gx` creates one for each service; handlers ask it for
//! connections and tickets.

use gx_db::{Database, PgConnection, Postgres, Transaction};
use gx_model::Clock;
use gx_outbox::enqueue::EnqueueError;
use gx_outbox::tip::{self, Capability, Lag};
use gx_serve::database::{connection, unusable};
use gx_serve::idempotency::RequestTransaction;
use gx_serve::lag::{self, LagReading, LagSettings};
use gx_serve::{
    CheckResult, Entropy, HealthBoard, Problem, ProblemKind, RateLimitSettings, RateLimiter,
    RequestLayer, RequestLimits, ServiceParts,
};
use http::header::RETRY_AFTER;
use sqlx::pool::PoolConnection;
use time::OffsetDateTime;

use crate::authorization::Auth;
use crate::hashing::{Hasher, HasherError, HashingSettings};
use crate::key_ring::KeyRing;
use crate::mailing::Mailing;
use crate::realm::Realm;
use crate::relying_party::{PasskeySettings, RelyingParty, RelyingPartyError};
use crate::row_queues::{RowQueueTicket, RowQueues};
use crate::sessions::{Sessions, TokenPair, invalid_refresh_token};
use crate::token_keys::TokenKeyError;
use crate::tokens::{TokenSettings, TokenUse, Tokens};

/// The ledger refuses every change except the resume. The status is 5xx, so that the response is
/// not kept for repetition: the same request succeeds later.
pub const SYSTEM_PAUSED: ProblemKind =
    ProblemKind::new("system_paused", 503, "The system is paused");

/// Purpose of the keys with which requests that have an idempotency key are hashed.
const REQUESTS: &str = "idempotent requests";
/// Purpose of the keys of what rate limits count.
const LIMITED: &str = "rate limits";
/// Seconds after which a client may ask again while the system is paused.
const PAUSED_RETRY_AFTER_S: &str = "60";

/// Settings of every HTTP service, except those of the database.
#[derive(Clone, Debug, clap::Args)]
pub struct FoundationSettings {
    /// Keys and lifetimes of tokens.
    #[command(flatten)]
    pub tokens: TokenSettings,
    /// Cost of password hashes.
    #[command(flatten)]
    pub hashing: HashingSettings,
    /// Limits above which the read model counts as too far behind.
    #[command(flatten)]
    pub lag: LagSettings,
    /// Rate limits.
    #[command(flatten)]
    pub limits: RateLimitSettings,
    /// Domain and origins of passkeys.
    #[command(flatten)]
    pub passkeys: PasskeySettings,
}

/// Why a service cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum FoundationError {
    /// The keys of tokens are not usable.
    #[error(transparent)]
    Tokens(#[from] TokenKeyError),
    /// The parameters of password hashes are not valid, or the filter file cannot be used.
    #[error(transparent)]
    Hashing(#[from] HasherError),
    /// The domain or an origin of passkeys is not valid.
    #[error(transparent)]
    Passkeys(#[from] RelyingPartyError),
}

/// Shared resources of a service. Clones share everything.
#[derive(Clone)]
pub struct Foundation {
    /// The database.
    pub database: Database,
    /// Authenticates people and administrators.
    pub auth: Auth,
    /// Time source.
    pub clock: Clock,
    /// Random source for ids and salts.
    pub entropy: Entropy,
    /// The master keys, from which all keys but those of tokens are derived.
    pub key_ring: KeyRing,
    /// Whether administrators may sign in without a second factor. The role sets it.
    pub is_development: bool,
    /// The domain of passkeys and its origins. `None` if there are no passkeys. A role in
    /// development sets it if the settings do not.
    pub relying_party: Option<RelyingParty>,
    lag: LagSettings,
    channel: String,
    row_queues: RowQueues,
    limits: RateLimiter,
}

impl Foundation {
    /// Creates the resources of a service in production; `channel` names the ledger whose lag is
    /// reported.
    ///
    /// # Errors
    /// [`FoundationError`] if no key is usable, hash parameters contradict each other, or the
    /// settings of passkeys are not valid.
    pub fn new(
        settings: &FoundationSettings,
        channel: &str,
        database: Database,
        key_ring: KeyRing,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, FoundationError> {
        let tokens = Tokens::new(&settings.tokens, key_ring.clone(), clock.clone())?;
        let limits_keys = key_ring.fingerprint_keys(LIMITED);
        let limits = RateLimiter::new(&settings.limits, clock.clone(), limits_keys);
        let sessions = Sessions::new(&settings.tokens, tokens, clock.clone(), entropy.clone());
        let auth = Auth {
            sessions,
            hasher: Hasher::new(&settings.hashing, entropy.clone())?,
            database: database.clone(),
            clock: clock.clone(),
        };
        let (lag, channel) = (settings.lag.clone(), channel.to_owned());
        let row_queues = RowQueues::new(database.lock_timeout());
        Ok(Self {
            database,
            auth,
            clock,
            entropy,
            key_ring,
            is_development: false,
            relying_party: RelyingParty::from_settings(&settings.passkeys)?,
            lag,
            channel,
            row_queues,
            limits,
        })
    }

    /// Returns the name of the ledger's channel.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// Returns what queues mails and notices.
    pub fn mailing(&self) -> Mailing {
        Mailing::new(self.key_ring.clone(), self.entropy.clone(), self.clock.clone())
    }

    /// Returns a connection, or fails at once if no database is usable.
    ///
    /// # Errors
    /// The problem with status 503.
    pub async fn connection(&self) -> Result<PoolConnection<Postgres>, Problem> {
        connection(&self.database).await
    }

    /// Begins the transaction of the request's work, or fails at once if no database is usable. If
    /// the request has an idempotency key, its answer becomes part of the transaction.
    ///
    /// # Errors
    /// The problem with status 503, or that of a key which another request has.
    pub async fn begin(&self) -> Result<RequestTransaction, Problem> {
        let health = self.database.health();
        if health.is_ok() {
            RequestTransaction::begin(self.database.pool()).await
        } else {
            Err(unusable(&health))
        }
    }

    /// Begins a transaction of a route that handles idempotency keys itself.
    ///
    /// # Errors
    /// The problem with status 503.
    pub async fn begin_keyed(&self) -> Result<Transaction<'static, Postgres>, Problem> {
        let health = self.database.health();
        if health.is_ok() {
            Ok(self.database.pool().begin().await?)
        } else {
            Err(unusable(&health))
        }
    }

    /// Waits in the queue of a row that the request will lock, such as a person's row by
    /// `profileId`. Get the ticket before the transaction begins and keep it until the transaction
    /// ends.
    ///
    /// # Errors
    /// The problem with status 503 if other requests hold the row too long.
    pub async fn row_ticket(&self, row: &str) -> Result<RowQueueTicket, Problem> {
        self.row_queues.wait(row).await
    }

    /// Exchanges a refresh token for new tokens, once. Repetitions wait for each other.
    ///
    /// # Errors
    /// The problem `invalid_refresh_token`, `quota_exceeded`, or that of a database failure.
    pub(crate) async fn refresh(
        &self,
        realm: Realm,
        refresh_token: &str,
        limits: &RequestLimits,
        request_id: &str,
    ) -> Result<TokenPair, Problem> {
        let sessions = &self.auth.sessions;
        let verified = self.auth.verify(refresh_token, &[TokenUse::Refresh], realm.audience());
        let verified = verified.await?;
        limits.admit_session(verified.as_ref().ok().map(|(_, claims)| claims.sid.as_str())).await?;
        let (_, claims) = verified.map_err(|_| invalid_refresh_token())?;
        let _ticket = self.row_ticket(claims.sid.as_str()).await?;
        let mut conn = self.connection().await?;
        sessions.refresh(&mut conn, realm, refresh_token, request_id, &self.mailing()).await
    }

    /// Rejects a change of the ledger while the system is paused, because the command would only
    /// wait (FAB-10).
    ///
    /// # Errors
    /// [`SYSTEM_PAUSED`], or the problem of a database failure.
    pub async fn require_running(&self, conn: &mut PgConnection) -> Result<(), Problem> {
        match tip::pause_reason(conn, &self.channel).await? {
            None => Ok(()),
            Some(reason) => Err(Problem::new(
                &SYSTEM_PAUSED,
                format!("Repeat the request when the system is resumed (reason {reason})."),
            )
            .with_header(RETRY_AFTER, PAUSED_RETRY_AFTER_S)),
        }
    }

    /// Returns whether the ledger can execute commands now.
    ///
    /// # Errors
    /// The problem of a database failure.
    pub async fn capability(&self, conn: &mut PgConnection) -> Result<Capability, Problem> {
        let (limit, now) = (self.lag.contact_limit(), self.clock.now());
        Ok(tip::capability(conn, &self.channel, limit, now).await?)
    }

    /// Creates the health checks and the request layer of a service.
    pub fn parts(&self, service: &'static str) -> ServiceParts {
        let health = HealthBoard::new(service, self.clock.clone());
        gx_serve::database::watch(&health, self.database.clone());
        let (database, channel) = (self.database.clone(), self.channel.clone());
        let contact_limit = self.lag.contact_limit();
        lag::watch(&health, &self.lag, self.clock.clone(), move |now| {
            let (database, channel) = (database.clone(), channel.clone());
            Box::pin(async move { read_lag(&database, &channel, contact_limit, now).await })
        });
        let tokens = self.auth.sessions.tokens().clone();
        health.check_with("tokenKeys", false, move || {
            let result = match tokens.unusable_key() {
                None => CheckResult::healthy(),
                Some(error) => CheckResult::unhealthy(error),
            };
            Box::pin(async move { result })
        });
        let request_layer = RequestLayer::new(service, self.clock.clone(), self.entropy.clone());
        let fingerprint_keys = self.key_ring.fingerprint_keys(REQUESTS);
        let (database, limits) = (Some(self.database.clone()), self.limits.clone());
        ServiceParts { health, database, request_layer, limits, fingerprint_keys }
    }
}

/// Returns the problem of a command that was not enqueued.
pub fn not_enqueued(error: EnqueueError) -> Problem {
    match error {
        EnqueueError::Database(error) => error.into(),
        mismatch @ EnqueueError::Mismatch(_) => Problem::internal(&mismatch),
    }
}

async fn read_lag(
    database: &Database,
    channel: &str,
    contact_limit: std::time::Duration,
    now: OffsetDateTime,
) -> Result<LagReading, sqlx::Error> {
    // The database's own check reports the reason; waiting here would end in a timeout.
    if !database.health().is_ok() {
        return Ok(LagReading::Unknown("no database is usable".to_owned()));
    }
    let mut conn = database.pool().acquire().await?;
    Ok(match tip::lag(&mut conn, channel, contact_limit, now).await? {
        Lag::Known { blocks, age } => LagReading::Known { blocks, age },
        Lag::Unknown { reason } => LagReading::Unknown(reason),
    })
}
