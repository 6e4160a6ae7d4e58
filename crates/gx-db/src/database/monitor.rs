//! Keeps an eye on the instance in use, and looks for the right one when that fails.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sqlx::{ConnectOptions as _, PgConnection, PgPool};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::{Health, Shared};
use crate::MIGRATIONS;
use crate::endpoint::Endpoint;
use crate::instance::{self, ExpectedCluster, InstanceFacts, NotProven, Refusal};

/// How many looks at the instance in use come before one at all others.
const LOOKS_PER_SWEEP: u32 = 10;
/// Limits of the growing pause while nothing usable is found: doublings, and recheck intervals.
const MOST_DOUBLINGS: u32 = 10;
const AWAY_AT_MOST: u32 = 3;
/// The shortest time between two looks, however often somebody asks for one.
const AT_MOST_EVERY: Duration = Duration::from_millis(100);

pub(super) struct Monitor {
    endpoints: Vec<Endpoint>,
    shared: Arc<Shared>,
    pool: PgPool,
    connect_timeout: Duration,
    /// The monitor's own connection to the instance in use.
    current: Option<(usize, PgConnection)>,
    /// Looks since the last at all instances.
    looks: u32,
    /// Looks in a row that found nothing usable.
    failures: u32,
}

/// What one instance turned out to be.
enum Found {
    Right(InstanceFacts, PgConnection),
    Wrong(Refusal),
    Silent(String),
}

impl Monitor {
    pub(super) fn new(
        endpoints: Vec<Endpoint>,
        shared: Arc<Shared>,
        pool: PgPool,
        connect_timeout: Duration,
    ) -> Self {
        metrics::describe_counter!(
            "gx_db_refused_connections_total",
            "Connections to PostgreSQL opened and refused, by reason."
        );
        metrics::describe_gauge!("gx_db_usable", "1 while a proven database instance is in use.");
        Self { endpoints, shared, pool, connect_timeout, current: None, looks: 0, failures: 0 }
    }

    /// Looks again and again: sooner when a connection was found wrong, and ever later, up to
    /// a limit, while nothing usable is found.
    pub(super) async fn run(mut self) {
        loop {
            tokio::time::sleep(AT_MOST_EVERY).await;
            let rest = self.pause().saturating_sub(AT_MOST_EVERY);
            timeout(rest, self.shared.look_now.notified()).await.ok();
            self.step().await;
            self.failures =
                if self.current.is_some() { 0 } else { self.failures.saturating_add(1) };
        }
    }

    fn pause(&self) -> Duration {
        match self.failures {
            0 => self.shared.recheck,
            more => (AT_MOST_EVERY * 2_u32.saturating_pow(more.min(MOST_DOUBLINGS)))
                .min(self.shared.recheck * AWAY_AT_MOST),
        }
    }

    /// One look: at the instance in use, and at all of them where that is no longer right.
    pub(super) async fn step(&mut self) {
        if let Some((index, conn)) = self.current.take() {
            let label = self.endpoints[index].label.clone();
            match self.recheck(conn).await {
                Ok(conn) if !self.is_superseded(index).await => {
                    self.current = Some((index, conn));
                    return self.publish(Health::Ok { instance: label });
                }
                Ok(_) => tracing::warn!(instance = label, "another database instance took over"),
                Err(reason) => tracing::warn!(instance = label, reason, "database instance lost"),
            }
        }
        let health = self.search().await;
        self.publish(health);
    }

    /// Whether another listed instance has become the writer while this one still believes
    /// to be it. Asked now and then only: it costs a connection to each.
    async fn is_superseded(&mut self, index: usize) -> bool {
        self.looks = (self.looks + 1) % LOOKS_PER_SWEEP;
        if self.endpoints.len() == 1 || self.looks != 0 {
            return false;
        }
        for (other, endpoint) in self.endpoints.iter().enumerate() {
            if other == index {
                continue;
            }
            let found = ask(endpoint, &self.shared.expected, self.connect_timeout).await;
            if let Found::Right(facts, _) = found
                && self.shared.expected.is_newer(&facts)
            {
                return true;
            }
        }
        false
    }

    async fn recheck(&self, mut conn: PgConnection) -> Result<PgConnection, String> {
        let expected = &self.shared.expected;
        let proof = async {
            let facts = instance::prove(&mut conn, expected).await?;
            expected.pin(&facts)?;
            Ok::<_, NotProven>(())
        };
        match timeout(self.connect_timeout, proof).await {
            Ok(Ok(())) => Ok(conn),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it is silent".to_owned()),
        }
    }

