//! Moves settled commands and ended attempts into the archive tables, a limited number at a time.
//! gx-submitter calls [`Archiver::step`] in the background of its steps. Enqueueing, the status of
//! a command and the lists read both tables.

use std::collections::BTreeMap;
use std::time::Duration;

use gx_db::PgConnection;
use time::OffsetDateTime;

use super::store::archive;

/// Limit of the commands that one step looks at, and of the attempts that it moves.
const STEP_ROWS: i64 = 1_000;

/// Archives rows that were settled some time ago, one [`Archiver::step`] at a time.
#[derive(Debug)]
pub struct Archiver {
    keep: Duration,
    /// Number of the last command that this pass has looked at.
    after: i64,
}

/// Result of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Archived {
    /// Number of commands that were moved.
    pub commands: u64,
    /// Number of attempts that were moved.
    pub attempts: u64,
    /// Whether this pass is complete. The next step begins a new pass.
    pub is_complete: bool,
}

impl Archiver {
    /// Creates an archiver that leaves rows alone until they have been settled for `keep`.
    pub fn new(keep: Duration) -> Self {
        Self { keep, after: 0 }
    }

    /// Moves the next rows that can be archived, in one transaction. A second archiver at the same
    /// time moves other rows or none.
    ///
    /// # Errors
    /// `sqlx::Error` if a statement fails; nothing is moved then.
    pub async fn step(
        &mut self,
        conn: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<Archived, sqlx::Error> {
        let before = now - self.keep;
        let mut tx = sqlx::Connection::begin(conn).await?;
        let window = archive::window(&mut tx, self.after, STEP_ROWS, before).await?;
        let ended = archive::ended_attempts(&mut tx, STEP_ROWS, before).await?;
        let months = window.months.iter().copied().chain(ended.iter().map(|(_, at)| *at));
        let months: BTreeMap<_, _> =
            months.map(|at| ((at.year(), u8::from(at.month())), at)).collect();
        for moment in months.into_values() {
            archive::month(&mut tx, moment).await?;
        }
        let commands = match window.upto {
            Some(upto) => archive::move_commands(&mut tx, self.after, upto, before).await?,
            None => 0,
        };
        let tx_ids: Vec<_> = ended.into_iter().map(|(tx_id, _)| tx_id).collect();
        let attempts = archive::move_attempts(&mut tx, &tx_ids).await?;
        tx.commit().await?;
        let all_commands = window.too_new;
        self.after = window.upto.filter(|_| !all_commands).unwrap_or(0);
        let is_complete = all_commands && tx_ids.is_empty();
        Ok(Archived { commands, attempts, is_complete })
    }
}
