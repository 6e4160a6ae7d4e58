//! Monitors the instance in use, and looks for another one if it fails. [`super::connect`] makes
//! the first check and then starts a task that repeats it until the [`super::Database`] is dropped.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{DatabaseState, Health, Route};
use crate::endpoint::Endpoint;
use crate::instance::{self, ExpectedCluster, NotProven, Proven, SchemaRevision, UnusableInstance};
use crate::{MIGRATIONS, lock_waits, pooler};

/// Checks of the instance in use for each check of all others.
const CHECKS_PER_SWEEP: u32 = 10;
/// Limits of the growing pause while no instance is usable: number of doublings, and number of
/// recheck intervals.
const MAX_DOUBLINGS: u32 = 10;
const MAX_PAUSE_RECHECKS: u32 = 3;
/// Shortest time between two checks.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

pub(super) struct Monitor {
    endpoints: Vec<Endpoint>,
    shared: Arc<DatabaseState>,
    pool: PgPool,
    connect_timeout: Duration,
    /// Index of the instance in use, and the monitor's own connection to it.
    current: Option<(usize, PgConnection)>,
    /// The revision of the schema that was proven last.
    schema: Option<SchemaRevision>,
    /// Number of checks since the last check of all instances.
    checks: u32,
    /// Number of consecutive checks without a usable instance.
    failures: u32,
}

/// Result of asking one instance.
enum AskResult {
    Usable(Proven, Route, PgConnection),
    Unusable(UnusableInstance),
    NoAnswer(String),
}

impl Monitor {
    pub(super) fn new(
        endpoints: Vec<Endpoint>,
        shared: Arc<DatabaseState>,
        pool: PgPool,
        connect_timeout: Duration,
    ) -> Self {
        metrics::describe_counter!(
            "gx_db_refused_connections_total",
            "Connections to PostgreSQL opened and refused, by reason."
        );
        metrics::describe_gauge!("gx_db_usable", "1 while a proven database instance is in use.");
        metrics::describe_gauge!(
            "gx_db_writes_fail",
            "1 while the database server cannot store anything."
        );
        metrics::describe_counter!(
            "gx_db_stale_plans_total",
            "Statements whose plan was made before a migration; each was repeated."
        );
        metrics::describe_gauge!(
            "gx_db_blocked_sessions",
            "Sessions of the database that wait for a lock of another one."
        );
        Self {
            endpoints,
            shared,
            pool,
            connect_timeout,
            current: None,
            schema: None,
            checks: 0,
            failures: 0,
        }
    }

    /// Checks repeatedly: sooner if a connection was rejected, and less often, up to a limit, while
    /// no instance is usable.
    pub(super) async fn run(mut self) {
        loop {
            tokio::time::sleep(MIN_INTERVAL).await;
            let rest = self.pause().saturating_sub(MIN_INTERVAL);
            timeout(rest, self.shared.check_now.notified()).await.ok();
            self.step().await;
            self.failures =
                if self.current.is_some() { 0 } else { self.failures.saturating_add(1) };
        }
    }

    fn pause(&self) -> Duration {
        match self.failures {
            0 => self.shared.recheck,
            more => (MIN_INTERVAL * 2_u32.saturating_pow(more.min(MAX_DOUBLINGS)))
                .min(self.shared.recheck * MAX_PAUSE_RECHECKS),
        }
    }

    /// Checks the instance in use, and all instances if that one is not usable any more.
    pub(super) async fn step(&mut self) {
        if let Some((index, conn)) = self.current.take() {
            let label = self.endpoints[index].label.clone();
            match self.recheck(conn).await {
                Ok(mut conn) if !self.is_superseded(index).await => {
                    self.check_lock_waits(&mut conn).await;
                    self.check_writes(&mut conn).await;
                    self.current = Some((index, conn));
                    return self.publish(Health::Ok { instance: label });
                }
                Ok(_) => tracing::warn!(
                    instance = label,
                    "another database instance took over from {label}"
                ),
                Err(error) => {
                    tracing::warn!(
                        instance = label,
                        error,
                        "the database instance {label} is lost"
                    );
                }
            }
        }
        let health = self.search().await;
        self.publish(health);
    }

    /// Returns whether another listed instance has become the writer without this one's knowledge.
    /// Checks only sometimes, because it connects to each.
    async fn is_superseded(&mut self, index: usize) -> bool {
        self.checks = (self.checks + 1) % CHECKS_PER_SWEEP;
        if self.endpoints.len() == 1 || self.checks != 0 {
            return false;
        }
        for (other, endpoint) in self.endpoints.iter().enumerate() {
            if other == index {
                continue;
            }
            let found = ask(endpoint, &self.shared, self.connect_timeout).await;
            if let AskResult::Usable(proven, ..) = found
                && self.shared.expected.is_newer(&proven.facts)
            {
                return true;
            }
        }
        false
    }

