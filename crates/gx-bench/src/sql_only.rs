//! Runs only the SQL of submitter and projector: without signatures, contracts and a ledger. The
//! rows of the submitter run it in a process of its own, to measure their limit.
//!
//! Batches are claimed and stored as the submitter does it, and a block with their events is
//! applied at once as the projector does it.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use gx_db::{PgPool, TxId};
use gx_fabric_client::{Block, BlockTransaction, ChaincodeEvent, TransactionKind, ValidationCode};
use gx_model::{
    AccountId, BatchEntry, BatchEvent, Clock, Command, CommandKind, DomainEvent, EntryOutcome,
    EventRecord, Qirat, economics,
};
use gx_outbox::failure::RetryPolicy;
use gx_outbox::submitter::{Batch, BatchLimits, LANES, Lease, Marks, NewAttempt, Try};
use gx_projector::{ApplySettings, ReadBlock, apply_blocks};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::BenchError;
use crate::server::Target;
use crate::store::rows;
use crate::worker::Workplace;

/// Number of batches that the submitter processes at once.
const BATCHES: usize = 4;
/// Longer than any run.
const LEASE: Duration = Duration::from_secs(3_600);
/// Time until an attempt would be sent again; longer than any run.
const RESEND: Duration = Duration::from_secs(3_600);
/// Limit of blocks that are applied together.
const BLOCKS: usize = 64;

/// A stored envelope and the event that the ledger would emit for it.
struct Stored {
    tx_id: TxId,
    event: Vec<u8>,
}

/// Executes transfers until none is left. Prints a line when it begins and when it is done.
pub(crate) async fn run(place: &Path) -> Result<(), BenchError> {
    let (database, target) = Workplace::open(place).await?;
    let pool = database.pool().clone();
    let mut conn = pool.acquire().await?;
    let ledger = PretendedLedger { balances: rows::balances(&mut conn).await? };
    drop(conn);
    println!("null");
    let (stored, to_apply) = mpsc::channel(BLOCKS);
    tokio::try_join!(submit(&pool, ledger, stored), project(&pool, &target, to_apply))?;
    println!("null");
    Ok(())
}

/// Claims and stores batches until no command is left.
async fn submit(
    pool: &PgPool,
    mut ledger: PretendedLedger,
    stored: mpsc::Sender<Stored>,
) -> Result<(), BenchError> {
    let (clock, mut marks, mut number) = (Clock::system(), Marks::default(), 0_u64);
    let mut conn = pool.acquire().await?;
    let (now, lanes) = (clock.now(), i64::from(LANES));
    let lease = gx_outbox::submitter::lease(&mut conn, "alone", lanes, now, now + LEASE).await?;
    drop(conn);
    loop {
        let batches = claim(pool, &lease, &mut marks, &clock).await?;
        if batches.is_empty()
            && gx_outbox::submitter::next_due(&mut *pool.acquire().await?, now).await?.is_none()
        {
            return Ok(());
        }
        if batches.is_empty() {
            // All remaining commands touch accounts of batches that are being applied.
            tokio::task::yield_now().await;
        }
        let mut stores = JoinSet::new();
        for (batch, tried) in batches {
            number += 1;
            let (tx_id, event) = (format!("{number:064x}").into(), ledger.execute(&batch)?);
            let (pool, lease, clock) = (pool.clone(), lease.clone(), clock.clone());
            stores.spawn(async move {
                store(&pool, &lease, &clock, batch, tried, Stored { tx_id, event }).await
            });
        }
        while let Some(one) = stores.join_next().await {
            let one = one.map_err(|why| BenchError::Io(why.into()))??;
            stored
                .send(one)
                .await
                .map_err(|_| BenchError::Ended { part: "the projector's SQL" })?;
        }
    }
}

/// Claims batches in one transaction, as the submitter does.
async fn claim(
    pool: &PgPool,
    lease: &Lease,
    marks: &mut Marks,
    clock: &Clock,
) -> Result<Vec<(Batch, Try)>, BenchError> {
    let limits = BatchLimits::default();
    let wanted = i64::try_from(limits.max_commands * BATCHES).unwrap_or(i64::MAX);
    let (mut conn, now) = (pool.acquire().await?, clock.now());
    let mut tx = gx_outbox::submitter::begin(&mut conn).await?;
    let due = gx_outbox::submitter::due_commands(&mut tx, lease, marks, clock, wanted).await?;
    let busy = gx_outbox::submitter::open_touches(&mut tx).await?;
    let mut claimed = Vec::new();
    for batch in gx_outbox::submitter::form_batches(due, &busy, limits, BATCHES) {
        let tried = gx_outbox::submitter::start_try(&mut tx, &batch, now).await?;
        claimed.push((batch, tried));
    }
    tx.commit().await?;
    Ok(claimed)
}

