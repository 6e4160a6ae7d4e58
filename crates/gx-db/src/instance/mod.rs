//! Identity of a PostgreSQL instance, and whether it is the one to use (G7, DB-01). The pool proves
//! each new connection, and the monitor each instance at every check.

mod schema;
mod store;

use std::sync::{Mutex, PoisonError};

use sqlx::PgConnection;

use crate::MIGRATIONS;
use crate::pooler_refusal::PoolerRefusal;

pub use schema::SchemaState;
#[cfg(test)]
pub(crate) use schema::schema_state_for as schema_state_of;
pub(crate) use schema::{SchemaRevision, schema_state};

/// Identity and state of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceFacts {
    /// Identifier of the cluster, created by initdb and shared by its standbys.
    pub system_id: u64,
    /// Whether it is a standby, which replays another instance's log.
    pub in_recovery: bool,
    /// Whether transactions may only read.
    pub read_only: bool,
    /// Number of changes of the cluster's writer. `None` on a standby.
    pub timeline: Option<u32>,
}

/// Why an instance is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableInstance {
    /// The instance cannot be written to.
    #[error(
        "the instance is read-only{}; promote it, or add the writer to DATABASE_URL",
        if *in_recovery { ": a standby" } else { "" }
    )]
    ReadOnly {
        /// Whether the reason is that it is a standby.
        in_recovery: bool,
    },
    /// The instance belongs to another cluster.
    #[error(
        "the instance belongs to cluster {found}, not to {expected}; correct DATABASE_URL or \
         DATABASE_SYSTEM_ID"
    )]
    OtherCluster {
        /// Identifier of the cluster in use.
        expected: u64,
        /// Identifier of the instance's cluster.
        found: u64,
    },
    /// The instance was the writer before a failover and has not learned of it.
    #[error(
        "the instance is a former writer: its timeline is {found}, and the newest is {newest}; \
         make it a standby of the new writer"
    )]
    FormerWriter {
        /// Newest known timeline.
        newest: u32,
        /// Timeline of the instance.
        found: u32,
    },
    /// The database is empty.
    #[error("the database is empty; run `gx db migrate`")]
    Empty,
    /// Migrations are not applied yet.
    #[error("migrations are pending: {}; run `gx db migrate`", .0.join(", "))]
    Pending(Vec<String>),
    /// The schema differs.
    #[error("the schema differs: {}; undo the changes, or run their release", .0.join(", "))]
    Different(Vec<String>),
    /// A pooler is in front of the instance with which this process cannot work.
    #[error("{0}")]
    Pooler(PoolerRefusal),
}

impl UnusableInstance {
    /// All reasons, as metrics name them.
    pub const REASONS: [&str; 7] = [
        "read_only",
        "other_cluster",
        "former_writer",
        "empty",
        "migrations_pending",
        "other_schema",
        "pooler",
    ];

    /// Returns the reason as metrics name it.
    pub fn reason(&self) -> &'static str {
        let index = match self {
            Self::ReadOnly { .. } => 0,
            Self::OtherCluster { .. } => 1,
            Self::FormerWriter { .. } => 2,
            Self::Empty => 3,
            Self::Pending(_) => 4,
            Self::Different(_) => 5,
            Self::Pooler(_) => 6,
        };
        Self::REASONS[index]
    }
}

