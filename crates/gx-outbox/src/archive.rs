//! The archive: finished commands and ended attempts leave the tables that are worked on, in
//! bounded steps, and stay known: enqueueing, a command's status and the lists read both.

use std::collections::BTreeMap;
use std::time::Duration;

use gx_db::PgConnection;
use time::OffsetDateTime;

use crate::store::archive;

/// Most commands looked at in one step, and most attempts moved.
const STEP_ROWS: i64 = 1_000;

/// Moves what has been finished for a while, one [`Archiver::step`] at a time.
#[derive(Debug)]
pub struct Archiver {
    keep: Duration,
    /// The last number looked at in this pass over the table.
    after: i64,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Archived {
    /// Commands moved.
    pub commands: u64,
    /// Attempts moved.
    pub attempts: u64,
    /// Whether everything that can be moved was looked at; the next step begins anew.
    pub all: bool,
}

impl Archiver {
    /// Leaves what was settled less than `keep` ago.
    pub fn new(keep: Duration) -> Self {
        Self { keep, after: 0 }
    }

    /// Moves the next finished rows in one transaction. Whoever does the same at the same
    /// time moves others, or nothing.
    ///
    /// # Errors
    /// The database's; nothing was moved then.
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
        let tx_ids: Vec<String> = ended.into_iter().map(|(tx_id, _)| tx_id).collect();
        let attempts = archive::move_attempts(&mut tx, &tx_ids).await?;
        tx.commit().await?;
        let all_commands = window.too_new;
        self.after = window.upto.filter(|_| !all_commands).unwrap_or(0);
        let all = all_commands && tx_ids.is_empty();
        Ok(Archived { commands, attempts, all })
    }
}
