//! Orders small transactions at a steady rate that does not depend on earlier ones (an open loop).
//! The row `projector-live` runs it in a process of its own.

use std::time::Duration;

use gx_model::{BatchCommand, CommandId};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::{ledger, signers};
use crate::error::BenchError;
use crate::people::pay_a_little;
use crate::server::Target;

/// Number of transfers in a transaction.
const TRANSFERS: u64 = 5;

/// Has the transactions with these numbers ordered at a rate of `per_second`. Each transfers money
/// between other people. Prints a line at the end; the first error ends the process.
pub(crate) async fn run(
    target: &Target,
    people: u64,
    per_second: u32,
    (first, end): (u64, u64),
) -> Result<(), BenchError> {
    let (_, admin) = signers(target)?;
    let ledger = ledger(target, admin.clone())?;
    let mut tick = interval(Duration::from_secs(1) / per_second.max(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way: JoinSet<Result<(), BenchError>> = JoinSet::new();
    for number in first..end {
        tick.tick().await;
        let (ledger, admin) = (ledger.clone(), admin.clone());
        under_way.spawn(async move {
            let args = [serde_json::to_string(&batch(number, people))?];
            let endorsed = ledger.endorse(&admin, BatchCommand::EXECUTE, &args).await?;
            Ok(ledger.submit(&endorsed.tx_id, &endorsed.envelope).await?)
        });
        while let Some(ended) = under_way.try_join_next() {
            ended.map_err(|why| BenchError::Io(why.into()))??;
        }
    }
    while let Some(ended) = under_way.join_next().await {
        ended.map_err(|why| BenchError::Io(why.into()))??;
    }
    println!("null");
    Ok(())
}

fn batch(number: u64, people: u64) -> Vec<BatchCommand> {
    (0..TRANSFERS)
        .map(|at| {
            let from = (number * 2 * TRANSFERS + 2 * at) % people;
            let id = CommandId::derive(&["bench", "pay", &number.to_string(), &at.to_string()]);
            BatchCommand::new(id, &pay_a_little(from, (from + 1) % people))
        })
        .collect()
}
