//! The submitter's claim: lanes are leased with a fencing token, and only the holder of a
//! lane sends its commands.

use std::collections::HashSet;

use gx_db::PgConnection;
use gx_model::SignerRole;
use serde_json::Value;
use time::OffsetDateTime;

use crate::attempt::Purpose;
use crate::store::{attempts, commands, lanes};

/// Lanes held for a while. Whoever leases one next draws a higher token, and from then on
/// nothing can be stored under this one.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Who holds the lanes.
    pub owner: String,
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
}

/// A command that may be sent now.
#[derive(Clone, Debug)]
pub struct Due {
    /// Its place in the order.
    pub number: i64,
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
    /// Tries whose end was never recorded.
    pub interrupted: u32,
    /// Size of its call, roughly.
    pub bytes: usize,
}

/// Leases up to `max_lanes` free lanes that have work, those first that waited longest.
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
    let rows = lanes::lease(conn, owner, max_lanes, now, until).await?;
    let (lanes, tokens) = rows.into_iter().unzip();
    Ok(Lease { owner: owner.to_owned(), lanes, tokens })
}

/// Prolongs a lease; `false` where a lane of it was lost.
///
/// # Errors
/// The database's.
pub async fn renew(
    conn: &mut PgConnection,
    lease: &Lease,
    until: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let renewed = lanes::renew(conn, &lease.lanes, &lease.tokens, until).await?;
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

/// Sets HELD what stands behind a command of its aggregate that is in flight, backing off,
/// blocked or dead.
///
/// # Errors
/// The database's.
pub async fn hold_followers(
    conn: &mut PgConnection,
    lease: &Lease,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    commands::hold_followers(conn, &lease.lanes, now).await
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

/// The due commands of the leased lanes, by their number.
///
/// # Errors
/// The database's; a row that no release of this code wrote is reported as a decode error.
pub async fn due_commands(
    conn: &mut PgConnection,
    lease: &Lease,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    let rows = commands::due(conn, &lease.lanes, now, limit).await?;
    Ok(rows.into_iter().map(due_from_row).collect())
}

fn due_from_row(row: commands::DueRow) -> Due {
    let cancel = row.give_up.is_some();
    Due {
        number: row.number,
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
        interrupted: u32::try_from(row.interrupted).unwrap_or(u32::MAX),
    }
}

/// What the open attempts touch: commands that touch any of it wait.
///
/// # Errors
/// The database's.
pub async fn open_touches(conn: &mut PgConnection) -> Result<HashSet<String>, sqlx::Error> {
    Ok(attempts::open_touches(conn).await?.into_iter().collect())
}

/// Counts a try of each command, durably, before it is made. Until its end is recorded it
/// is charged as interrupted. `false` where a lane or a command was lost meanwhile; then
/// nothing is counted.
///
/// # Errors
/// The database's.
pub async fn start(
    conn: &mut PgConnection,
    lease: &Lease,
    ids: &[String],
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let mut tx = sqlx::Connection::begin(conn).await?;
    let held = lanes::lock(&mut tx, &lease.lanes, &lease.tokens).await? == lease.lanes.len();
    let counted = held && commands::start(&mut tx, ids, now).await? == ids.len();
    if counted {
        tx.commit().await?;
    } else {
        tx.rollback().await?;
    }
    Ok(counted)
}

/// Takes back [`start`] for commands whose try was not made, or found no ledger.
///
/// # Errors
/// The database's.
pub async fn withdraw(
    conn: &mut PgConnection,
    ids: &[String],
    why: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let why = why.map(crate::failure::storable);
    commands::withdraw(conn, ids, why.as_deref(), now).await
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
