//! `gx projection rebuild`: makes the read model again from block 0, and corrects the rows that
//! differ. Called by `gx projection`; `main` prints an error, also that of `--dry-run` if rows
//! differ.

use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use gx_auth::audit::Actor;
use gx_model::{Clock, EventRecord};
use gx_outbox::failure::RetryPolicy;
use gx_projector::{ApplySettings, Correction, RebuildProgress, RebuildReport, Rebuilder};
use gx_serve::Entropy;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::target::Target;
use crate::CliError;
use crate::print::{Format, out};

/// Name of the actor in the audit log.
const ACTOR: &str = "gx projection rebuild";

/// The arguments of `gx projection rebuild`.
#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    #[command(flatten)]
    target: Target,
    /// Print the differences and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Rebuilds the read model in copies and corrects the rows that differ unless `--dry-run` is given.
/// Prints the first of these rows, the number of the others, and the numbers by table.
pub(super) async fn run(rebuild: Rebuild, format: Format) -> Result<(), CliError> {
    let (database, ledger) = rebuild.target.open().await?;
    let settings = ApplySettings {
        channel: ledger.channel().to_owned(),
        chaincode: ledger.chaincode().to_owned(),
        decode: EventRecord::decode,
        retry: RetryPolicy::default(),
    };
    let pool = database.pool().clone();
    let rebuilder = Rebuilder { pool, ledger, settings, clock: Clock::system() };
    let switch = if rebuild.dry_run {
        Correction::ReportOnly
    } else {
        Correction::Apply(Actor::System(ACTOR))
    };
    let rng = StdRng::from_seed(Entropy::system().bytes());
    let in_a_terminal = std::io::stderr().is_terminal();
    let say = |progress| {
        if in_a_terminal {
            print_progress(progress);
        }
    };
    let found = |report: &RebuildReport| {
        if format == Format::Text {
            // The rebuild goes on if standard output is closed.
            let rows = report.rows.iter().map(ToString::to_string);
            let more = match report.unnamed_rows() {
                0 => None,
                more => Some(format!("and {more} more rows")),
            };
            let _unread = rows.chain(more).try_for_each(|line| out(&line));
        }
    };
    let report = rebuilder.run(switch, rng, say, found).await?;
    print(&report, format)?;
    if report.is_equal() || report.switched {
        return Ok(());
    }
    Err(CliError::message(
        "the read model differs from the chain, and nothing was changed; run the command without \
         `--dry-run` to correct it",
    ))
}

/// Overwrites the progress line on the terminal.
fn print_progress(RebuildProgress { block_number, of }: RebuildProgress) {
    let end = if block_number == of { "\n" } else { "" };
    let mut stderr = std::io::stderr().lock();
    // An error is ignored: the report has everything that the progress line shows.
    let _ = write!(stderr, "\rblock {block_number} of {of}{end}").and_then(|()| stderr.flush());
}

fn print(report: &RebuildReport, format: Format) -> Result<(), CliError> {
    if format == Format::Json {
        return format.record(&json!(report));
    }
    let tables: Vec<_> = report.differences.iter().map(|table| json!(table)).collect();
    format.table(&tables)?;
    format.record(&json!({
        "blockNumber": report.block_number,
        "switched": report.switched,
        "replayed": report.replayed,
    }))
}