    /// Asks every instance at once and takes the right one: the newest timeline if two claim
    /// to be it, else the first in order.
    async fn search(&mut self) -> Health {
        let mut found = self.ask_all().await;
        let newest = |found: &Found| match found {
            Found::Right(facts, _) => facts.timeline,
            _ => None,
        };
        let best = found.iter().map(newest).max().flatten();
        let index = best.and_then(|best| found.iter().position(|f| newest(f) == Some(best)));
        let chosen = index.map(|index| (index, found.swap_remove(index)));
        let health = match chosen {
            Some((index, Found::Right(facts, conn))) => self.take(index, &facts, conn),
            _ => self.judge(&found),
        };
        for found in &found {
            match found {
                Found::Wrong(refusal) => self.shared.count(refusal),
                // Right by itself, and another cluster than the one just taken.
                Found::Right(facts, _) => {
                    if let Err(refusal) = self.shared.expected.admits(facts) {
                        self.shared.count(&refusal);
                    }
                }
                Found::Silent(_) => {}
            }
        }
        health
    }

    async fn ask_all(&self) -> Vec<Found> {
        let mut asking = JoinSet::new();
        for (index, endpoint) in self.endpoints.iter().cloned().enumerate() {
            let (shared, limit) = (Arc::clone(&self.shared), self.connect_timeout);
            asking.spawn(async move { (index, ask(&endpoint, &shared.expected, limit).await) });
        }
        let mut answers = asking.join_all().await;
        answers.sort_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, found)| found).collect()
    }

    fn take(&mut self, index: usize, facts: &InstanceFacts, conn: PgConnection) -> Health {
        let Endpoint { label, options } = &self.endpoints[index];
        if let Err(refusal) = self.shared.expected.pin(facts) {
            self.shared.count(&refusal);
            return Health::Refused(vec![format!("{label}: {refusal}")]);
        }
        self.pool.set_connect_options(options.clone());
        let mut switched = self.shared.switched_at.lock().unwrap_or_else(PoisonError::into_inner);
        *switched = Instant::now();
        drop(switched);
        self.current = Some((index, conn));
        Health::Ok { instance: label.clone() }
    }

    /// What to say when none is right: the most telling of all answers.
    fn judge(&self, found: &[Found]) -> Health {
        let refusals = || {
            found.iter().filter_map(|found| match found {
                Found::Wrong(refusal) => Some(refusal),
                _ => None,
            })
        };
        if let Some(names) = refusals().find_map(|refusal| match refusal {
            Refusal::Pending(names) => Some(names.clone()),
            _ => None,
        }) {
            return Health::Pending(names);
        }
        if let Some(lines) = refusals().find_map(|refusal| match refusal {
            Refusal::Different(lines) => Some(lines.clone()),
            _ => None,
        }) {
            return Health::Different(lines);
        }
        let all_answer = refusals().count() == found.len();
        let fresh = |refusal| matches!(refusal, &Refusal::Empty | &Refusal::ReadOnly { .. });
        if all_answer && refusals().all(fresh) && refusals().any(|r| *r == Refusal::Empty) {
            return Health::Pending(MIGRATIONS.iter().map(|m| m.name.to_owned()).collect());
        }
        let lines = self.endpoints.iter().zip(found).filter_map(|(endpoint, found)| match found {
            Found::Right(..) => None,
            Found::Wrong(refusal) => Some(format!("{}: {refusal}", endpoint.label)),
            Found::Silent(error) => Some(format!("{}: {error}", endpoint.label)),
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
                tracing::info!(%health, "database usable");
            } else if changed {
                tracing::warn!(%health, "database not usable");
            }
            *known = health;
            changed
        });
    }
}

async fn ask(endpoint: &Endpoint, expected: &ExpectedCluster, limit: Duration) -> Found {
    let asked = async {
        let mut conn = endpoint.options.connect().await?;
        let facts = instance::prove(&mut conn, expected).await?;
        Ok::<_, NotProven>((facts, conn))
    };
    match timeout(limit, asked).await {
        Ok(Ok((facts, conn))) => Found::Right(facts, conn),
        Ok(Err(NotProven::Refused(refusal))) => Found::Wrong(refusal),
        Ok(Err(NotProven::Failed(error))) => Found::Silent(error.to_string()),
        Err(_) => Found::Silent(format!("no answer within {} ms", limit.as_millis())),
    }
}

/// Opens a connection to an instance that may be written to, whatever its schema.
pub(super) async fn open_writer(
    endpoint: &Endpoint,
    expected: &ExpectedCluster,
    limit: Duration,
) -> Result<PgConnection, String> {
    let opened = async {
        let mut conn = endpoint.options.connect().await?;
        let facts = instance::facts(&mut conn).await?;
        expected.admits(&facts)?;
        Ok::<_, NotProven>(conn)
    };
    match timeout(limit, opened).await {
        Ok(opened) => opened.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} ms", limit.as_millis())),
    }
}
