//! The sealer: puts committed entries into batches. The outbox-submitter runs it, beside its own
//! work.

use std::time::Duration;

use gx_db::{PgConnection, PgPool};
use gx_model::Clock;
use gx_serve::worker_loop::FailureLog;
use sqlx::Connection as _;
use time::OffsetDateTime;

use super::content::{Batch, ChainEnd, GENESIS};
use super::merkle::{self, Hash};
use super::store;

/// Limit of the entries of a batch.
const MAX_ENTRIES: i64 = 1_000;
/// Pause between two attempts when nothing waits.
const INTERVAL: Duration = Duration::from_secs(5);

/// Seals entries again and again.
pub struct Sealer {
    pool: PgPool,
    clock: Clock,
}

impl Sealer {
    /// Creates a sealer that uses one connection of the pool for a moment at a time.
    pub fn new(pool: PgPool, clock: Clock) -> Self {
        Self { pool, clock }
    }

    /// Seals entries as they come, until the future is dropped. After an error of the database it
    /// tries again.
    pub async fn run(&self) {
        let mut failures = FailureLog::default();
        loop {
            match self.step().await {
                Ok(sealed) => {
                    failures.succeeded("the sealing of the audit log");
                    if sealed == MAX_ENTRIES {
                        continue;
                    }
                }
                Err(error) => {
                    if failures.is_new(&error) {
                        tracing::warn!(error = %error, "the audit log cannot be sealed; trying again every 5 s");
                    }
                }
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Seals one batch and returns the number of its entries: 0 if none wait, or if another process
    /// is sealing.
    ///
    /// # Errors
    /// `sqlx::Error` if a statement fails; then nothing is sealed.
    pub async fn step(&self) -> Result<i64, sqlx::Error> {
        let (mut conn, now) = (self.pool.acquire().await?, self.clock.now());
        let sealed = seal(&mut conn, now).await;
        // The age is set also if nothing can be sealed: the alert depends on it.
        let oldest = store::oldest_unsealed(&mut conn).await?;
        let age = oldest.map_or(time::Duration::ZERO, |oldest| now - oldest);
        metrics::gauge!("gx_audit_unsealed_age_seconds").set(age.as_seconds_f64().max(0.0));
        let sealed = sealed?;
        metrics::counter!("gx_audit_sealed_total").increment(u64::try_from(sealed).unwrap_or(0));
        Ok(sealed)
    }
}

/// Seals one batch in a transaction of its own, and batch 0 before the first one.
async fn seal(conn: &mut PgConnection, now: OffsetDateTime) -> Result<i64, sqlx::Error> {
    let mut tx = conn.begin().await?;
    if !store::try_lock_sealer(&mut tx).await? {
        return Ok(0);
    }
    let chain = store::chain_end(&mut tx).await?.unwrap_or_else(ChainEnd::empty);
    let last = match store::last_batch(&mut tx).await? {
        Some(last) => last,
        None => {
            let first = first_batch(&chain, now);
            store::insert_batch(&mut tx, &first).await?;
            first
        }
    };
    let entries = store::take_unsealed(&mut tx, MAX_ENTRIES).await?;
    let leaves: Vec<Hash> = entries.iter().map(|entry| merkle::leaf(&entry.bytes())).collect();
    let count = i64::try_from(leaves.len()).unwrap_or(i64::MAX);
    if count > 0 {
        let batch = Batch {
            number: last.number + 1,
            sealed_at: now,
            entries: count,
            root: merkle::root(&leaves).to_vec(),
            chain,
            previous_hash: last.hash,
            hash: Vec::new(),
        }
        .hashed();
        store::insert_batch(&mut tx, &batch).await?;
        let seqs: Vec<i64> = entries.iter().map(|entry| entry.seq).collect();
        let leaves: Vec<Vec<u8>> = leaves.iter().map(|leaf| leaf.to_vec()).collect();
        store::insert_sealed(&mut tx, batch.number, &seqs, &leaves).await?;
    }
    tx.commit().await?;
    Ok(count)
}

fn first_batch(chain: &ChainEnd, now: OffsetDateTime) -> Batch {
    Batch {
        number: 0,
        sealed_at: now,
        entries: chain.seq,
        root: chain.hash.clone(),
        chain: chain.clone(),
        previous_hash: GENESIS.to_vec(),
        hash: Vec::new(),
    }
    .hashed()
}