/// Stores an envelope of about the size of a real one and records that it was sent.
async fn store(
    pool: &PgPool,
    lease: &Lease,
    clock: &Clock,
    batch: Batch,
    mut tried: Try,
    stored: Stored,
) -> Result<Stored, BenchError> {
    let (ids, touches, now) = (batch.ids(), batch.touches(), clock.now());
    // A real envelope has the event, and its content again as arguments, reads and writes.
    let envelope = [stored.event.as_slice(), stored.event.as_slice()].concat();
    let attempt = NewAttempt {
        tx_id: &stored.tx_id,
        purpose: batch.purpose,
        signer: batch.signer,
        genesis_hash: &[0; 32],
        envelope: &envelope,
        command_ids: &ids,
        after: &batch.after(),
        touches: &touches,
    };
    let (mut conn, due) = (pool.acquire().await?, now + RESEND);
    gx_outbox::submitter::store_attempt(&mut conn, lease, &mut tried, attempt, now, due)
        .await?
        .map_err(|refusal| BenchError::Worker(format!("an attempt was not stored: {refusal:?}")))?;
    let reply =
        gx_outbox::submitter::Reply { next_send_at: due, error: None, refused_at_height: None };
    gx_outbox::submitter::record_reply(&mut conn, &stored.tx_id, reply).await?;
    Ok(stored)
}

/// Applies blocks until the submitter's side has ended.
async fn project(
    pool: &PgPool,
    target: &Target,
    mut to_apply: mpsc::Receiver<Stored>,
) -> Result<(), BenchError> {
    let settings = ApplySettings {
        channel: target.channel.clone(),
        chaincode: target.chaincode.clone(),
        decode: EventRecord::decode,
        retry: RetryPolicy::default(),
    };
    let (clock, mut rng) = (Clock::system(), StdRng::from_rng(&mut rand::rng()));
    let mut conn = pool.acquire().await?;
    let at = gx_outbox::tip::checkpoint(&mut conn, &target.channel).await?;
    let at = at.ok_or(BenchError::Ended { part: "the projector" })?;
    let (mut number, mut hash) = (at.block_number.unsigned_abs(), at.block_hash);
    let mut waiting = Vec::new();
    while to_apply.recv_many(&mut waiting, BLOCKS).await > 0 {
        let mut blocks = Vec::new();
        for stored in waiting.drain(..) {
            number += 1;
            let block = block(number, &hash, stored, target, &clock);
            hash = block.hash.to_vec();
            blocks.push(ReadBlock::read(&block, &settings));
        }
        apply_blocks(&mut conn, &blocks, &settings, &mut rng, clock.now())
            .await
            .map_err(|why| BenchError::Worker(why.to_string()))?;
    }
    Ok(())
}

/// Returns a block with one transaction, which links to the block before.
fn block(
    number: u64,
    previous_hash: &[u8],
    stored: Stored,
    target: &Target,
    clock: &Clock,
) -> Block {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    let event = ChaincodeEvent {
        chaincode_id: target.chaincode.clone(),
        tx_id: stored.tx_id.to_string(),
        name: BatchEvent::NAME.to_owned(),
        payload: stored.event,
    };
    Block {
        number,
        hash,
        previous_hash: previous_hash.to_vec(),
        data_hash: vec![],
        transactions: vec![BlockTransaction {
            index: 0,
            tx_id: stored.tx_id.to_string(),
            code: ValidationCode::VALID,
            kind: TransactionKind::Endorser,
            timestamp: clock.now(),
            event: Some(event),
        }],
        commit_hash: None,
        bytes: 0,
    }
}

/// Returns the events that the contracts would emit for transfers that can be paid.
struct PretendedLedger {
    balances: HashMap<String, i64>,
}

impl PretendedLedger {
    /// Executes a batch and returns its event. Fails for a command that is not a transfer.
    fn execute(&mut self, batch: &Batch) -> Result<Vec<u8>, BenchError> {
        let mut entries = Vec::new();
        for due in &batch.commands {
            let kind = CommandKind::from_name(&due.kind);
            let command = kind.map(|kind| Command::from_payload(kind, &due.payload)).transpose()?;
            let Some(Command::Transfer { from, to, amount, .. }) = command else {
                return Err(BenchError::Worker(format!("{} is not a transfer", due.kind)));
            };
            let event = self.transfer(from, to, amount)?;
            entries.push(BatchEntry {
                command_id: due
                    .command_id
                    .parse()
                    .map_err(|_| BenchError::Worker("a command has no id".to_owned()))?,
                outcome: EntryOutcome::Applied {},
                events: vec![EventRecord::from(&event)],
            });
        }
        Ok(serde_json::to_vec(&BatchEvent { version: BatchEvent::VERSION, entries })?)
    }

    /// Moves the money and returns the event.
    fn transfer(
        &mut self,
        from: AccountId,
        to: AccountId,
        amount: Qirat,
    ) -> Result<DomainEvent, BenchError> {
        let broken = |why: &dyn std::fmt::Display| BenchError::Worker(why.to_string());
        let fee = economics::fee(&from, &to, amount).map_err(|why| broken(&why))?;
        let mut change = |account: &AccountId, by: i64| {
            let balance = self.balances.entry(account.to_string()).or_default();
            *balance += by;
            Qirat::new(*balance).map_err(|why| broken(&why))
        };
        let from_balance = change(&from, -amount.get() - fee.fee.get())?;
        let to_balance = change(&to, amount.get())?;
        let (tx_type, fee) = (fee.tx_type, fee.fee);
        Ok(DomainEvent::TransferCompleted {
            from,
            to,
            amount,
            fee,
            tx_type,
            from_balance,
            to_balance,
        })
    }
}
