//! The pool that every process works through: it connects to the one right instance, finds
//! it again after a failover, and outlives its absence (G7, DB-01, RDY-04, RDY-07).

mod health;
mod monitor;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::pool::{PoolConnection, PoolConnectionMetadata};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use health::Health;
use monitor::Monitor;

use crate::endpoint::Endpoint;
use crate::instance::{self, ExpectedCluster, NotProven, Refusal};
use crate::{DatabaseSettings, SettingsError};

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// Settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No usable instance just now.
    #[error("{0}")]
    Unusable(Health),
    /// The driver failed.
    #[error(transparent)]
    Driver(#[from] sqlx::Error),
}

/// A pool of proven connections. Clones share it; it ends with the last.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    shared: Arc<Shared>,
    _monitor: Arc<MonitorTask>,
}

/// Makes the pool and starts to look after it. Succeeds whether or not a usable instance
/// exists; [`Database::health`] tells, and changes by itself.
pub async fn connect(settings: &DatabaseSettings) -> Result<Database, DbError> {
    let endpoints = settings.endpoints()?;
    let shared = Arc::new(Shared {
        expected: ExpectedCluster::new(settings.database_system_id),
        health: watch::Sender::new(Health::Unreachable(vec!["not looked yet".to_owned()])),
        refusals: Default::default(),
        switched_at: Mutex::new(Instant::now()),
        look_now: Notify::new(),
        recheck: settings.recheck(),
    });
    let pool = make_pool(settings, &endpoints, &shared);
    let mut monitor =
        Monitor::new(endpoints, Arc::clone(&shared), pool.clone(), settings.connect_timeout());
    monitor.step().await;
    let task = tokio::spawn(monitor.run());
    Ok(Database { pool, shared, _monitor: Arc::new(MonitorTask(task)) })
}

/// A connection to the writer for applying migrations: its schema may be any, and statements
/// may take their time.
pub async fn connect_for_migration(settings: &DatabaseSettings) -> Result<PgConnection, DbError> {
    let expected = ExpectedCluster::new(settings.database_system_id);
    let mut problems = Vec::new();
    for endpoint in settings.endpoints()? {
        match monitor::open_writer(&endpoint, &expected, settings.connect_timeout()).await {
            Ok(mut conn) => {
                sqlx::raw_sql("SET statement_timeout = 0").execute(&mut conn).await?;
                return Ok(conn);
            }
            Err(problem) => problems.push(format!("{}: {problem}", endpoint.label)),
        }
    }
    Err(DbError::Unusable(Health::Refused(problems)))
}

impl Database {
    /// The pool. Each of its connections was proven before it is handed out; while no
    /// instance is usable, callers wait for one as long as the acquire timeout says.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A connection, or at once why there is none.
    pub async fn connection(&self) -> Result<PoolConnection<Postgres>, DbError> {
        let health = self.health();
        if !health.is_ok() {
            return Err(DbError::Unusable(health));
        }
        Ok(self.pool.acquire().await?)
    }

    /// What was found when it was last looked, at most a recheck interval ago.
    pub fn health(&self) -> Health {
        self.shared.health.borrow().clone()
    }

    /// Follows [`Database::health`].
    pub fn health_changes(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// How many connections were refused, by [`Refusal::reason`].
    pub fn refusals(&self) -> BTreeMap<&'static str, u64> {
        let counted = Refusal::REASONS.iter().zip(&self.shared.refusals);
        counted.map(|(reason, count)| (*reason, count.load(Ordering::Relaxed))).collect()
    }

    /// System identifier of the cluster in use, once one was named or accepted.
    pub fn system_id(&self) -> Option<u64> {
        self.shared.expected.system_id()
    }

    /// Closes every connection and waits for those in use to come back.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// What the pool's callbacks and the monitor share.
#[derive(Debug)]
struct Shared {
    expected: ExpectedCluster,
    health: watch::Sender<Health>,
    refusals: [AtomicU64; Refusal::REASONS.len()],
    /// When the instance in use was chosen; older connections lead elsewhere.
    switched_at: Mutex<Instant>,
    /// Wakes the monitor: a connection was not as it should be.
    look_now: Notify,
    recheck: Duration,
}

impl Shared {
    fn count(&self, refusal: &Refusal) {
        let reason = refusal.reason();
        metrics::counter!("gx_db_refused_connections_total", "reason" => reason).increment(1);
        for (known, count) in Refusal::REASONS.iter().zip(&self.refusals) {
            if *known == reason {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn since_switch(&self) -> Duration {
        self.switched_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Proves a connection that was just opened.
    async fn admit_new(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let proven = match instance::prove(conn, &self.expected).await {
            Ok(facts) => self.expected.pin(&facts).map_err(NotProven::from),
            Err(error) => Err(error),
        };
        let Err(error) = proven else { return Ok(()) };
        self.look_now.notify_one();
        Err(match error {
            NotProven::Failed(error) => error,
            NotProven::Refused(refusal) => {
                self.count(&refusal);
                sqlx::Error::Configuration(Box::new(refusal))
            }
        })
    }

    /// Whether a connection from the pool may still be used.
    async fn admit_idle(
        &self,
        conn: &mut PgConnection,
        meta: PoolConnectionMetadata,
    ) -> sqlx::Result<bool> {
        if !self.health.borrow().is_ok() || meta.age > self.since_switch() {
            return Ok(false);
        }
        if meta.idle_for < self.recheck {
            return Ok(true);
        }
        let facts = instance::facts(conn).await?;
        let Err(refusal) = self.expected.admits(&facts) else { return Ok(true) };
        self.count(&refusal);
        self.look_now.notify_one();
        Ok(false)
    }
}

fn make_pool(settings: &DatabaseSettings, endpoints: &[Endpoint], shared: &Arc<Shared>) -> PgPool {
    let first = endpoints.first().expect("settings name at least one instance");
    let (new, idle) = (Arc::clone(shared), Arc::clone(shared));
    PgPoolOptions::new()
        .max_connections(settings.database_max_connections)
        .acquire_timeout(Duration::from_millis(settings.database_acquire_timeout_ms))
        .after_connect(move |conn, _| {
            let shared = Arc::clone(&new);
            Box::pin(async move { shared.admit_new(conn).await })
        })
        .before_acquire(move |conn, meta| {
            let shared = Arc::clone(&idle);
            Box::pin(async move { shared.admit_idle(conn, meta).await })
        })
        .connect_lazy_with(first.options.clone())
}

/// Ends the monitor with the last clone of the database.
#[derive(Debug)]
struct MonitorTask(JoinHandle<()>);

impl Drop for MonitorTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}
