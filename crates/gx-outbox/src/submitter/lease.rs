//! Leases of lanes, with fencing tokens: only the holder of a lane sends its commands. The
//! submitter takes a lease in each claim and renews it while its batches are in flight. It sends
//! nothing more under a lease that it has lost.

use gx_db::PgConnection;
use time::OffsetDateTime;

use super::store::lanes;
use crate::lane::LANES;

/// A lease on one or more lanes. Another submitter that leases a lane later gets a higher token;
/// from then on nothing can be stored under the token of this lease.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Name of the submitter that holds the lanes.
    pub owner: String,
    /// When the lease ends unless it is renewed.
    pub until: OffsetDateTime,
    pub(crate) lanes: Vec<i16>,
    pub(crate) tokens: Vec<i64>,
}

impl Lease {
    /// Returns whether no lane was leased, because no free lane had work.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Returns the number of lanes.
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Returns whether the lease has all lanes.
    pub fn is_whole(&self) -> bool {
        self.lanes.len() == usize::from(LANES)
    }

    /// Returns the tokens of some of its lanes, in the order of `lanes`.
    pub(crate) fn tokens_of(&self, lanes: &[i16]) -> Vec<i64> {
        let of = |lane| self.lanes.iter().position(|held| held == lane);
        lanes.iter().filter_map(|lane| of(lane).map(|at| self.tokens[at])).collect()
    }
}

/// Leases up to `max_lanes` free lanes, those first that have waited longest. Unless `max_lanes` is
/// the number of all lanes, only lanes with due commands are leased.
///
/// In the same transaction, the caller must end the tries that earlier holders left open
/// ([`super::charge_interrupted`]).
///
/// # Errors
/// `sqlx::Error` if a statement fails.
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

/// Renews a lease. Returns `false` if another submitter has leased one of its lanes.
///
/// # Errors
/// `sqlx::Error` if a statement fails; it is not known then whether the lease was renewed.
pub async fn renew(
    conn: &mut PgConnection,
    lease: &mut Lease,
    until: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let renewed = lanes::renew(conn, &lease.lanes, &lease.tokens, until).await?;
    lease.until = until;
    Ok(usize::try_from(renewed) == Ok(lease.lanes.len()))
}

/// A lane that another submitter has leased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostLane {
    /// Number of the lane.
    pub lane: i16,
    /// Name of the submitter that holds the lane now; `None` if it has released the lane.
    pub owner: Option<String>,
}

/// Returns the lanes of a lease that another submitter has leased since.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn lost_lanes(
    conn: &mut PgConnection,
    lease: &Lease,
) -> Result<Vec<LostLane>, sqlx::Error> {
    let lost = lanes::lost(conn, &lease.lanes, &lease.tokens).await?;
    Ok(lost.into_iter().map(|(lane, owner)| LostLane { lane, owner }).collect())
}

/// Releases the lanes of a lease. Lanes that another submitter has leased since are left alone.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn release(
    conn: &mut PgConnection,
    lease: &Lease,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    lanes::release(conn, &lease.lanes, &lease.tokens, now).await
}

/// Releases the lanes that an earlier process with this name left leased, and returns their number.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn release_owner(
    conn: &mut PgConnection,
    owner: &str,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    lanes::release_owner(conn, owner, now).await
}
