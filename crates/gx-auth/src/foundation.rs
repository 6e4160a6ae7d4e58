//! Resources that the HTTP services share: database, authentication, time, randomness, and the
//! health checks of all services. `gx` creates one for each service; handlers ask it for
//! connections and tickets.

use gx_db::{Database, PgConnection, Postgres, SessionId, Transaction};
use gx_model::Clock;
use gx_outbox::enqueue::EnqueueError;
use gx_outbox::tip::{self, Capability, Lag};
use gx_serve::database::{connection, unusable};
use gx_serve::idempotency::RequestTransaction;
use gx_serve::lag::{self, LagReading, LagSettings};
use gx_serve::{
    Entropy, HealthBoard, Problem, ProblemKind, RateLimitSettings, RateLimiter, RequestLayer,
    RequestLimits, ServiceParts,
};
use http::header::RETRY_AFTER;
use sqlx::pool::PoolConnection;
use time::OffsetDateTime;

use crate::address_hasher::AddressHasher;
use crate::authorization::Auth;
use crate::hashing::{Hasher, HasherError, HashingSettings};
use crate::key_ring::KeyRing;
use crate::realm::Realm;
use crate::row_queues::{RowQueueTicket, RowQueues};
use crate::sessions::{Sessions, TokenPair};
use crate::tokens::{TokenKeyError, TokenSettings, Tokens};

/// The ledger refuses every change except the resume. The status is 5xx, so that the response is
/// not kept for repetition: the same request succeeds later.
pub const SYSTEM_PAUSED: ProblemKind =
    ProblemKind::new("system_paused", 503, "The system is paused");

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
    /// The key ring, of services that encrypt values. The role that builds the service sets it.
    pub key_ring: Option<KeyRing>,
    /// Whether administrators may sign in without a second factor. The role sets it.
    pub is_development: bool,
    lag: LagSettings,
    channel: String,
    row_queues: RowQueues,
    limits: RateLimiter,
    pub(crate) address_hasher: AddressHasher,
}

impl Foundation {
    /// Creates the resources of a service in production, without a key ring; `channel` names the
    /// ledger whose lag is reported.
    ///
    /// # Errors
    /// [`FoundationError`] if no key is usable or hash parameters contradict each other.
    pub fn new(
        settings: &FoundationSettings,
        channel: &str,
        database: Database,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, FoundationError> {
        let tokens = Tokens::new(&settings.tokens, clock.clone())?;
        let address_hasher = AddressHasher::new(tokens.fingerprint_key("addresses of sign-ins"));
        let limits_key = tokens.fingerprint_key("rate limits");
        let limits = RateLimiter::new(&settings.limits, clock.clone(), limits_key);
        let sessions = Sessions::new(&settings.tokens, tokens, clock.clone(), entropy.clone());
        let auth = Auth {
            sessions,
            hasher: Hasher::new(&settings.hashing, entropy.clone())?,
            database: database.clone(),
            clock: clock.clone(),
        };
        let (lag, channel) = (settings.lag.clone(), channel.to_owned());
        let row_queues = RowQueues::new(database.max_connections(), database.lock_timeout());
        let (key_ring, is_development) = (None, false);
        Ok(Self {
            database,
            auth,
            clock,
            entropy,
            key_ring,
            is_development,
            lag,
            channel,
            row_queues,
            limits,
            address_hasher,
        })
    }

    /// Returns the name of the ledger's channel.
    pub fn channel(&self) -> &str {
        &self.channel
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
        self.row_queues.wait(Some(row), false).await
    }

    /// Waits like [`Self::row_ticket`] for a request that writes the audit log; `row` is the row
    /// that it locks, too.
    ///
    /// # Errors
    /// The problem with status 503 if other requests hold the row or the audit log too long.
    pub async fn audit_ticket(&self, row: Option<&str>) -> Result<RowQueueTicket, Problem> {
        self.row_queues.wait(row, true).await
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
        let session_id = sessions.session_of(realm, refresh_token);
        limits.admit_session(session_id.as_ref().ok().map(SessionId::as_str)).await?;
        let session_id = session_id?;
        let _ticket = self.row_ticket(session_id.as_str()).await?;
        let mut conn = self.connection().await?;
        sessions.refresh(&mut conn, realm, refresh_token, request_id).await
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
        let request_layer = RequestLayer::new(service, self.clock.clone(), self.entropy.clone());
        // The secret that signs tokens, until a service has a ring of keys.
        let fingerprint_key = self.auth.sessions.tokens().fingerprint_key("idempotent requests");
        let (database, limits) = (Some(self.database.clone()), self.limits.clone());
        ServiceParts { health, database, request_layer, limits, fingerprint_key }
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
