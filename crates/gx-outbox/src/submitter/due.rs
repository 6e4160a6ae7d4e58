//! Finds due commands: in each lane, the first ones in order. Called by gx-submitter in each claim.
//!
//! A command that leaves PENDING leaves a dead entry in the index, which PostgreSQL cannot remove
//! while a transaction has an older snapshot. So a scan of a lane begins at a mark shortly before
//! the first new command that was pending recently. Commands that are PENDING again have their own
//! index. Commands that were committed late are found by a full scan, which runs as often as it is
//! cheap.

use std::collections::HashMap;
use std::time::Duration;

use gx_db::{PgConnection, StoredCommandId};
use gx_model::{Clock, SignerRole};
use serde_json::Value;
use time::OffsetDateTime;

use super::lease::Lease;
use super::purpose::Purpose;
use super::store::due::{self, DueRow};
use crate::failure::DbErrorCause;
use crate::lane::LANES;
use crate::logged_ids::logged_ids;
use crate::requeue::{LoneFailure, Suspicion, is_the_submitters};
use crate::store::commands;

/// Smallest number of commands that are read from each lane.
const MIN_SHARE: i64 = 16;
/// Factor by which this number grows if too few commands were found.
const SHARE_GROWTH: i64 = 4;
/// Longest time between drawing a command's number and its commit for which the command is still
/// found at once.
const COMMIT_TIME: Duration = Duration::from_secs(2);
/// Full scans may use one part in this many of the time.
const FULL_SCAN_SHARE: u32 = 20;
/// Shortest time between two full scans.
const MIN_FULL_SCAN_GAP: Duration = Duration::from_millis(100);
/// Longest time between two full scans.
const MAX_FULL_SCAN_GAP: Duration = Duration::from_secs(300);

/// A command that may be sent now.
#[derive(Clone, Debug)]
pub struct Due {
    /// Its place in the order of the outbox.
    pub number: i64,
    /// Its lane.
    pub lane: i16,
    /// Its id.
    pub command_id: StoredCommandId,
    /// Name of its kind.
    pub kind: String,
    /// Its payload.
    pub payload: Value,
    /// The role whose key must sign.
    pub signer: SignerRole,
    /// Whether to execute the command, or to cancel it because it was given up.
    pub purpose: Purpose,
    /// The aggregate key: commands with the same key are sent in the order of their numbers.
    pub aggregate_key: String,
    /// The ledger keys that it may write.
    pub touches: Vec<String>,
    /// Approximate size of its call, in bytes.
    pub bytes: usize,
    /// Tag of the commands with which it may be sent, after it failed together with others.
    /// Commands without a tag may be sent with all others that have none.
    pub together: Option<String>,
    /// The failure that it met alone and that is not charged yet.
    pub alone: Option<LoneFailure>,
    /// Whether it may be sent before a later envelope shows who caused that failure.
    pub is_tried_at_once: bool,
    /// The submitter's decision to give the command up, if it has made one.
    pub give_up: Option<GiveUp>,
}

/// The submitter's decision to give a command up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GiveUp {
    /// Newest block with a valid envelope when the command was given up; `None` if an earlier
    /// release did.
    pub proven_at: Option<i64>,
}

/// Where the scan for new commands begins in each lane.
#[derive(Clone, Debug)]
pub struct Marks {
    lanes: [Mark; LANES as usize],
    /// The highest number that was seen.
    newest: i64,
    moved_at: Option<OffsetDateTime>,
    full_at: Option<OffsetDateTime>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// No new command with a lower number was pending recently.
    from: i64,
    /// The next value of `from`, once it is old enough.
    next: i64,
}

impl Default for Marks {
    fn default() -> Self {
        Self { lanes: [Mark::default(); LANES as usize], newest: 0, moved_at: None, full_at: None }
    }
}

impl Marks {
    /// Makes the next scan a full one, because a command with a number below a mark was committed
    /// late.
    fn scan_all_next(&mut self) {
        self.full_at = None;
    }

    /// Returns whether the next scan must be a full one. It must be after the clock was set back,
    /// too.
    fn is_full_scan_due(&self, now: OffsetDateTime) -> bool {
        self.full_at.is_none_or(|at| now >= at || at - now > MAX_FULL_SCAN_GAP)
    }

    fn record_full_scan(&mut self, took: Duration, now: OffsetDateTime) {
        let gap = took.saturating_mul(FULL_SCAN_SHARE);
        self.full_at = Some(now + gap.clamp(MIN_FULL_SCAN_GAP, MAX_FULL_SCAN_GAP));
    }

