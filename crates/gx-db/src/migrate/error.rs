//! Errors of a run of migrations, as `gx db migrate` and `gx dev` show them.

use std::time::Duration;

use super::steps::StepsError;
use crate::lock_waits::Blocker;

/// Why a run ended early. Unfinished work was rolled back, or the next run continues it.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The schema has objects and no record of migrations.
    #[error(
        "the schema is not empty and no migration was recorded there, so nothing was changed: {}; use an empty database, or remove these objects",
        objects.join(", ")
    )]
    Untracked {
        /// The objects, each by kind and name.
        objects: Vec<String>,
    },
    /// The first schema of the search path does not exist.
    #[error(
        "the schema that the connection names does not exist; create it, or correct `?schema=`"
    )]
    NoSchema,
    /// An applied or begun migration differs from the one with the same number in this binary.
    #[error(
        "migration {0} was applied with another text than this binary has; use the release that applied it"
    )]
    Changed(String),
    /// A migration that this binary does not know was begun and not finished.
    #[error("migration {0} was begun by another release; finish it with that release")]
    BegunElsewhere(String),
    /// The catalogue differs from the result of the applied migrations.
    #[error(
        "the schema differs from what {name} leaves behind, so nothing was changed: {}; undo these differences first",
        differences.join("; ")
    )]
    Drifted {
        /// The newest applied migration.
        name: String,
        /// The differences.
        differences: Vec<String>,
    },
    /// A migration failed and was rolled back.
    #[error("migration {name} failed and was rolled back; remove the cause, and migrate again")]
    Failed {
        /// Name of the migration.
        name: String,
        /// Error of the database.
        #[source]
        source: sqlx::Error,
    },
    /// A step of a migration failed. The steps before it are done.
    #[error(
        "migration {name} failed at its step {step}; remove the cause, and migrate again, which begins with that step"
    )]
    FailedAtStep {
        /// Name of the migration.
        name: String,
        /// Name of the step.
        step: String,
        /// Error of the database.
        #[source]
        source: sqlx::Error,
    },
    /// All steps are done, and the schema differs from their expected result.
    #[error(
        "the steps of migration {name} are done, but the schema differs from the expected one: {}; undo the differences, and migrate again",
        differences.join("; ")
    )]
    Unexpected {
        /// Name of the migration.
        name: String,
        /// The differences.
        differences: Vec<String>,
    },
    /// The text of a migration is not a list of steps.
    #[error(
        "the text of migration {name} cannot be read; use another release, because this one is damaged"
    )]
    Unreadable {
        /// Name of the migration.
        name: String,
        /// The error in the text.
        #[source]
        source: StepsError,
    },
    /// A lock timed out at every attempt.
    #[error(
        "migration {name} did not get its locks within {} s, because {}; end the blocking sessions, or migrate again later",
        waited.as_secs(),
        held_by(blockers)
    )]
    Blocked {
        /// Name of the migration and the step.
        name: String,
        /// Time of all attempts.
        waited: Duration,
        /// The sessions that held the locks at the last attempt.
        blockers: Vec<Blocker>,
    },
    /// Another runner works for too long.
    #[error(
        "another migration runner{} has worked for {} s; wait until it ends, or end its session",
        holder.as_ref().map_or_else(String::new, |session| format!(" ({session})")),
        waited.as_secs()
    )]
    Busy {
        /// Time for which this runner has waited.
        waited: Duration,
        /// The session of the other runner.
        holder: Option<Blocker>,
    },
    /// No database can be migrated; the source says why.
    #[error("no database can be migrated; compare the instances with `gx db check`")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A statement failed outside a migration.
    #[error(
        "a statement before or between migrations failed; check the database and its log, and migrate again"
    )]
    Database(#[from] sqlx::Error),
}

/// Returns the sessions that hold the locks, as text.
pub(super) fn held_by(blockers: &[Blocker]) -> String {
    if blockers.is_empty() {
        return "other sessions hold them".to_owned();
    }
    blockers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
