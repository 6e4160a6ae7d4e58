//! `gx projection verify`: compares the read model with the ledger. Called by `gx projection`;
//! `main` prints an error, also that of a difference.

use std::time::Duration;

use clap::Args;
use gx_projector::{Verification, Verifier, VerifyLimits};
use serde_json::{Value, json};

use super::target::Target;
use crate::CliError;
use crate::print::{Format, out};

/// The arguments of `gx projection verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    target: Target,
    /// Most queries to the ledger at the same time, 1 to 256
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    questions: u16,
    /// Longest wait until the projector has applied the newest block, 0 to 3600 seconds
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    patience: u64,
}

/// Prints each difference and the counts. Fails if anything differs or could not be compared.
pub(super) async fn run(verify: Verify, format: Format) -> Result<(), CliError> {
    let (database, ledger) = verify.target.open().await?;
    let limits = VerifyLimits {
        questions_at_once: verify.questions.into(),
        catch_up_timeout: Duration::from_secs(verify.patience),
        ..VerifyLimits::default()
    };
    let verifier = Verifier::new(database.pool().clone(), ledger, limits);
    let mut found: Vec<Value> = Vec::new();
    let mut read = Ok(());
    let report = verifier
        .run(|disagreement| match format {
            Format::Text if read.is_ok() => read = out(&disagreement.to_string()),
            Format::Text => {}
            Format::Json => found.push(json!(disagreement)),
        })
        .await?;
    read?;
    let mut summary = json!(report);
    if format == Format::Json {
        summary["found"] = found.into();
    }
    format.record(&summary)?;
    check_result(&report)
}

/// Fails if rows differ or could not be compared.
fn check_result(report: &Verification) -> Result<(), CliError> {
    let (differences, unsettled) = (report.differences, report.unsettled.len());
    match (differences, unsettled) {
        (0, 0) => Ok(()),
        (0, _) => Err(CliError::message(format!(
            "{unsettled} rows changed during every comparison and were not compared; verify again \
            when there are fewer transactions"
        ))),
        _ => Err(CliError::message(format!(
            "the read model differs from the chain in {differences} rows; correct it with \
             `gx projection rebuild`"
        ))),
    }
}
