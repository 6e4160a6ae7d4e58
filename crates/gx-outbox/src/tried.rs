//! Tries: counted, durably, before they are made.
//!
//! A row says which commands are being tried. It goes with the transaction that records how
//! the try ended. What still stands when its lanes are leased anew was interrupted, and is
//! charged as such; so a normal try costs its commands no write of their own.

use gx_db::PgConnection;
use rand::Rng;
use time::OffsetDateTime;

use crate::batch::Batch;
use crate::claim::Lease;
use crate::failure::{Fate, put_back, storable};
use crate::retry::{FailureClass, RetryPolicy};
use crate::store::{commands, tries};

/// A try under way, and the commands of it whose end is not recorded yet.
#[derive(Debug)]
pub struct Try {
    number: i64,
    pub(crate) lanes: Vec<i16>,
    left: Vec<String>,
}

/// Counts a try of a batch, before it is made.
///
/// # Errors
/// The database's.
pub async fn start(
    conn: &mut PgConnection,
    batch: &Batch,
    now: OffsetDateTime,
) -> Result<Try, sqlx::Error> {
    let (lanes, left) = (batch.lanes(), batch.ids());
    let number = tries::insert(conn, &lanes, &left, now).await?;
    Ok(Try { number, lanes, left })
}

/// Ends the try of some of its commands at no cost: it was not made, or found no ledger.
///
/// # Errors
/// The database's.
pub async fn withdraw(
    conn: &mut PgConnection,
    tried: &mut Try,
    ids: &[String],
    why: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let mut tx = sqlx::Connection::begin(conn).await?;
    let left = tried.without(ids);
    // A try that does not stand any more was charged by whoever leased its lanes since.
    if tried.end_in(&mut tx, &left).await?
        && let Some(why) = why
    {
        commands::note(&mut tx, ids, &storable(why), now).await?;
    }
    tx.commit().await?;
    tried.ended(left);
    Ok(())
}

/// Ends the try of some of its commands as failed: each is put off or given up.
///
/// # Errors
/// The database's.
pub async fn fail(
    conn: &mut PgConnection,
    tried: &mut Try,
    ids: &[String],
    (class, message): (FailureClass, &str),
    policy: &RetryPolicy,
    rng: &mut impl Rng,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let mut tx = sqlx::Connection::begin(conn).await?;
    let left = tried.without(ids);
    if tried.end_in(&mut tx, &left).await? {
        let fate = Fate { class, message, from_status: "PENDING" };
        put_back(&mut tx, ids, fate, policy, rng, now).await?;
    }
    tx.commit().await?;
    tried.ended(left);
    Ok(())
}

/// Charges what earlier holders of these lanes began and did not end; how many commands.
/// To be called in the transaction that leases the lanes.
///
/// # Errors
/// The database's.
pub async fn charge_interrupted(
    conn: &mut PgConnection,
    lease: &Lease,
    policy: &RetryPolicy,
    rng: &mut impl Rng,
    now: OffsetDateTime,
) -> Result<usize, sqlx::Error> {
    let ids = tries::take(conn, &lease.lanes).await?.concat();
    let fate = Fate {
        class: FailureClass::Interrupted,
        message: "the submitter stopped while it was sending this command",
        from_status: "PENDING",
    };
    put_back(conn, &ids, fate, policy, rng, now).await?;
    Ok(ids.len())
}

impl Try {
    /// What is left once these have ended.
    pub(crate) fn without(&self, ids: &[String]) -> Vec<String> {
        let ended: std::collections::HashSet<&String> = ids.iter().collect();
        self.left.iter().filter(|id| !ended.contains(id)).cloned().collect()
    }

    /// Writes what is left; `false` where somebody else has ended the try.
    pub(crate) async fn end_in(
        &self,
        conn: &mut PgConnection,
        left: &[String],
    ) -> Result<bool, sqlx::Error> {
        match left {
            [] => tries::delete(conn, self.number).await,
            _ => tries::keep(conn, self.number, left).await,
        }
    }

    /// After the commit of what [`Try::end_in`] wrote.
    pub(crate) fn ended(&mut self, left: Vec<String>) {
        self.left = left;
    }
}
