//! The pool of every process: a role or command calls [`connect`] once at its start. It connects
//! only to the right instance, finds it again after a failover, and survives its absence (G7,
//! DB-01, RDY-04, RDY-07).

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
use sqlx::{Connection as _, PgConnection, PgPool, Postgres};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use health::Health;
use monitor::Monitor;

use crate::endpoint::Endpoint;
use crate::instance::{self, ExpectedCluster, NotProven, UnusableInstance};
use crate::lock_waits::{LockWaits, SeenBlocker};
use crate::writes::{FailingWrites, WriteWatch};
use crate::{DatabaseFailure, DatabaseSettings, SettingsError};

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// Settings are wrong.
    #[error("settings of the database are wrong: {0}; correct them")]
    Settings(#[from] SettingsError),
    /// No instance is usable at the moment.
    #[error("{0}; {remedy}", remedy = .0.remedy())]
    Unusable(Health),
    /// A statement or connection failed; the source says why.
    #[error("the database cannot be read or written; check the database and its log")]
    Driver(#[from] sqlx::Error),
}

/// Idle time up to which a connection is used without a question. The pool has asked it as it was
/// given back, and a service under load takes it again within this time.
const TRUSTED_IDLE: Duration = Duration::from_millis(50);

/// A pool of proven connections. Clones share it; it ends with the last clone.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    shared: Arc<DatabaseState>,
    monitor: Arc<MonitorTask>,
}

/// Creates the pool and starts its monitor. Succeeds even if no instance is usable;
/// [`Database::health`] tells, and is updated continuously.
pub async fn connect(settings: &DatabaseSettings) -> Result<Database, DbError> {
    let endpoints = settings.endpoints()?;
    let shared = Arc::new(DatabaseState {
        expected: ExpectedCluster::new(settings.database_system_id),
        health: watch::Sender::new(Health::Unreachable(vec!["not checked yet".to_owned()])),
        refusals: Default::default(),
        switched_at: Mutex::new(Instant::now()),
        route: Mutex::new(Route::Unknown),
        fingerprint: Mutex::new(None),
        needs_sessions: settings.needs_sessions,
        writes: WriteWatch::default(),
        check_now: Notify::new(),
        recheck: settings.recheck(),
        lock_waits: LockWaits::default(),
        reported_after: settings.reported_after(),
        lock_timeout: Duration::from_millis(settings.session.database_lock_timeout_ms),
    });
    let pool = make_pool(settings, &endpoints, &shared);
    let mut monitor =
        Monitor::new(endpoints, Arc::clone(&shared), pool.clone(), settings.connect_timeout());
    monitor.step().await;
    let task = tokio::spawn(monitor.run());
    Ok(Database { pool, shared, monitor: Arc::new(MonitorTask(task)) })
}

/// Connects to the writer to apply migrations. The schema may have any state, and statements have
/// no time limit; the migration limits its waits for locks. A pooler that shares sessions is
/// rejected.
pub async fn connect_for_migration(settings: &DatabaseSettings) -> Result<PgConnection, DbError> {
    open_writer(settings, "migration").await
}

/// Connects like [`connect_for_migration`], with another purpose in the session's name.
///
/// # Errors
/// [`DbError::Unusable`] if no instance can be used, with the reason for each.
pub(crate) async fn open_writer(
    settings: &DatabaseSettings,
    purpose: &str,
) -> Result<PgConnection, DbError> {
    let expected = ExpectedCluster::new(settings.database_system_id);
    let mut problems = Vec::new();
    for endpoint in settings.endpoints()? {
        let limit = settings.connect_timeout();
        match monitor::open_writer(&endpoint, purpose, &expected, limit).await {
            Ok(mut conn) => {
                let sql = "SET statement_timeout = 0; SET lock_timeout = 0";
                sqlx::raw_sql(sql).execute(&mut conn).await?;
                return Ok(conn);
            }
            Err(problem) => problems.push(format!("{}: {problem}", endpoint.label)),
        }
    }
    Err(DbError::Unusable(Health::Refused(problems)))
}

impl Database {
    /// Returns the pool. Each connection is proven before it is handed out. While no instance is
    /// usable, callers wait until the acquire timeout.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Returns a connection, or fails at once if no instance is usable.
    pub async fn connection(&self) -> Result<PoolConnection<Postgres>, DbError> {
        let health = self.health();
        if !health.is_ok() {
            return Err(DbError::Unusable(health));
        }
        Ok(self.pool.acquire().await?)
    }

