//! Checks the whole audit log. Called by `gx audit verify`; [`position`] by `gx audit position`.

mod store;

use std::collections::BTreeSet;

use gx_db::PgConnection;
use serde::Serialize;
use sqlx::Connection as _;
use time::OffsetDateTime;

use super::chain;
use super::content::{Batch, ChainEnd, GENESIS};
use super::erase;
use super::fault::{AuditLogFault, VerifyError};
use super::merkle::{self, Hash};
use super::text::{TextHashes, TextPlace};

/// Number of batches that are read at a time.
const BATCHES_AT_A_TIME: i64 = 1_000;
/// Number of other rows that are read at a time.
const ROWS_AT_A_TIME: i64 = 10_000;

/// How far the audit log is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Number of all rows and entries.
    pub rows: i64,
    /// Number of rows of the chain that earlier releases wrote.
    pub chain_rows: i64,
    /// Number of sealed entries.
    pub sealed: i64,
    /// Number of entries that wait to be sealed; a change of these is not found.
    pub unsealed: i64,
    /// The last batch, or `None` before the first one.
    pub last_batch: Option<SealedPosition>,
}

/// The position up to which the log is sealed. An operator who keeps it elsewhere can prove later
/// that no batch up to it was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SealedPosition {
    /// Number of the batch.
    pub number: i64,
    /// Hash of the batch, in hexadecimal.
    pub hash: String,
    /// When it was sealed.
    #[serde(with = "gx_serve::moment")]
    pub sealed_at: OffsetDateTime,
}

impl From<Batch> for SealedPosition {
    fn from(batch: Batch) -> Self {
        let (number, sealed_at) = (batch.number, batch.sealed_at);
        Self { number, hash: hex::encode(batch.hash), sealed_at }
    }
}

/// Returns the position up to which the log is sealed, or `None` before the first batch. Nothing is
/// checked.
///
/// # Errors
/// `sqlx::Error` if it cannot be read.
pub async fn position(conn: &mut PgConnection) -> Result<Option<SealedPosition>, sqlx::Error> {
    Ok(super::store::last_batch(conn).await?.map(SealedPosition::from))
}

/// Confirms the chain, every batch, every entry and every text.
///
/// # Errors
/// [`VerifyError`] with the first fault, or if a row cannot be read.
pub async fn verify(conn: &mut PgConnection) -> Result<Verified, VerifyError> {
    // One snapshot: an entry that is sealed meanwhile neither waits twice nor is missing.
    let mut snapshot = conn.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let verified = verify_snapshot(&mut snapshot).await;
    snapshot.rollback().await?;
    verified
}

async fn verify_snapshot(conn: &mut PgConnection) -> Result<Verified, VerifyError> {
    let (mut last, mut sealed, mut ends) = (None, 0, Vec::new());
    loop {
        let after = last.as_ref().map_or(-1, |batch: &Batch| batch.number);
        let batches = super::store::batches(conn, after, BATCHES_AT_A_TIME).await?;
        if batches.is_empty() {
            break;
        }
        for batch in batches {
            check_batch(&batch, last.as_ref())?;
            if batch.number > 0 {
                check_entries(conn, &batch).await?;
                sealed += batch.entries;
            }
            ends.push(batch.chain.clone());
            ends.dedup();
            last = Some(batch);
        }
    }
    let chain_rows = chain::verify(conn, &ends).await?.seq;
    walk(conn, AuditLogFault::AddedEntry, store::added_entries).await?;
    walk(conn, AuditLogFault::ChangedText, store::orphan_texts).await?;
    let unsealed = walk(conn, AuditLogFault::AddedEntry, store::unsealed).await?;
    let last_batch = last.map(SealedPosition::from);
    let rows = chain_rows + sealed + unsealed;
    Ok(Verified { rows, chain_rows, sealed, unsealed, last_batch })
}

/// Reads a table part by part, and returns the number of its rows.
///
/// # Errors
/// The fault of the first row that must not be there, or the database's error.
async fn walk(
    conn: &mut PgConnection,
    fault: fn(i64) -> AuditLogFault,
    read: impl AsyncFn(&mut PgConnection, i64, i64) -> Result<store::Part, sqlx::Error>,
) -> Result<i64, VerifyError> {
    let (mut after, mut rows) = (i64::MIN, 0);
    loop {
        let part = read(conn, after, ROWS_AT_A_TIME).await?;
        if let Some(seq) = part.fault {
            return Err(fault(seq).into());
        }
        rows += part.rows;
        match part.last {
            Some(last) => after = last,
            None => return Ok(rows),
        }
    }
}

/// Checks the number of a batch, its hash, and that it follows the batch before it.
fn check_batch(batch: &Batch, last: Option<&Batch>) -> Result<(), AuditLogFault> {
    let expected = last.map_or(0, |last| last.number + 1);
    if batch.number != expected {
        return Err(AuditLogFault::MissingBatch(expected));
    }
    let (previous, chain_seq) = match last {
        Some(last) => (&last.hash[..], last.chain.seq),
        None => (&GENESIS[..], ChainEnd::empty().seq),
    };
    let follows = batch.previous_hash == previous && batch.chain.seq >= chain_seq;
    if !follows || batch.hash != batch.expected_hash() {
        return Err(AuditLogFault::ChangedBatch(batch.number));
    }
    Ok(())
}

/// Checks that the entries of a batch are those that were sealed, and that each of their texts is
/// there or was erased with a record.
async fn check_entries(conn: &mut PgConnection, batch: &Batch) -> Result<(), VerifyError> {
    let (mut leaves, mut hashes): (Vec<Hash>, _) = (Vec::new(), TextHashes::default());
    for (position, sealed) in (0..).zip(super::store::sealed_entries(conn, batch.number).await?) {
        let leaf = sealed.leaf()?;
        if sealed.position != position {
            return Err(AuditLogFault::ChangedBatch(batch.number).into());
        }
        leaves.push(leaf);
        hashes.add(sealed.seq, sealed.after.as_ref());
    }
    let count = i64::try_from(leaves.len()).unwrap_or(i64::MAX);
    if count != batch.entries || merkle::root(&leaves)[..] != batch.root {
        return Err(AuditLogFault::ChangedBatch(batch.number).into());
    }
    let erased = hashes.check(store::texts_of_batch(conn, batch.number).await?)?;
    check_erasures(conn, &erased).await
}

/// Checks that an entry of the log records each erasure.
async fn check_erasures(
    conn: &mut PgConnection,
    erased: &[(i64, TextPlace)],
) -> Result<(), VerifyError> {
    if erased.is_empty() {
        return Ok(());
    }
    let by: Vec<i64> = erased.iter().map(|(by, _)| *by).collect();
    let mut recorded = BTreeSet::new();
    for (seq, after) in store::values_after(conn, erase::ACTION, &by).await? {
        recorded.extend(erase::recorded(after).map(|place| (seq, place)));
    }
    match erased.iter().find(|erasure| !recorded.contains(*erasure)) {
        None => Ok(()),
        Some((_, place)) => Err(AuditLogFault::UnrecordedErasure(place.seq).into()),
    }
}