    fn of(&self, lanes: &[i16]) -> Vec<i64> {
        lanes.iter().map(|lane| self.lanes[usize::from(lane.unsigned_abs())].from).collect()
    }

    /// Moves the marks by the commands that were found. If the limit was reached (`is_all` is
    /// false), a lane without rows may still have some.
    fn record_seen(&mut self, lanes: &[i16], rows: &[DueRow], is_all: bool, now: OffsetDateTime) {
        let mut first: HashMap<i16, i64> = HashMap::new();
        for row in rows {
            self.newest = self.newest.max(row.number);
            if !row.returned {
                let seen = first.entry(row.lane).or_insert(row.number);
                *seen = row.number.min(*seen);
            }
        }
        for (lane, number) in &first {
            let mark = &mut self.lanes[usize::from(lane.unsigned_abs())];
            // A command that was committed late stays above the mark until it is no longer pending.
            mark.from = mark.from.min(*number);
        }
        if self.moved_at.is_some_and(|at| (now - at).unsigned_abs() < COMMIT_TIME) {
            return;
        }
        self.moved_at = Some(now);
        for lane in lanes {
            let mark = &mut self.lanes[usize::from(lane.unsigned_abs())];
            let begin = first.get(lane).copied().or_else(|| is_all.then_some(self.newest + 1));
            if let Some(begin) = begin {
                mark.from = mark.next.min(begin);
                mark.next = begin;
            }
        }
    }
}

/// Begins a transaction for [`due_commands`], whose lookups follow indexes however old the
/// statistics of the tables and the plans of the statements are.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn begin(
    conn: &mut PgConnection,
) -> Result<sqlx::Transaction<'_, sqlx::Postgres>, sqlx::Error> {
    commands::begin_with_index_lookups(conn).await
}

/// Returns the first due commands of the leased lanes in the order of their numbers, at most
/// `limit`. Call it in a transaction of [`begin`].
///
/// Commands that wait for an earlier command of their aggregate, because that one is in flight,
/// delayed, blocked or dead, become HELD, so that later scans do not find them. Commands that wait
/// for one that was committed too late to be found stay PENDING; the next scan is a full one and
/// finds it.
///
/// # Errors
/// `sqlx::Error` if a statement fails, or a decode error for a row that no release of this code
/// wrote.
pub async fn due_commands(
    conn: &mut PgConnection,
    lease: &Lease,
    marks: &mut Marks,
    clock: &Clock,
    limit: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    let now = clock.now();
    let is_full = marks.is_full_scan_due(now);
    let from = if is_full { vec![0; lease.lanes.len()] } else { marks.of(&lease.lanes) };
    let lanes = i64::try_from(lease.lanes.len()).unwrap_or(i64::MAX).max(1);
    // Each lane gets an equal share first. If the work is in few lanes, their share grows: reading
    // the whole limit from every lane would read far too many rows.
    let mut share = (limit / lanes + 1).max(MIN_SHARE).min(limit);
    let mut rows = due::due(conn, &lease.lanes, &from, share, limit, now).await?;
    while !reaches(&rows, limit) && has_full_lane(&rows, share) {
        share *= SHARE_GROWTH;
        rows = due::due(conn, &lease.lanes, &from, share, limit, now).await?;
    }
    if is_full {
        let after = clock.now();
        marks.record_full_scan(Duration::try_from(after - now).unwrap_or_default(), after);
    }
    marks.record_seen(&lease.lanes, &rows, !reaches(&rows, limit), now);
    let eligibility = eligibility(&rows);
    if eligibility.values().any(|place| *place == Eligibility::NotSeen) {
        marks.scan_all_next();
    }
    let mut waiting = Vec::new();
    let mut due = Vec::with_capacity(rows.len());
    for row in rows {
        match eligibility.get(&row.number) {
            Some(Eligibility::Waiting) => waiting.push(row.command_id),
            Some(Eligibility::NotSeen) => {}
            Some(Eligibility::Ready) | None => due.push(due_from_row(row)),
        }
    }
    if !waiting.is_empty() {
        hold(conn, &waiting, now).await?;
    }
    Ok(due)
}