    /// Returns the state at the last check, at most one recheck interval ago.
    pub fn health(&self) -> Health {
        self.shared.health.borrow().clone()
    }

    /// Returns a receiver of changes of [`Database::health`].
    pub fn health_changes(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// Returns the number of rejected connections, by [`UnusableInstance::reason`].
    pub fn refusals(&self) -> BTreeMap<&'static str, u64> {
        let counted = UnusableInstance::REASONS.iter().zip(&self.shared.refusals);
        counted.map(|(reason, count)| (*reason, count.load(Ordering::Relaxed))).collect()
    }

    /// Returns the system identifier of the cluster in use, once one is set or accepted.
    pub fn system_id(&self) -> Option<u64> {
        self.shared.expected.system_id()
    }

    /// Returns the sessions that others wait for, or have just waited for.
    pub fn blockers(&self) -> Vec<SeenBlocker> {
        self.shared.lock_waits.seen()
    }

    /// Returns the failure if the server cannot store anything, or could not a moment ago.
    pub fn failing_writes(&self) -> Option<FailingWrites> {
        self.shared.writes.failing()
    }

    /// Reports a failure that concerns other statements. After a stale plan, connections that were
    /// opened before this call are not used again.
    pub fn report_failure(&self, failure: &DatabaseFailure) {
        match failure {
            DatabaseFailure::StalePlan => {
                metrics::counter!("gx_db_stale_plans_total").increment(1);
                self.shared.renew();
            }
            DatabaseFailure::NotStored(reason) => {
                self.shared.writes.failed(reason);
                self.shared.check_now.notify_one();
            }
        }
    }

    /// Returns how long a statement waits for one lock.
    pub fn lock_timeout(&self) -> Duration {
        self.shared.lock_timeout
    }

    /// Closes all connections and waits for those in use. The monitor ends first, so that no
    /// failure is reported when the instance stops.
    pub async fn close(&self) {
        self.monitor.0.abort();
        self.pool.close().await;
        while !self.monitor.0.is_finished() {
            tokio::task::yield_now().await;
        }
    }
}

/// How connections reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// Not checked yet.
    Unknown,
    /// Each connection has its own session.
    OwnSession,
    /// A pooler gives each transaction another session, and this process can work with that.
    SharedSession,
}

/// State that the pool's callbacks share with the monitor.
#[derive(Debug)]
struct DatabaseState {
    expected: ExpectedCluster,
    health: watch::Sender<Health>,
    refusals: [AtomicU64; UnusableInstance::REASONS.len()],
    /// When the instance was chosen or its schema changed. Older connections may lead to another
    /// instance or have stale plans.
    switched_at: Mutex<Instant>,
    route: Mutex<Route>,
    /// Fingerprint of the catalogue at the last check.
    fingerprint: Mutex<Option<[u8; 32]>>,
    needs_sessions: bool,
    writes: WriteWatch,
    /// Wakes the monitor because a connection was rejected.
    check_now: Notify,
    recheck: Duration,
    lock_waits: LockWaits,
    /// How long a session waits for a lock until it is reported.
    reported_after: Duration,
    lock_timeout: Duration,
}

