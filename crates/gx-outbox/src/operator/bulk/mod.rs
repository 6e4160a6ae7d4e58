//! Selects many commands for an operator, by status, failure class, kind and time of the last
//! change. Called by the bulk routes of gx-admin and by `gx outbox`.

mod store;

use gx_db::PgConnection;
use gx_model::{CommandId, CommandKind, CommandStatus};
use time::OffsetDateTime;

use crate::failure::FailureClass;

/// Which commands to select.
#[derive(Clone, Copy, Debug)]
pub struct BulkFilter {
    /// Commands with this status that are not settled. A final status selects none, and PENDING
    /// selects no command that is discarded and waits for the ledger.
    pub status: CommandStatus,
    /// Commands that were charged with a failure of this class.
    pub class: Option<FailureClass>,
    /// Commands of this kind.
    pub kind: Option<CommandKind>,
    /// Commands whose last change was at this time or later.
    pub since: Option<OffsetDateTime>,
    /// Commands whose last change was before this time.
    pub until: Option<OffsetDateTime>,
}

/// Returns the number of commands that the filter selects now.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn count_matching(
    conn: &mut PgConnection,
    filter: &BulkFilter,
) -> Result<i64, sqlx::Error> {
    store::count_matching(conn, filter).await
}

/// Returns the numbers and ids of the first `limit` commands that the filter selects above the
/// number `after`, in the order of their numbers.
///
/// # Errors
/// `sqlx::Error` if a statement fails or a stored id is malformed.
pub async fn matching(
    conn: &mut PgConnection,
    filter: &BulkFilter,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, CommandId)>, sqlx::Error> {
    let rows = store::matching(conn, filter, after, limit).await?;
    let read = |(number, id): (i64, String)| {
        let id = id.parse().map_err(|why| sqlx::Error::Decode(Box::new(why)))?;
        Ok((number, id))
    };
    rows.into_iter().map(read).collect()
}
