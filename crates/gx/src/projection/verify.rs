//! `gx projection verify`.

use std::time::Duration;

use clap::Args;
use gx_projector::{Verification, Verifier, VerifyLimits};
use serde_json::{Value, json};

use super::target::Target;
use crate::Failure;
use crate::print::Format;

/// What to compare, and how patiently.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    target: Target,
    /// Questions to the ledger under way at a time, 1 to 256
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    questions: u16,
    /// Seconds that the projector may take to reach the ledger's newest block, 0 to 3600
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    patience: u64,
}

/// Prints each difference and the counts; fails where anything differs or was not compared.
pub(super) async fn run(verify: Verify, format: Format) -> Result<(), Failure> {
    let (database, ledger) = verify.target.open().await?;
    let limits = VerifyLimits {
        questions_at_once: verify.questions.into(),
        patience: Duration::from_secs(verify.patience),
        ..VerifyLimits::default()
    };
    let verifier = Verifier::new(database.pool().clone(), ledger, limits);
    let mut found: Vec<Value> = Vec::new();
    let report = verifier
        .run(|disagreement| match format {
            Format::Text => println!("{disagreement}"),
            Format::Json => found.push(json!(disagreement)),
        })
        .await?;
    let mut summary = json!(report);
    if format == Format::Json {
        summary["found"] = found.into();
    }
    format.record(&summary);
    verdict(&report)
}

fn verdict(report: &Verification) -> Result<(), Failure> {
    let (differences, unsettled) = (report.differences, report.unsettled.len());
    match (differences, unsettled) {
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::say(format!(
            "{unsettled} subjects changed whenever they were looked at and were not compared: \
             verify again when the ledger is calmer"
        ))),
        _ => Err(Failure::say(format!(
            "the read model is not what the chain says: {differences} differences"
        ))),
    }
}
