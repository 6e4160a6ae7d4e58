//! What one PostgreSQL instance is, and whether it is the one to use (G7, DB-01).

mod schema;
mod store;

use std::sync::{Mutex, PoisonError};

use sqlx::PgConnection;

pub use schema::SchemaState;
pub(crate) use schema::schema_state;

/// What an instance says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceFacts {
    /// Identifier of the cluster, given by initdb and shared by its standbys.
    pub system_id: u64,
    /// Whether it replays another one's log.
    pub in_recovery: bool,
    /// Whether transactions may only read.
    pub read_only: bool,
    /// How often the cluster has changed its writer; nothing while in recovery.
    pub timeline: Option<u32>,
}

/// Why an instance is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It cannot be written to.
    #[error("it is read-only{}", if *in_recovery { ": a standby" } else { "" })]
    ReadOnly {
        /// Whether because it is a standby.
        in_recovery: bool,
    },
    /// It belongs to another cluster.
    #[error("it belongs to cluster {found}, not to {expected}")]
    OtherCluster {
        /// The cluster in use.
        expected: u64,
        /// Its own.
        found: u64,
    },
    /// It was the writer before the present one and does not know that it no longer is.
    #[error("it is a former writer: its timeline is {found}, and {newest} was seen")]
    FormerWriter {
        /// The newest timeline seen.
        newest: u32,
        /// Its own.
        found: u32,
    },
    /// Its database has nothing in it.
    #[error("its database is empty")]
    Empty,
    /// Migrations are not applied yet.
    #[error("migrations are pending: {}", .0.join(", "))]
    Pending(Vec<String>),
    /// Its schema is another one.
    #[error("its schema differs: {}", .0.join("; "))]
    Different(Vec<String>),
}

impl Refusal {
    /// Every reason, as metrics name them.
    pub const REASONS: [&str; 6] = [
        "read_only",
        "other_cluster",
        "former_writer",
        "empty",
        "migrations_pending",
        "other_schema",
    ];

    /// The reason as metrics name it.
    pub fn reason(&self) -> &'static str {
        let index = match self {
            Self::ReadOnly { .. } => 0,
            Self::OtherCluster { .. } => 1,
            Self::FormerWriter { .. } => 2,
            Self::Empty => 3,
            Self::Pending(_) => 4,
            Self::Different(_) => 5,
        };
        Self::REASONS[index]
    }
}

/// Why an instance could not be shown to be the right one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotProven {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Failed(#[from] sqlx::Error),
}

/// The cluster in use: named by a setting, or the first that was proven. It never changes
/// while a process lives, and its timeline never goes back.
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

    /// The cluster, once one was named or accepted.
    pub(crate) fn system_id(&self) -> Option<u64> {
        self.read().system_id
    }

    fn read(&self) -> Expected {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an instance with these facts may be written to.
    pub(crate) fn admits(&self, facts: &InstanceFacts) -> Result<(), Refusal> {
        self.read().admits(facts).map(drop)
    }

    /// Whether the instance became the writer after the one in use.
    pub(crate) fn is_newer(&self, facts: &InstanceFacts) -> bool {
        self.admits(facts).is_ok() && facts.timeline > Some(self.read().timeline)
    }

    /// Makes the instance's cluster and timeline the expected ones, unless others were first.
    pub(crate) fn pin(&self, facts: &InstanceFacts) -> Result<(), Refusal> {
        let mut expected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let timeline = expected.admits(facts)?;
        *expected = Expected { system_id: Some(facts.system_id), timeline };
        Ok(())
    }
}

impl Expected {
    fn admits(&self, facts: &InstanceFacts) -> Result<u32, Refusal> {
        if let Some(expected) = self.system_id.filter(|expected| *expected != facts.system_id) {
            return Err(Refusal::OtherCluster { expected, found: facts.system_id });
        }
        match facts.timeline {
            Some(found) if found < self.timeline => {
                Err(Refusal::FormerWriter { newest: self.timeline, found })
            }
            Some(found) if !facts.read_only => Ok(found),
            _ => Err(Refusal::ReadOnly { in_recovery: facts.in_recovery }),
        }
    }
}

/// What the instance says about itself.
pub(crate) async fn facts(conn: &mut PgConnection) -> sqlx::Result<InstanceFacts> {
    store::facts(conn).await
}

/// Shows that a connection leads to the right instance with the right schema.
pub(crate) async fn prove(
    conn: &mut PgConnection,
    expected: &ExpectedCluster,
) -> Result<InstanceFacts, NotProven> {
    let facts = store::facts(conn).await?;
    expected.admits(&facts)?;
    match schema_state(conn).await? {
        SchemaState::Current => Ok(facts),
        SchemaState::Empty => Err(Refusal::Empty.into()),
        SchemaState::Pending(names) => Err(Refusal::Pending(names).into()),
        SchemaState::Different(differences) => Err(Refusal::Different(differences).into()),
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
            Err(Refusal::OtherCluster { expected: 7, found: 8 })
        );
        expected.pin(&writer(7, 3)).unwrap();
        let refusal = expected.admits(&writer(7, 2)).unwrap_err();
        assert_eq!(refusal, Refusal::FormerWriter { newest: 3, found: 2 });
        assert_eq!(refusal.reason(), "former_writer");
    }

    #[test]
    fn a_standby_and_a_read_only_writer_are_refused() {
        let expected = ExpectedCluster::new(Some(7));
        let standby =
            InstanceFacts { system_id: 7, in_recovery: true, read_only: true, timeline: None };
        assert_eq!(expected.admits(&standby), Err(Refusal::ReadOnly { in_recovery: true }));
        let set_so = InstanceFacts { read_only: true, ..writer(7, 1) };
        assert_eq!(expected.admits(&set_so), Err(Refusal::ReadOnly { in_recovery: false }));
    }
}
