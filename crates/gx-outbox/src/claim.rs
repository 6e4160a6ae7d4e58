//! The submitter's claim: lanes are leased with a fencing token, and only the holder of a
//! lane sends its commands.

use std::collections::{HashMap, HashSet};

use gx_db::PgConnection;
use gx_model::SignerRole;
use serde_json::Value;
use time::OffsetDateTime;

use crate::attempt::Purpose;
use crate::lane::LANES;
use crate::store::{attempts, commands, lanes, look};

/// Least number of commands looked at in each lane.
const LEAST_SHARE: i64 = 16;

/// Lanes held for a while. Whoever leases one next draws a higher token, and from then on
/// nothing can be stored under this one.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Who holds the lanes.
    pub owner: String,
    /// Until when, unless it is renewed.
    pub until: OffsetDateTime,
    pub(crate) lanes: Vec<i16>,
    pub(crate) tokens: Vec<i64>,
}

impl Lease {
    /// Whether no lane was free and had work.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Number of lanes held.
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Whether these are all lanes there are.
    pub fn is_whole(&self) -> bool {
        self.lanes.len() == usize::from(LANES)
    }

    /// The tokens of some of its lanes, in their order.
    pub(crate) fn tokens_of(&self, lanes: &[i16]) -> Vec<i64> {
        let of = |lane| self.lanes.iter().position(|held| held == lane);
        lanes.iter().filter_map(|lane| of(lane).map(|at| self.tokens[at])).collect()
    }
}

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

/// Leases up to `max_lanes` free lanes, those first that waited longest; where that is not
/// all of them, only lanes with work. What their earlier holder left half done is to be
/// charged in the same transaction ([`crate::charge_interrupted`]).
///
/// # Errors
/// The database's.
pub async fn lease(
    conn: &mut PgConnection,
    owner: &str,
    max_lanes: i64,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<Lease, sqlx::Error> {
    let with_work = max_lanes < i64::from(LANES);
    let rows = lanes::lease(conn, owner, max_lanes, with_work, now, until).await?;
    let (lanes, tokens) = rows.into_iter().unzip();
    Ok(Lease { owner: owner.to_owned(), until, lanes, tokens })
}

/// Prolongs a lease; `false` where a lane of it was lost.
///
/// # Errors
/// The database's.
pub async fn renew(
    conn: &mut PgConnection,
    lease: &mut Lease,
    until: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let renewed = lanes::renew(conn, &lease.lanes, &lease.tokens, until).await?;
    lease.until = until;
    Ok(usize::try_from(renewed) == Ok(lease.lanes.len()))
}

/// Gives lanes back. Those lost meanwhile are left alone.
///
/// # Errors
/// The database's.
pub async fn release(
    conn: &mut PgConnection,
    lease: &Lease,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    lanes::release(conn, &lease.lanes, &lease.tokens, now).await
}

/// Gives back what an earlier life of this owner left leased.
///
/// # Errors
/// The database's.
pub async fn release_owner(
    conn: &mut PgConnection,
    owner: &str,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    lanes::release_owner(conn, owner, now).await
}

/// Sets PENDING every HELD command that stands behind nothing any more. Settlement does it
/// for its own aggregates at once; this finds what a race left behind.
///
/// # Errors
/// The database's.
pub async fn release_held(
    conn: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    commands::release_all_held(conn, now).await
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
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    look::follow_indexes(conn).await?;
    let marks = vec![0; lease.lanes.len()];
    let lanes = i64::try_from(lease.lanes.len()).unwrap_or(i64::MAX).max(1);
    // An even share first; where the work is in few lanes, these are looked at again.
    let share = (limit / lanes).max(LEAST_SHARE).min(limit);
    let mut rows = look::due(conn, &lease.lanes, &marks, share, limit, now).await?;
    if i64::try_from(rows.len()).unwrap_or(i64::MAX) < limit && has_full_lane(&rows, share) {
        rows = look::due(conn, &lease.lanes, &marks, limit, limit, now).await?;
    }
    let (waiting, due): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.waits && row.give_up.is_none());
    if !waiting.is_empty() {
        let ids: Vec<String> = waiting.into_iter().map(|row| row.command_id).collect();
        look::hold(conn, &ids, now).await?;
    }
    Ok(due.into_iter().map(due_from_row).collect())
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

/// What the open attempts touch: commands that touch any of it wait.
///
/// # Errors
/// The database's.
pub async fn open_touches(conn: &mut PgConnection) -> Result<HashSet<String>, sqlx::Error> {
    Ok(attempts::open_touches(conn).await?.into_iter().collect())
}

/// When the next command or open attempt that is put off becomes due.
///
/// # Errors
/// The database's.
pub async fn next_due(
    conn: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    let command = commands::next_due(conn, now).await?;
    let attempt = attempts::next_due(conn, now).await?;
    Ok(command.into_iter().chain(attempt).min())
}
