//! Releases held commands, a limited number at a time.
//!
//! When a command ends, the transaction that ends it calls [`release_held`] for the commands behind
//! it. Those that a race or the limit leaves behind are found by [`HeldSweep`], which the submitter
//! runs over all held commands.

use std::collections::HashMap;

use gx_db::PgConnection;
use time::OffsetDateTime;

use crate::store::held::{self, HeldRow};

/// Limit of the held commands that are looked at in one turn, and of one aggregate in one turn. It
/// is about as many as fit into one envelope; when that envelope is settled, the next ones are
/// released.
const TURN_LIMIT: i64 = 500;

/// Releases the held commands that no longer wait for an earlier command, in aggregates of which a
/// command has just ended. `ended` has the aggregate key and the number of that command; only
/// commands with higher numbers are looked at.
///
/// # Errors
/// `sqlx::Error` if a statement fails; the caller rolls its transaction back.
pub(crate) async fn release_held(
    conn: &mut PgConnection,
    ended: &[(String, i64)],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if ended.is_empty() {
        return Ok(());
    }
    let (keys, numbers): (Vec<&str>, Vec<i64>) =
        ended.iter().map(|(key, number)| (key.as_str(), *number)).unzip();
    let rows = held::behind(conn, &keys, &numbers, TURN_LIMIT).await?;
    release(conn, rows, now).await?;
    Ok(())
}

/// A sweep over all held commands, one turn at a time; after the last turn it begins again.
#[derive(Clone, Debug, Default)]
pub struct HeldSweep {
    /// Aggregate key and number after which the next turn begins.
    after: Option<(String, i64)>,
}

/// Result of one turn of the sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Number of commands that were looked at.
    pub looked_at: usize,
    /// Number of commands that were set PENDING.
    pub released: u64,
    /// Whether this turn reached the end; the next turn begins a new sweep.
    pub is_over: bool,
}

impl HeldSweep {
    /// Looks at the next held commands and releases those that no longer wait for an earlier one.
    /// One sweep releases only the first commands of an aggregate, because the others wait for
    /// these.
    ///
    /// # Errors
    /// `sqlx::Error` if a statement fails; the next turn looks at the same commands.
    pub async fn turn(
        &mut self,
        conn: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<Swept, sqlx::Error> {
        let (key, number) = self.after.clone().unwrap_or_default();
        let mut tx = crate::store::commands::begin_with_index_lookups(conn).await?;
        crate::store::commands::make_new_plans(&mut tx).await?;
        let rows = held::next(&mut tx, &key, number, TURN_LIMIT).await?;
        let is_over = i64::try_from(rows.len()).is_ok_and(|count| count < TURN_LIMIT);
        let last = rows.last().map(|row| row.aggregate_key.clone());
        let looked_at = rows.len();
        let released = release(&mut tx, rows, now).await?;
        tx.commit().await?;
        // The remaining commands of the last aggregate wait for those that were looked at.
        self.after = if is_over { None } else { last.map(|key| (key, i64::MAX)) };
        Ok(Swept { looked_at, released, is_over })
    }
}

/// Sets held commands that no longer wait for an earlier command to PENDING and returns their
/// number.
async fn release(
    conn: &mut PgConnection,
    rows: Vec<HeldRow>,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    if rows.is_empty() {
        return Ok(0);
    }
    let mut keys: Vec<&str> = rows.iter().map(|row| row.aggregate_key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    let free: HashMap<String, Option<i64>> =
        held::free_until(conn, &keys, TURN_LIMIT, now).await?.into_iter().collect();
    let is_free = |row: &&HeldRow| match free.get(&row.aggregate_key) {
        Some(Some(until)) => row.number < *until,
        Some(None) | None => true,
    };
    let ids: Vec<_> = rows.iter().filter(is_free).map(|row| &row.command_id).collect();
    if ids.is_empty() { Ok(0) } else { held::release(conn, &ids, now).await }
}
