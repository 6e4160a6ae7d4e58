//! Makes a chain of many events, in full batches. Run in a process of its own for each chain that
//! `environment` does not find.

use gx_fabric_client::{Identity, Ledger};
use gx_model::{BatchCommand, Command, CommandId, CountryList};
use serde::{Deserialize, Serialize};

use super::{ledger, signers, spread_over};
use crate::error::BenchError;
use crate::people::{Recipe, Step};
use crate::progress::ProgressCounter;
use crate::server::Target;

/// Number of transactions that run at once. Transactions of the same step touch no account in
/// common.
const UNDER_WAY: u64 = 4;

/// The result of making a chain.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) events: u64,
}

/// Bootstraps the system, creates all people, and has everybody pay in each round.
pub(crate) async fn make(target: &Target, recipe: Recipe) -> Result<Made, BenchError> {
    let (super_admin, admin) = signers(target)?;
    let ledger = ledger(target, admin.clone())?;
    let countries = CountryList::embedded().iter().cloned().collect();
    let first = [Command::BootstrapSystem {}, Command::InitializeCountryData { countries }];
    let first = first.map(|command| {
        BatchCommand::new(CommandId::derive(&["bench", command.kind().name()]), &command)
    });
    execute(&ledger, &super_admin, &first).await?;
    let pays = (0..recipe.transfers_each).map(|round| Step::Pay { round });
    let mut progress = ProgressCounter::new("events on the chain", recipe.events());
    for (number, step) in (2..).zip([Step::Create].into_iter().chain(pays)) {
        let (ledger, admin) = (ledger.clone(), admin.clone());
        let one = move |transaction| {
            let (ledger, admin) = (ledger.clone(), admin.clone());
            async move { execute(&ledger, &admin, &recipe.batch(step, transaction)).await }
        };
        spread_over(UNDER_WAY, 0, recipe.transactions(step), one).await?;
        progress.show(2 + recipe.people * number);
    }
    Ok(Made { events: recipe.events() })
}

/// Has a batch endorsed and ordered, and waits until it is valid in a block. Fails if it is not
/// valid.
async fn execute(
    ledger: &Ledger,
    signer: &Identity,
    batch: &[BatchCommand],
) -> Result<(), BenchError> {
    let args = [serde_json::to_string(batch)?];
    let endorsed = ledger.endorse(signer, BatchCommand::EXECUTE, &args).await?;
    ledger.submit(&endorsed.tx_id, &endorsed.envelope).await?;
    let status = ledger.commit_status(signer, &endorsed.tx_id).await?;
    if status.code.is_valid() {
        return Ok(());
    }
    let code = status.code.name().into_owned();
    Err(BenchError::Invalid { tx_id: endorsed.tx_id, code })
}