/// Sets commands HELD. If the database rejects one of them, all stay PENDING; the due commands are
/// sent in any case.
async fn hold(
    conn: &mut PgConnection,
    ids: &[StoredCommandId],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let mut savepoint = sqlx::Connection::begin(&mut *conn).await?;
    match due::hold(&mut savepoint, ids, now).await {
        Ok(_) => savepoint.commit().await,
        Err(error) if DbErrorCause::of(&error) == DbErrorCause::Data => {
            tracing::error!(commands = ids.len(), command_ids = ?logged_ids(ids), error = %error,
                "{} commands cannot be held; remove the cause that `error` names", ids.len());
            savepoint.rollback().await
        }
        Err(error) => Err(error),
    }
}

/// Whether a command that was found can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Eligibility {
    /// All earlier commands of its aggregate are settled or are sent, too.
    Ready,
    /// An earlier command of its aggregate cannot be sent now.
    Waiting,
    /// An earlier command of its aggregate could be sent, but this scan did not find it.
    NotSeen,
}

/// Returns the eligibility of each row by its number. Rows are ordered by number, so that the
/// earlier commands of an aggregate are decided first. A cancellation waits for nothing.
fn eligibility(rows: &[DueRow]) -> HashMap<i64, Eligibility> {
    let mut eligibility = HashMap::with_capacity(rows.len());
    for row in rows {
        let place = match row.previous {
            _ if row.give_up.is_some() => Eligibility::Ready,
            None => Eligibility::Ready,
            Some(previous) if previous < 0 => Eligibility::Waiting,
            Some(previous) => eligibility.get(&previous).copied().unwrap_or(Eligibility::NotSeen),
        };
        eligibility.insert(row.number, place);
    }
    eligibility
}

fn reaches(rows: &[DueRow], limit: i64) -> bool {
    i64::try_from(rows.len()).unwrap_or(i64::MAX) >= limit
}

fn has_full_lane(rows: &[DueRow], share: i64) -> bool {
    let mut counts = HashMap::new();
    rows.iter().any(|row| {
        let count = counts.entry(row.lane).or_insert(0);
        *count += 1;
        *count >= share
    })
}

fn due_from_row(row: DueRow) -> Due {
    let cancel = row.give_up.is_some();
    let give_up = is_the_submitters(row.give_up.as_ref()).then(|| GiveUp {
        proven_at: row.give_up.as_ref().and_then(|why| why.get("block")?.as_i64()),
    });
    let suspicion = Suspicion::read(row.suspicion);
    Due {
        together: row.together,
        is_tried_at_once: suspicion.is_tried_at_once(),
        alone: suspicion.alone,
        give_up,
        number: row.number,
        lane: row.lane,
        bytes: row.payload.to_string().len() + row.kind.len() + 100,
        command_id: row.command_id,
        kind: row.kind,
        payload: row.payload,
        signer: match row.signer_role.as_str() {
            "SUPER_ADMIN" if !cancel => SignerRole::SuperAdmin,
            _ => SignerRole::Admin,
        },
        purpose: if cancel { Purpose::Cancel } else { Purpose::Execute },
        aggregate_key: row.aggregate_key,
        touches: row.touches,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: i64, previous: Option<i64>, give_up: Option<Value>) -> DueRow {
        DueRow {
            number,
            lane: 0,
            command_id: number.to_string().into(),
            kind: "TRANSFER".to_owned(),
            payload: Value::Null,
            signer_role: "ADMIN".to_owned(),
            aggregate_key: "A".to_owned(),
            touches: vec![],
            give_up,
            returned: false,
            together: None,
            suspicion: None,
            previous,
        }
    }

    /// OUT-17: a command is sent only with all unsettled commands before it in its aggregate.
    #[test]
    fn a_command_goes_only_with_all_that_comes_before_it() {
        let give_up = Some(serde_json::json!({ "to": "DISCARDED" }));
        let rows = [
            row(2, None, None),
            row(3, Some(2), None),
            // 4 was committed late and is not among the rows.
            row(5, Some(4), None),
            row(6, Some(5), None),
            // 8 is in flight.
            row(9, Some(-8), None),
            row(10, Some(9), None),
            row(11, Some(-10), give_up),
            row(12, Some(11), None),
        ];
        let eligibility = eligibility(&rows);
        use Eligibility::{NotSeen, Ready, Waiting};
        let expected = [Ready, Ready, NotSeen, NotSeen, Waiting, Waiting, Ready, Ready];
        assert_eq!(rows.map(|row| eligibility[&row.number]), expected);
    }
}
