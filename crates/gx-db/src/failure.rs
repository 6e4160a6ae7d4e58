//! Failures of a statement that concern other statements, too. gx-serve looks for one behind each
//! failed request and reports it with [`crate::Database::report_failure`]; the workers repeat a
//! step that met a stale plan.

use std::error::Error;

use sqlx::postgres::PgDatabaseError;

/// The server's function that rejects a stale plan. The SQLSTATE alone is ambiguous.
const STALE_PLAN_ROUTINE: &str = "RevalidateCachedQuery";

/// A failure that concerns more than its statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseFailure {
    /// The statement was prepared before a migration changed its columns, or the server lost it. It
    /// succeeds on another connection.
    StalePlan,
    /// The server could not store something: the reason in its words.
    NotStored(String),
}

impl DatabaseFailure {
    /// Returns the failure if the error or one of its causes is one, and `None` if it concerns only
    /// its statement.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<sqlx::Error>() {
                return error.as_database_error()?.try_downcast_ref().and_then(Self::said);
            }
            next = error.source();
        }
        None
    }

    fn said(error: &PgDatabaseError) -> Option<Self> {
        match error.code() {
            "0A000" if error.routine() == Some(STALE_PLAN_ROUTINE) => Some(Self::StalePlan),
            // The prepared statement does not exist: a pooler has lost it.
            "26000" => Some(Self::StalePlan),
            // No space, failed write or read, read-only server.
            "53100" | "58030" | "25006" => Some(Self::NotStored(error.message().to_owned())),
            _ => None,
        }
    }
}

/// Returns whether a statement failed because its plan is older than a migration. The statement
/// succeeds on another connection.
pub fn is_stale_plan(error: &sqlx::Error) -> bool {
    DatabaseFailure::of(error) == Some(DatabaseFailure::StalePlan)
}
