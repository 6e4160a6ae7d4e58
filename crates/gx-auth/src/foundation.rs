//! What each of the HTTP services is built on: the database, who may ask, what time it is,
//! and the checks that all of them report.

use gx_db::{Database, DbError, Health, PgConnection, Postgres, Transaction};
use gx_model::Clock;
use gx_outbox::capability::{self, Capability};
use gx_outbox::tip::{self, Lag};
use gx_serve::lag::{self, LagReading, LagSettings};
use gx_serve::{Entropy, Envelope, HealthBoard, Problem, ProblemKind, ServiceParts};
use http::header::RETRY_AFTER;
use sqlx::pool::PoolConnection;
use time::OffsetDateTime;

use crate::gate::Auth;
use crate::hashing::{Hasher, HashingSettings, InvalidParameters};
use crate::sessions::Sessions;
use crate::tokens::{TokenKeyError, TokenSettings, Tokens};

/// The ledger refuses every change but its resume. A failure on our side and not an answer to
/// be kept: the same request succeeds afterwards.
pub const SYSTEM_PAUSED: ProblemKind =
    ProblemKind::new("system_paused", 503, "The system is paused");

/// Seconds after which a client may ask again while the system is paused.
const PAUSED_RETRY_AFTER_S: &str = "60";

/// The settings that every HTTP service has, besides the database's.
#[derive(Clone, Debug, clap::Args)]
pub struct FoundationSettings {
    /// Keys and lifetimes of tokens.
    #[command(flatten)]
    pub tokens: TokenSettings,
    /// What a password hash costs.
    #[command(flatten)]
    pub hashing: HashingSettings,
    /// When the read model counts as too far behind.
    #[command(flatten)]
    pub lag: LagSettings,
}

/// Why a service cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum FoundationError {
    /// No keys.
    #[error(transparent)]
    Tokens(#[from] TokenKeyError),
    /// No hashes.
    #[error(transparent)]
    Hashing(#[from] InvalidParameters),
}

/// What a service is built on. Clones share everything.
#[derive(Clone)]
pub struct Foundation {
    /// The database.
    pub database: Database,
    /// Who may ask.
    pub auth: Auth,
    /// What time it is.
    pub clock: Clock,
    /// Where ids and salts come from.
    pub entropy: Entropy,
    lag: LagSettings,
    channel: String,
}

impl Foundation {
    /// The foundation with these settings; `channel` is the ledger's whose lag is reported.
    ///
    /// # Errors
    /// When there are no usable keys, or hash parameters contradict each other.
    pub fn new(
        settings: &FoundationSettings,
        channel: &str,
        database: Database,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, FoundationError> {
        let tokens = Tokens::new(&settings.tokens, clock.clone())?;
        let sessions = Sessions::new(&settings.tokens, tokens, clock.clone(), entropy.clone());
        let auth = Auth {
            sessions,
            hasher: Hasher::new(&settings.hashing, entropy.clone())?,
            database: database.clone(),
            clock: clock.clone(),
        };
        let (lag, channel) = (settings.lag.clone(), channel.to_owned());
        Ok(Self { database, auth, clock, entropy, lag, channel })
    }

    /// The ledger's channel.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// A connection, or at once the 503 that says that there is none.
    ///
    /// # Errors
    /// The 503.
    pub async fn connection(&self) -> Result<PoolConnection<Postgres>, Problem> {
        connection(&self.database).await
    }

    /// A transaction, or at once the 503 that says that there is none.
    ///
    /// # Errors
    /// The 503.
    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>, Problem> {
        let health = self.database.health();
        if health.is_ok() {
            Ok(self.database.pool().begin().await?)
        } else {
            Err(unusable(&health))
        }
    }

    /// Refuses a change of the ledger while it is paused: what would only wait there is better
    /// not taken (FAB-10).
    ///
    /// # Errors
    /// [`SYSTEM_PAUSED`].
    pub async fn require_running(&self, conn: &mut PgConnection) -> Result<(), Problem> {
        match capability::pause_reason(conn, &self.channel).await? {
            None => Ok(()),
            Some(reason) => Err(Problem::new(
                &SYSTEM_PAUSED,
                format!("Nothing can be changed until it is resumed (reason {reason})."),
            )
            .with_header(RETRY_AFTER, PAUSED_RETRY_AFTER_S)),
        }
    }

    /// What the ledger can do now.
    ///
    /// # Errors
    /// The database's.
    pub async fn capability(&self, conn: &mut PgConnection) -> Result<Capability, Problem> {
        let (limit, now) = (self.lag.contact_limit(), self.clock.now());
        Ok(capability::capability(conn, &self.channel, limit, now).await?)
    }

    /// The checks and the envelope of a service.
    pub fn parts(
        &self,
        service: &'static str,
        problems: &'static [&'static ProblemKind],
    ) -> ServiceParts {
        let health = HealthBoard::new(service, self.clock.clone());
        gx_serve::database::watch(&health, self.database.clone());
        let (database, channel) = (self.database.clone(), self.channel.clone());
        let contact_limit = self.lag.contact_limit();
        lag::watch(&health, &self.lag, self.clock.clone(), move |now| {
            let (database, channel) = (database.clone(), channel.clone());
            Box::pin(async move { read_lag(&database, &channel, contact_limit, now).await })
        });
        let envelope = Envelope::new(service, self.clock.clone(), self.entropy.clone());
        ServiceParts { health, envelope, problems }
    }
}

/// A connection, or at once the 503 that says that there is none. Clients do not wait for a
/// database that is known to be away.
pub(crate) async fn connection(database: &Database) -> Result<PoolConnection<Postgres>, Problem> {
    database.connection().await.map_err(|error| match error {
        DbError::Unusable(health) => unusable(&health),
        DbError::Driver(error) => error.into(),
        settings @ DbError::Settings(_) => Problem::internal(&settings),
    })
}

fn unusable(health: &Health) -> Problem {
    tracing::warn!(%health, "no database can be used");
    Problem::unavailable("The database is not available at the moment.", 2)
}

async fn read_lag(
    database: &Database,
    channel: &str,
    contact_limit: std::time::Duration,
    now: OffsetDateTime,
) -> Result<LagReading, sqlx::Error> {
    // The check of the database says why; a probe that waits here would time out instead.
    if !database.health().is_ok() {
        return Ok(LagReading::Unknown("no database can be used".to_owned()));
    }
    let mut conn = database.pool().acquire().await?;
    Ok(match tip::lag(&mut conn, channel, contact_limit, now).await? {
        Lag::Known { blocks, age } => LagReading::Known { blocks, age },
        Lag::Unknown { reason } => LagReading::Unknown(reason),
    })
}