/// Why an instance was not proven to be the right one: it answered and is unusable, or it gave no
/// answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotProven {
    #[error(transparent)]
    Refused(#[from] UnusableInstance),
    #[error(transparent)]
    Failed(#[from] sqlx::Error),
}

/// The cluster in use: set by a setting, or the first that was proven. It does not change while a
/// process runs, and its timeline never decreases.
#[derive(Debug)]
pub(crate) struct ExpectedCluster(Mutex<Expected>);

#[derive(Clone, Copy, Debug)]
struct Expected {
    system_id: Option<u64>,
    timeline: u32,
}

impl ExpectedCluster {
    pub(crate) fn new(system_id: Option<u64>) -> Self {
        Self(Mutex::new(Expected { system_id, timeline: 0 }))
    }

    /// Returns the identifier of the cluster, once it is set or accepted.
    pub(crate) fn system_id(&self) -> Option<u64> {
        self.read().system_id
    }

    fn read(&self) -> Expected {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks that an instance with these facts may be written to.
    pub(crate) fn admits(&self, facts: &InstanceFacts) -> Result<(), UnusableInstance> {
        self.read().admits(facts).map(drop)
    }

    /// Returns whether the instance became the writer after the one in use.
    pub(crate) fn is_newer(&self, facts: &InstanceFacts) -> bool {
        self.admits(facts).is_ok() && facts.timeline > Some(self.read().timeline)
    }

    /// Makes the instance's cluster and timeline the expected ones, unless the instance is not
    /// admitted.
    pub(crate) fn pin(&self, facts: &InstanceFacts) -> Result<(), UnusableInstance> {
        let mut expected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let timeline = expected.admits(facts)?;
        *expected = Expected { system_id: Some(facts.system_id), timeline };
        Ok(())
    }
}

impl Expected {
    /// Returns the timeline of an instance that may be written to.
    fn admits(&self, facts: &InstanceFacts) -> Result<u32, UnusableInstance> {
        if let Some(expected) = self.system_id.filter(|expected| *expected != facts.system_id) {
            return Err(UnusableInstance::OtherCluster { expected, found: facts.system_id });
        }
        match facts.timeline {
            Some(found) if found < self.timeline => {
                Err(UnusableInstance::FormerWriter { newest: self.timeline, found })
            }
            Some(found) if !facts.read_only => Ok(found),
            _ => Err(UnusableInstance::ReadOnly { in_recovery: facts.in_recovery }),
        }
    }
}

/// Returns the facts of the connection's instance.
pub(crate) async fn facts(conn: &mut PgConnection) -> sqlx::Result<InstanceFacts> {
    store::facts(conn).await
}

/// Proof that an instance is the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proven {
    pub(crate) facts: InstanceFacts,
    /// Fingerprint of the catalogue.
    pub(crate) fingerprint: [u8; 32],
}

/// Proves that a connection leads to the right instance with the right schema.
pub(crate) async fn prove(
    conn: &mut PgConnection,
    expected: &ExpectedCluster,
) -> Result<Proven, NotProven> {
    let facts = store::facts(conn).await?;
    expected.admits(&facts)?;
    let (state, fingerprint) = schema::look(conn, MIGRATIONS).await?;
    match state {
        SchemaState::Current => Ok(Proven { facts, fingerprint }),
        SchemaState::Empty => Err(UnusableInstance::Empty.into()),
        SchemaState::Pending(names) => Err(UnusableInstance::Pending(names).into()),
        SchemaState::Different(differences) => Err(UnusableInstance::Different(differences).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(system_id: u64, timeline: u32) -> InstanceFacts {
        let timeline = Some(timeline);
        InstanceFacts { system_id, in_recovery: false, read_only: false, timeline }
    }

    #[test]
    fn the_first_cluster_accepted_is_the_only_one_and_its_timeline_never_goes_back() {
        let expected = ExpectedCluster::new(None);
        assert_eq!(expected.admits(&writer(7, 2)), Ok(()));
        assert_eq!(expected.admits(&writer(8, 1)), Ok(()));
        expected.pin(&writer(7, 2)).unwrap();
        assert_eq!(
            expected.pin(&writer(8, 9)),
            Err(UnusableInstance::OtherCluster { expected: 7, found: 8 })
        );
        expected.pin(&writer(7, 3)).unwrap();
        let refusal = expected.admits(&writer(7, 2)).unwrap_err();
        assert_eq!(refusal, UnusableInstance::FormerWriter { newest: 3, found: 2 });
        assert_eq!(refusal.reason(), "former_writer");
    }

    #[test]
    fn a_standby_and_a_read_only_writer_are_refused() {
        let expected = ExpectedCluster::new(Some(7));
        let standby =
            InstanceFacts { system_id: 7, in_recovery: true, read_only: true, timeline: None };
        assert_eq!(
            expected.admits(&standby),
            Err(UnusableInstance::ReadOnly { in_recovery: true })
        );
        let set_so = InstanceFacts { read_only: true, ..writer(7, 1) };
        assert_eq!(
            expected.admits(&set_so),
            Err(UnusableInstance::ReadOnly { in_recovery: false })
        );
    }
}
