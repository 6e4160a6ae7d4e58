//! Counts the outbox: for metrics, called by the submitter; for operators, called by gx-admin.

mod store;

use gx_db::PgConnection;
use gx_model::CommandStatus;
use time::OffsetDateTime;

/// Numbers of the outbox for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxStats {
    /// Number of commands by status, for the statuses of [`count_by_status`].
    pub commands: Vec<(CommandStatus, i64)>,
    /// When the oldest command was enqueued that is neither settled nor DEAD.
    pub oldest_waiting: Option<OffsetDateTime>,
    /// Number of open attempts.
    pub open_attempts: i64,
    /// When the oldest open attempt was stored.
    pub oldest_open_attempt: Option<OffsetDateTime>,
}

/// Returns the number of commands in each status that is not final, and in COMMITTED_UNVERIFIED,
/// which a person must look at.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn count_by_status(
    conn: &mut PgConnection,
) -> Result<Vec<(CommandStatus, i64)>, sqlx::Error> {
    Ok(by_status(&store::count_unsettled(conn).await?))
}

fn by_status(counted: &[store::CountRow]) -> Vec<(CommandStatus, i64)> {
    let of = |status: CommandStatus| {
        counted.iter().find(|row| row.status == status).map_or(0, |row| row.count)
    };
    use CommandStatus::{Blocked, CommittedUnverified, Dead, Held, Pending, Submitted};
    [Pending, Held, Submitted, Blocked, Dead, CommittedUnverified]
        .map(|status| (status, of(status)))
        .to_vec()
}

/// Returns the numbers of the outbox for metrics.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn outbox_stats(conn: &mut PgConnection) -> Result<OutboxStats, sqlx::Error> {
    let counted = store::count_unsettled(conn).await?;
    let (open_attempts, oldest_open_attempt) = store::count_open(conn).await?;
    use CommandStatus::{CommittedUnverified, Dead};
    let waits = |row: &&store::CountRow| row.status != Dead && row.status != CommittedUnverified;
    Ok(OutboxStats {
        commands: by_status(&counted),
        oldest_waiting: counted.iter().filter(waits).map(|row| row.oldest).min(),
        open_attempts,
        oldest_open_attempt,
    })
}