    /// Proves the instance in use again and returns the connection. The schema is compared only if
    /// its revision is another one. An error, which is the reason as text, means that the instance
    /// is lost.
    async fn recheck(&mut self, mut conn: PgConnection) -> Result<PgConnection, String> {
        let (expected, known) = (&self.shared.expected, self.schema.take());
        let proof = async {
            let revision = SchemaRevision::read(&mut conn).await?;
            let is_known = known.as_ref() == Some(&revision);
            let (facts, fingerprint) = if is_known {
                (instance::facts(&mut conn).await?, None)
            } else {
                let proven = instance::prove(&mut conn, expected).await?;
                (proven.facts, Some(proven.fingerprint))
            };
            expected.admits(&facts)?;
            expected.pin(&facts)?;
            Ok::<_, NotProven>((revision, fingerprint))
        };
        match timeout(self.connect_timeout, proof).await {
            Ok(Ok((revision, fingerprint))) => {
                self.schema = Some(revision);
                if let Some(fingerprint) = fingerprint {
                    self.shared.note_schema(fingerprint);
                }
                Ok(conn)
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    /// Records the sessions that others wait for. If the instance fails, the next check reports it.
    async fn check_lock_waits(&self, conn: &mut PgConnection) {
        let asked =
            lock_waits::blockers(conn, self.shared.reported_after, self.shared.lock_timeout);
        match timeout(self.connect_timeout, asked).await {
            Ok(Ok(found)) => self.shared.lock_waits.note(found),
            Ok(Err(error)) => tracing::debug!(%error, "blocked sessions cannot be read"),
            Err(_) => tracing::debug!("blocked sessions cannot be read in time"),
        }
    }

    /// Records whether the server can store anything. If the instance fails, the next check reports
    /// it.
    async fn check_writes(&self, conn: &mut PgConnection) {
        match timeout(self.connect_timeout, self.shared.writes.check(conn)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the test of writes failed"),
            Err(_) => tracing::debug!("the test of writes timed out"),
        }
    }

    /// Asks all instances and uses the right one: the newest timeline if two claim to be the
    /// writer, and the first in order otherwise.
    async fn search(&mut self) -> Health {
        let mut found = self.ask_all().await;
        let newest = |found: &AskResult| match found {
            AskResult::Usable(proven, ..) => proven.facts.timeline,
            _ => None,
        };
        let best = found.iter().map(newest).max().flatten();
        let index = best.and_then(|best| found.iter().position(|f| newest(f) == Some(best)));
        let chosen = index.map(|index| (index, found.swap_remove(index)));
        let health = match chosen {
            Some((index, AskResult::Usable(proven, route, conn))) => {
                self.take(index, &proven, route, conn)
            }
            _ => self.judge(&found),
        };
        for found in &found {
            match found {
                AskResult::Unusable(refusal) => self.shared.count(refusal),
                // It is a usable instance of another cluster than the chosen one.
                AskResult::Usable(proven, ..) => {
                    if let Err(refusal) = self.shared.expected.admits(&proven.facts) {
                        self.shared.count(&refusal);
                    }
                }
                AskResult::NoAnswer(_) => {}
            }
        }
        health
    }

    /// Asks all instances at the same time and returns the results in the order of the settings.
    async fn ask_all(&self) -> Vec<AskResult> {
        let mut asking = JoinSet::new();
        for (index, endpoint) in self.endpoints.iter().cloned().enumerate() {
            let (shared, limit) = (Arc::clone(&self.shared), self.connect_timeout);
            asking.spawn(async move { (index, ask(&endpoint, &shared, limit).await) });
        }
        let mut answers = asking.join_all().await;
        answers.sort_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, found)| found).collect()
    }

    /// Uses an instance from now on, unless another cluster was accepted meanwhile.
    fn take(&mut self, index: usize, proven: &Proven, route: Route, conn: PgConnection) -> Health {
        let Endpoint { label, options, .. } = &self.endpoints[index];
        if let Err(refusal) = self.shared.expected.pin(&proven.facts) {
            self.shared.count(&refusal);
            return Health::Refused(vec![format!("{label}: {refusal}")]);
        }
        self.pool.set_connect_options(options.clone());
        self.shared.lead(route, proven.fingerprint);
        self.current = Some((index, conn));
        Health::Ok { instance: label.clone() }
    }

    /// Returns the state of the database if no instance is usable, from the most informative
    /// answer.
    fn judge(&self, found: &[AskResult]) -> Health {
        let refusals = || {
            found.iter().filter_map(|found| match found {
                AskResult::Unusable(refusal) => Some(refusal),
                _ => None,
            })
        };
        if let Some(names) = refusals().find_map(|refusal| match refusal {
            UnusableInstance::Pending(names) => Some(names.clone()),
            _ => None,
        }) {
            return Health::Pending(names);
        }
        if let Some(lines) = refusals().find_map(|refusal| match refusal {
            UnusableInstance::Different(lines) => Some(lines.clone()),
            _ => None,
        }) {
            return Health::Different(lines);
        }
        let all_answer = refusals().count() == found.len();
        let fresh = |refusal| {
            matches!(refusal, &UnusableInstance::Empty | &UnusableInstance::ReadOnly { .. })
        };
        if all_answer && refusals().all(fresh) && refusals().any(|r| *r == UnusableInstance::Empty)
        {
            return Health::Pending(MIGRATIONS.iter().map(|m| m.name.to_owned()).collect());
        }
        let lines = self.endpoints.iter().zip(found).filter_map(|(endpoint, found)| match found {
            AskResult::Usable(..) => None,
            AskResult::Unusable(refusal) => Some(format!("{}: {refusal}", endpoint.label)),
            AskResult::NoAnswer(error) => Some(format!("{}: {error}", endpoint.label)),
        });
        let lines = lines.collect();
        if refusals().next().is_some() {
            Health::Refused(lines)
        } else {
            Health::Unreachable(lines)
        }
    }

    fn publish(&self, health: Health) {
        metrics::gauge!("gx_db_usable").set(if health.is_ok() { 1.0 } else { 0.0 });
        self.shared.health.send_if_modified(|known| {
            let changed = *known != health;
            if changed && health.is_ok() {
                tracing::info!(%health, "database usable: {health}");
            } else if changed {
                tracing::warn!(%health, "database not usable: {health}");
            }
            *known = health;
            changed
        });
    }
}

/// Asks one instance whether it can be used.
async fn ask(endpoint: &Endpoint, shared: &DatabaseState, limit: Duration) -> AskResult {
    let opened = async {
        let (conn, pooler) = pooler::open(endpoint, "monitor").await?;
        let route = match pooler {
            None => Route::OwnSession,
            Some(pooler) => {
                pooler.serves(shared.needs_sessions).map_err(UnusableInstance::Pooler)?;
                Route::SharedSession
            }
        };
        Ok((conn, route))
    };
    let asked = async {
        let (mut conn, route) = within(limit, opened).await?;
        let proven = within(limit, instance::prove(&mut conn, &shared.expected)).await?;
        Ok((proven, route, conn))
    };
    match asked.await {
        Ok((proven, route, conn)) => AskResult::Usable(proven, route, conn),
        Err(Unsuitable::Known(NotProven::Refused(refusal))) => AskResult::Unusable(refusal),
        Err(unsuitable) => AskResult::NoAnswer(unsuitable.to_string()),
    }
}

/// Why an instance cannot be used, or that it does not answer.
#[derive(Debug, thiserror::Error)]
enum Unsuitable {
    #[error(transparent)]
    Known(#[from] NotProven),
    #[error("no answer within {0} ms")]
    Silent(u128),
}

/// Limits the time of one question.
async fn within<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, NotProven>>,
) -> Result<T, Unsuitable> {
    match timeout(limit, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Unsuitable::Silent(limit.as_millis())),
    }
}

/// Opens a connection to an instance that is writable, with any schema. The error says why the
/// instance cannot be used.
pub(super) async fn open_writer(
    endpoint: &Endpoint,
    purpose: &str,
    expected: &ExpectedCluster,
    limit: Duration,
) -> Result<PgConnection, String> {
    let opened = async {
        let (conn, pooler) = pooler::open(endpoint, purpose).await?;
        if let Some(pooler) = pooler {
            pooler.serves(true).map_err(UnusableInstance::Pooler)?;
        }
        Ok(conn)
    };
    let admitted = async {
        let mut conn = within(limit, opened).await?;
        let facts = within(limit, async { Ok(instance::facts(&mut conn).await?) }).await?;
        expected.admits(&facts).map_err(NotProven::from)?;
        Ok::<_, Unsuitable>(conn)
    };
    admitted.await.map_err(|error| error.to_string())
}
