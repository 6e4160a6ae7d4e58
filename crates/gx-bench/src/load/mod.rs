//! Load generators: closed loops of many workers, in a process of their own, which the devnet rows
//! start. Each order has a number of operations, and each answer the time that they took.

pub(crate) mod chain;
mod committing;
mod empty;
mod evaluating;
pub(crate) mod paying;

pub(crate) use empty::Empty as EmptyCaller;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::ValueEnum;
use gx_fabric_client::{Identity, Ledger, LedgerConfig, LedgerLimits, PeerConfig};
use gx_model::Clock;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::error::BenchError;
use crate::server::{Signer, Target};
use crate::stdin_commands;

/// Number of operations that run at once.
pub(crate) const CONCURRENCY: u64 = 128;

/// The operation that is repeated.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LoadKind {
    /// Create a person: endorsed, submitted, and seen VALID in a block.
    Commit,
    /// Evaluate whether a person exists.
    Evaluate,
    /// Call a gateway that does nothing.
    Empty,
}

/// The first line of a generator, printed when it can begin.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Number of endorsements of one transaction.
    pub(crate) endorsements: u64,
}

/// An order to execute operations.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) operations: u64,
}

/// The answer to an order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) elapsed_ns: u64,
}

enum Load {
    Committing(committing::Committing),
    Evaluating(evaluating::Evaluating),
    Empty(empty::Empty),
}

/// Executes orders until standard input ends.
pub(crate) async fn run(kind: LoadKind, target: &Path) -> Result<(), BenchError> {
    let target = Target::read(target)?;
    let (mut load, endorsements) = match kind {
        LoadKind::Commit => {
            let load = committing::Committing::prepare(&target).await?;
            let endorsements = load.endorsements;
            (Load::Committing(load), endorsements)
        }
        LoadKind::Evaluate => (Load::Evaluating(evaluating::Evaluating::prepare(&target)?), 0),
        LoadKind::Empty => (Load::Empty(empty::Empty::prepare(&target)?), 0),
    };
    println!("{}", serde_json::to_string(&Ready { endorsements })?);
    let mut orders = stdin_commands::lines();
    while let Some(line) = orders.recv().await {
        let order: Order = serde_json::from_str(&line)?;
        let start = Instant::now();
        match &mut load {
            Load::Committing(load) => load.carry_out(order.operations).await?,
            Load::Evaluating(load) => load.carry_out(order.operations).await?,
            Load::Empty(load) => load.carry_out(order.operations).await?,
        }
        let elapsed_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        println!("{}", serde_json::to_string(&Done { elapsed_ns })?);
    }
    Ok(())
}

/// Has [`CONCURRENCY`] workers execute the operations from number `from` on. The first error ends
/// all.
async fn spread<W>(
    from: u64,
    operations: u64,
    work: impl Fn(u64) -> W + Clone + Send + 'static,
) -> Result<(), BenchError>
where
    W: Future<Output = Result<(), BenchError>> + Send + 'static,
{
    spread_over(CONCURRENCY, from, operations, work).await
}

/// Like [`spread`], with another number of workers.
async fn spread_over<W>(
    concurrency: u64,
    from: u64,
    operations: u64,
    work: impl Fn(u64) -> W + Clone + Send + 'static,
) -> Result<(), BenchError>
where
    W: Future<Output = Result<(), BenchError>> + Send + 'static,
{
    let next = Arc::new(AtomicU64::new(from));
    let mut workers: JoinSet<Result<(), BenchError>> = JoinSet::new();
    for _ in 0..concurrency.min(operations) {
        let (next, work) = (Arc::clone(&next), work.clone());
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= from + operations {
                    return Ok(());
                }
                work(number).await?;
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|why| BenchError::Io(why.into()))??;
    }
    Ok(())
}

/// Returns the super admin and the admin of a server. Fails if it names none.
pub(crate) fn signers(target: &Target) -> Result<(Identity, Identity), BenchError> {
    let signers = target.signers.as_ref();
    let signers =
        signers.ok_or_else(|| BenchError::Keys("the server names no signer".to_owned()))?;
    let identity = |signer: &Signer| {
        Identity::from_pem(&signer.msp_id, &signer.certificate_pem, &signer.private_key_pem)
            .map_err(|why| BenchError::Keys(why.to_string()))
    };
    Ok((identity(&signers.super_admin)?, identity(&signers.admin)?))
}

/// Returns a client of a server; evaluations and streams are signed by `reader`.
pub(crate) fn ledger(target: &Target, reader: Identity) -> Result<Ledger, BenchError> {
    let peer = PeerConfig {
        endpoint: target.endpoint.clone(),
        msp_id: reader.msp_id().to_owned(),
        tls_root_pem: target.tls_root_pem.clone(),
        server_name: target.server_name.clone(),
    };
    let config = LedgerConfig {
        peers: vec![peer],
        channel: target.channel.clone(),
        chaincode: target.chaincode.clone(),
        client_tls: None,
        development: true,
        limits: LedgerLimits::default(),
    };
    let rng = StdRng::from_rng(&mut rand::rng());
    Ledger::new(config, reader, Clock::system(), rng)
        .map_err(|why| BenchError::Keys(why.to_string()))
}
