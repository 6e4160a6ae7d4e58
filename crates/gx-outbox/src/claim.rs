//! The submitter's claim: lanes are leased with a fencing token, and only the holder of a
//! lane sends its commands.

use std::collections::HashSet;

use gx_db::PgConnection;
use time::OffsetDateTime;

use crate::lane::LANES;
use crate::store::{attempts, commands, lanes};

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
