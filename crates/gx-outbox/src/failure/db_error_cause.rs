//! Tells whether a database error can be the fault of the data that was to be written. Asked when a
//! command or an envelope cannot be written: an error of the environment ends the caller's work, an
//! error of the data concerns only that command.

use sqlx::Error;

/// SQLSTATE classes that say nothing about the data: connection, transaction state, permission,
/// missing database, serialization failures and deadlocks, schema, resources, locks, cancelled
/// statements, and the machine.
const ENVIRONMENT_CLASSES: [&str; 10] =
    ["08", "25", "28", "3D", "40", "42", "53", "55", "57", "58"];

/// What caused a database error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DbErrorCause {
    /// The database, the connection to it, or a lock that another session holds.
    Environment,
    /// The data: a constraint, a value, or anything else that may be the data's fault.
    Data,
}

impl DbErrorCause {
    /// Returns the cause of an error. An unknown error counts as the data's fault. If it hits one
    /// command, that command is tried alone and charged; if it hits all of them, none is charged.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::Database(refusal) => match refusal.code() {
                Some(code) if ENVIRONMENT_CLASSES.iter().any(|class| code.starts_with(class)) => {
                    Self::Environment
                }
                Some(_) => Self::Data,
                None => Self::Environment,
            },
            Error::Encode(_) => Self::Data,
            _ => Self::Environment,
        }
    }
}

#[cfg(test)]
mod tests {
    use gx_db::testing::TestDatabase;
    use sqlx::AssertSqlSafe;

    use super::DbErrorCause;

    /// OUT-16: errors of connection, resources and locks blame no command; those of values and
    /// constraints may.
    #[tokio::test]
    async fn only_errors_of_the_data_blame_a_command() {
        let database = TestDatabase::create().await;
        let mut conn = database.connection().await;
        for (state, expected) in [
            ("08006", DbErrorCause::Environment),
            ("40P01", DbErrorCause::Environment),
            ("53200", DbErrorCause::Environment),
            ("53300", DbErrorCause::Environment),
            ("55P03", DbErrorCause::Environment),
            ("57014", DbErrorCause::Environment),
            ("57P01", DbErrorCause::Environment),
            ("22001", DbErrorCause::Data),
            ("23514", DbErrorCause::Data),
            ("54000", DbErrorCause::Data),
            ("P0001", DbErrorCause::Data),
        ] {
            let raise = format!("DO $$ BEGIN RAISE 'no' USING ERRCODE = '{state}'; END $$");
            let error = sqlx::raw_sql(AssertSqlSafe(raise)).execute(&mut conn).await;
            assert_eq!(DbErrorCause::of(&error.unwrap_err()), expected, "{state}");
        }
        assert_eq!(DbErrorCause::of(&sqlx::Error::PoolTimedOut), DbErrorCause::Environment);
        assert_eq!(
            DbErrorCause::of(&sqlx::Error::Io(std::io::ErrorKind::BrokenPipe.into())),
            DbErrorCause::Environment
        );
    }
}
