//! The clock of a review: the time that a person under review waits for a decision. It is stopped
//! while the reviewers wait for the person (KYC-05). Called by what asks the person for something
//! again, and by what receives it. Each submission starts the clock again, by a trigger.

mod store;
#[cfg(test)]
mod tests;

use gx_db::{PgConnection, ProfileId};
use time::OffsetDateTime;

/// Stops the clock in the caller's transaction. Returns `false` if the account is not under review
/// or the clock is stopped already.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn stop(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    store::stop(conn, profile_id, now).await
}

/// Lets the clock go on in the caller's transaction: the time while it was stopped does not count.
/// Returns `false` if the clock was not stopped.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn resume(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    store::resume(conn, profile_id, now).await
}
