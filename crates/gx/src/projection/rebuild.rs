//! `gx projection rebuild`.

use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use gx_auth::audit::Actor;
use gx_model::{Clock, EventRecord};
use gx_outbox::RetryPolicy;
use gx_projector::{RebuildProgress, RebuildReport, Rebuilder, Rules, Switch};
use gx_serve::Entropy;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::target::Target;
use crate::Failure;
use crate::print::Format;

/// Whose name stands in the audit log.
const ACTOR: &str = "gx projection rebuild";

/// What to rebuild, and whether to switch.
#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    #[command(flatten)]
    target: Target,
    /// Report the differences and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Rebuilds beside the live rows, prints what differs, and puts it right unless told not to.
pub(super) async fn run(rebuild: Rebuild, format: Format) -> Result<(), Failure> {
    let (database, ledger) = rebuild.target.open().await?;
    let rules = Rules {
        channel: ledger.channel().to_owned(),
        chaincode: ledger.chaincode().to_owned(),
        decode: EventRecord::decode,
        retry: RetryPolicy::default(),
    };
    let pool = database.pool().clone();
    let rebuilder = Rebuilder { pool, ledger, rules, clock: Clock::system() };
    let switch = if rebuild.dry_run { Switch::Never } else { Switch::By(Actor::System(ACTOR)) };
    let rng = StdRng::from_seed(Entropy::system().bytes());
    let in_a_terminal = std::io::stderr().is_terminal();
    let say = |progress| {
        if in_a_terminal {
            say_progress(progress);
        }
    };
    let found = |report: &RebuildReport| {
        if format == Format::Text {
            report.rows.iter().for_each(|row| println!("{row}"));
        }
    };
    let report = rebuilder.run(switch, rng, say, found).await?;
    print(&report, format);
    if report.is_equal() || report.switched {
        return Ok(());
    }
    Err(Failure::say("the read model is not what the chain makes it; nothing was changed"))
}

/// One line that is written over and over.
fn say_progress(RebuildProgress { block_number, of }: RebuildProgress) {
    let end = if block_number == of { "\n" } else { "" };
    let mut stderr = std::io::stderr().lock();
    // Who does not look at a terminal misses nothing that the report does not say.
    let _ = write!(stderr, "\rblock {block_number} of {of}{end}").and_then(|()| stderr.flush());
}

fn print(report: &RebuildReport, format: Format) {
    if format == Format::Json {
        return format.record(&json!(report));
    }
    let tables: Vec<_> = report.differences.iter().map(|table| json!(table)).collect();
    format.table(&tables);
    format.record(&json!({
        "blockNumber": report.block_number,
        "switched": report.switched,
        "replayed": report.replayed,
    }));
}