impl DatabaseState {
    fn count(&self, refusal: &UnusableInstance) {
        let reason = refusal.reason();
        metrics::counter!("gx_db_refused_connections_total", "reason" => reason).increment(1);
        for (known, count) in UnusableInstance::REASONS.iter().zip(&self.refusals) {
            if *known == reason {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn since_switch(&self) -> Duration {
        self.switched_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Prevents further use of all connections that are open now.
    fn renew(&self) {
        *self.switched_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn route(&self) -> Route {
        *self.route.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records how the instance in use is reached, and its schema.
    fn lead(&self, route: Route, fingerprint: [u8; 32]) {
        *self.route.lock().unwrap_or_else(PoisonError::into_inner) = route;
        *self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner) = Some(fingerprint);
        self.renew();
    }

    /// Records the schema. If a migration changed it, connections are replaced, because their plans
    /// may return wrong columns.
    fn note_schema(&self, fingerprint: [u8; 32]) {
        let mut known = self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner);
        if known.replace(fingerprint).is_some_and(|known| known != fingerprint) {
            tracing::info!("the schema has changed; connections are replaced");
            self.renew();
        }
    }

    /// Proves a connection that was just opened. After an error, the pool closes the connection and
    /// tries again until the acquire timeout, and the monitor looks for a usable instance.
    async fn admit_new(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let proven = match instance::prove(conn, &self.expected).await {
            Ok(_) if self.route() == Route::Unknown => Err(NotProven::Failed(not_checked_yet())),
            Ok(proven) => self.expected.pin(&proven.facts).map_err(NotProven::from),
            Err(error) => Err(error),
        };
        let Err(error) = proven else { return Ok(()) };
        self.check_now.notify_one();
        Err(match error {
            NotProven::Failed(error) => error,
            NotProven::Refused(refusal) => {
                self.count(&refusal);
                sqlx::Error::Configuration(Box::new(refusal))
            }
        })
    }

    /// Returns whether an idle connection may still be used. If not, the pool closes it and takes
    /// another one.
    async fn admit_idle(
        &self,
        conn: &mut PgConnection,
        meta: PoolConnectionMetadata,
    ) -> sqlx::Result<bool> {
        if !self.health.borrow().is_ok() || meta.age > self.since_switch() {
            return Ok(false);
        }
        if meta.idle_for < TRUSTED_IDLE {
            return Ok(true);
        }
        if meta.idle_for < self.recheck {
            // The pool closes a connection that does not answer.
            return conn.ping().await.map(|()| true);
        }
        let facts = instance::facts(conn).await?;
        let Err(refusal) = self.expected.admits(&facts) else { return Ok(true) };
        self.count(&refusal);
        self.check_now.notify_one();
        Ok(false)
    }
}

/// Returns whether a connection of the pool is in a transaction, as the server sees it. Who is
/// dropped while it waits for the answer to BEGIN leaves one: sqlx counts a transaction only after
/// the answer. The driver shows what the server says only by refusing a BEGIN that began nothing,
/// and an empty statement is the cheapest one that does not begin anything.
async fn is_in_transaction(conn: &mut PgConnection) -> sqlx::Result<bool> {
    match conn.begin_with("").await {
        Ok(_left) => Ok(true),
        Err(sqlx::Error::BeginFailed) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether a connection may go back into the pool. Nobody waits for this question.
pub(crate) async fn readmit(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let is_left = is_in_transaction(conn).await?;
    if is_left {
        tracing::info!("a connection that was left in a transaction is closed");
    }
    Ok(!is_left)
}

/// Creates the pool. Its hooks prove each connection: a new one completely, one that is given back
/// by the answer that it is in no transaction, and an idle one by its age and, if it was idle for
/// longer than [`TRUSTED_IDLE`], by an answer. The pool's own question before each use is off.
fn make_pool(
    settings: &DatabaseSettings,
    endpoints: &[Endpoint],
    shared: &Arc<DatabaseState>,
) -> PgPool {
    let first = endpoints.first().expect("settings name at least one instance");
    let (new, idle) = (Arc::clone(shared), Arc::clone(shared));
    let session = first.session.clone();
    PgPoolOptions::new()
        .max_connections(settings.database_max_connections)
        .acquire_timeout(Duration::from_millis(settings.database_acquire_timeout_ms))
        .after_connect(move |conn, _| {
            let (shared, session) = (Arc::clone(&new), session.clone());
            Box::pin(async move {
                // A session behind a pooler serves other clients next, so it is not set up.
                if shared.route() == Route::OwnSession {
                    session.prepare(conn).await?;
                }
                shared.admit_new(conn).await
            })
        })
        .test_before_acquire(false)
        .before_acquire(move |conn, meta| {
            let shared = Arc::clone(&idle);
            Box::pin(async move { shared.admit_idle(conn, meta).await })
        })
        .after_release(|conn, _| Box::pin(readmit(conn)))
        .connect_lazy_with(first.options.clone())
}

/// Returns the error of a connection that was opened before the monitor knows whether a pooler is
/// in front of the instance. The pool tries again.
fn not_checked_yet() -> sqlx::Error {
    let why = "it is not known yet whether a pooler is in front of the database";
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::NotConnected, why))
}

/// Ends the monitor with the last clone of the database.
#[derive(Debug)]
struct MonitorTask(JoinHandle<()>);

impl Drop for MonitorTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}
