//! Looking for work: a window of each lane, in order.
//!
//! A command that leaves PENDING leaves a dead entry in the index behind, which cannot be
//! removed while any transaction keeps an older snapshot open. So a look begins at a mark a
//! little behind the first new command that was pending lately. What became pending again
//! stands in an index of its own, and what was committed late is found by a look at
//! everything, as often as that is cheap.

use std::collections::HashMap;
use std::time::Duration;

use gx_db::PgConnection;
use gx_model::{Clock, SignerRole};
use serde_json::Value;
use time::OffsetDateTime;

use crate::attempt::Purpose;
use crate::claim::Lease;
use crate::lane::LANES;
use crate::store::look;

/// Least number of commands looked at in each lane.
const LEAST_SHARE: i64 = 16;
/// By how much more is looked at in each lane where that was not enough.
const SHARE_GROWTH: i64 = 4;
/// How long a command may take from drawing its number to its commit and still be found at
/// once.
const COMMIT_TIME: Duration = Duration::from_secs(2);
/// Looks at everything may take one part in this many of the time.
const FULL_LOOK_SHARE: u32 = 20;
/// Least time between two of them.
const FULL_LOOK_GAP: Duration = Duration::from_millis(100);
/// Most time between two of them.
const LONGEST_FULL_LOOK_GAP: Duration = Duration::from_secs(300);

/// A command that may be sent now.
#[derive(Clone, Debug)]
pub struct Due {
    /// Its place in the order.
    pub number: i64,
    /// Its lane.
    pub lane: i16,
    /// Its id.
    pub command_id: String,
    /// Its kind's name.
    pub kind: String,
    /// Its payload.
    pub payload: Value,
    /// Who must sign.
    pub signer: SignerRole,
    /// Whether it is to be carried out, or cancelled because it was given up.
    pub purpose: Purpose,
    /// What keeps it in order.
    pub aggregate_key: String,
    /// What it touches on the ledger.
    pub touches: Vec<String>,
    /// Size of its call, roughly.
    pub bytes: usize,
}

/// Where a look for new commands begins in each lane.
#[derive(Clone, Debug)]
pub struct Marks {
    lanes: [Mark; LANES as usize],
    /// The greatest number seen.
    newest: i64,
    moved_at: Option<OffsetDateTime>,
    full_at: Option<OffsetDateTime>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// Nothing new below was pending a while ago.
    from: i64,
    /// The next mark, once it is old enough.
    next: i64,
}

impl Default for Marks {
    fn default() -> Self {
        Self { lanes: [Mark::default(); LANES as usize], newest: 0, moved_at: None, full_at: None }
    }
}

impl Marks {
    /// Whether everything is to be looked at. A clock that was set back counts as due.
    fn is_full_due(&self, now: OffsetDateTime) -> bool {
        self.full_at.is_none_or(|at| now >= at || at - now > LONGEST_FULL_LOOK_GAP)
    }

    fn full_look_took(&mut self, took: Duration, now: OffsetDateTime) {
        let gap = took.saturating_mul(FULL_LOOK_SHARE);
        self.full_at = Some(now + gap.clamp(FULL_LOOK_GAP, LONGEST_FULL_LOOK_GAP));
    }

    fn of(&self, lanes: &[i16]) -> Vec<i64> {
        lanes.iter().map(|lane| self.lanes[usize::from(lane.unsigned_abs())].from).collect()
    }

    /// Moves the marks by what was seen. Where the look ended early, a lane without rows may
    /// have some all the same.
    fn saw(&mut self, lanes: &[i16], rows: &[look::DueRow], is_all: bool, now: OffsetDateTime) {
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
            // Committed late: it stays within sight until it is gone.
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

/// The first due commands of the leased lanes, by their number, at most `limit`. Those
/// behind a command of their aggregate that is in flight, backing off, blocked or dead are
/// set HELD instead, so that they do not stand in the way again.
///
/// # Errors
/// The database's; a row that no release of this code wrote is reported as a decode error.
pub async fn due_commands(
    conn: &mut PgConnection,
    lease: &Lease,
    marks: &mut Marks,
    clock: &Clock,
    limit: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    look::follow_indexes(conn).await?;
    let now = clock.now();
    let is_full = marks.is_full_due(now);
    let from = if is_full { vec![0; lease.lanes.len()] } else { marks.of(&lease.lanes) };
    let lanes = i64::try_from(lease.lanes.len()).unwrap_or(i64::MAX).max(1);
    // An even share first; where the work is in few lanes, more and more of each: all that
    // could be wanted of every lane would be far more than is wanted.
    let mut share = (limit / lanes + 1).max(LEAST_SHARE).min(limit);
    let mut rows = look::due(conn, &lease.lanes, &from, share, limit, now).await?;
    while !reaches(&rows, limit) && has_full_lane(&rows, share) {
        share *= SHARE_GROWTH;
        rows = look::due(conn, &lease.lanes, &from, share, limit, now).await?;
    }
    if is_full {
        let after = clock.now();
        marks.full_look_took(Duration::try_from(after - now).unwrap_or_default(), after);
    }
    marks.saw(&lease.lanes, &rows, !reaches(&rows, limit), now);
    let (waiting, due): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.waits && row.give_up.is_none());
    if !waiting.is_empty() {
        let ids: Vec<String> = waiting.into_iter().map(|row| row.command_id).collect();
        look::hold(conn, &ids, now).await?;
    }
    Ok(due.into_iter().map(due_from_row).collect())
}

fn reaches(rows: &[look::DueRow], limit: i64) -> bool {
    i64::try_from(rows.len()).unwrap_or(i64::MAX) >= limit
}

fn has_full_lane(rows: &[look::DueRow], share: i64) -> bool {
    let mut counts = HashMap::new();
    rows.iter().any(|row| {
        let count = counts.entry(row.lane).or_insert(0);
        *count += 1;
        *count >= share
    })
}

fn due_from_row(row: look::DueRow) -> Due {
    let cancel = row.give_up.is_some();
    Due {
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
