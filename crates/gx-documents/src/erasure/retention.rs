//! Erases people whose time after the closing of their account is over. Called by the housekeeping
//! of svc-identity and by `gx retention run`; several processes may do it at once.

use gx_auth::person_erasure;
use gx_db::{PgConnection, PgPool};
use time::{Duration, OffsetDateTime};

use super::{Eraser, ErasureError, ErasureOrder, count_erased};

/// Reason code of people whose time is over.
const REASON_CODE: &str = "RETENTION";
/// Days that documents are kept if the setting is not given: five years, as laws against money
/// laundering ask.
const DEFAULT_DAYS: u16 = 1_825;
/// Limit of the people that one step erases.
const MAX_PEOPLE: u64 = 20;

/// How long documents are kept.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct DocumentRetentionSettings {
    /// Days after the closing of an account after which the person is erased with all documents,
    /// 0 to 36500. A legal hold stops it.
    #[arg(long, env = "GX_RETENTION_DOCUMENTS_DAYS", default_value_t = DEFAULT_DAYS,
          value_parser = clap::value_parser!(u16).range(0..=36_500))]
    pub retention_documents_days: u16,
}

impl DocumentRetentionSettings {
    /// Returns how long documents are kept after the closing of an account.
    pub fn kept_for(self) -> Duration {
        Duration::days(self.retention_documents_days.into())
    }
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionStep {
    /// Number of people who were erased.
    pub people: u64,
    /// Whether nobody else is due. People whose accounts another session has locked are left for
    /// the next pass.
    pub is_over: bool,
}

impl Eraser {
    /// Erases up to 20 people whose accounts were closed `kept_for` ago or earlier, each in a
    /// transaction of its own. A legal hold leaves a person out until it ends.
    ///
    /// # Errors
    /// [`ErasureError`] if a step fails; people before it are erased.
    pub async fn erase_due(
        &self,
        pool: &PgPool,
        kept_for: Duration,
    ) -> Result<RetentionStep, ErasureError> {
        let order = ErasureOrder { reason_code: REASON_CODE, reason: None };
        let mut step = RetentionStep { people: 0, is_over: false };
        while step.people < MAX_PEOPLE {
            let mut tx = pool.begin().await?;
            let until = closed_until(self.clock.now(), kept_for);
            let due = person_erasure::lock_due_people(&mut tx, until, 1).await?;
            let Some(profile_id) = due.first() else {
                step.is_over = true;
                break;
            };
            self.erase_within(&mut tx, profile_id, order).await?;
            tx.commit().await?;
            count_erased(REASON_CODE);
            step.people += 1;
        }
        Ok(step)
    }
}

/// Returns the number of people that [`Eraser::erase_due`] would erase now, in all its steps.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn count_due_erasures(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    kept_for: Duration,
) -> Result<u64, sqlx::Error> {
    person_erasure::count_due_people(conn, closed_until(now, kept_for)).await
}

fn closed_until(now: OffsetDateTime, kept_for: Duration) -> OffsetDateTime {
    now.checked_sub(kept_for).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
