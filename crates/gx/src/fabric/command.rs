//! `gx fabric`: connection profiles, and whether the ledger serves us.

use clap::{Args, Subcommand};
use gx_fabric_client::{Errand, Profile, Severity};
use gx_model::Clock;
use gx_serve::Entropy;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::{FabricSettings, LedgerAccess};
use crate::Failure;
use crate::print::Format;
use crate::roles::Environment;

#[derive(Debug, Subcommand)]
pub(crate) enum FabricCommand {
    /// Print a connection profile with everything in it that is read, explained
    Profile(ProfileArgs),
    /// Connect to every peer and do, without effect, what each signer will do
    Check(Box<Check>),
}

/// What to print.
#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// Print the example
    #[arg(long, required = true)]
    example: bool,
}

/// Which ledger.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Environment
    #[arg(long, env = "GX_ENV", value_enum, default_value = "production")]
    environment: Environment,
    #[command(flatten)]
    fabric: FabricSettings,
}

/// Runs a command of `gx fabric`.
pub(crate) async fn run(command: FabricCommand, format: Format) -> Result<(), Failure> {
    match command {
        FabricCommand::Profile(ProfileArgs { example: _ }) => {
            print!("{}", Profile::EXAMPLE);
            Ok(())
        }
        FabricCommand::Check(check) => run_check(*check, format).await,
    }
}

/// Prints peers, signers and findings; fails where there is any but a warning.
async fn run_check(check: Check, format: Format) -> Result<(), Failure> {
    let (clock, development) = (Clock::system(), check.environment == Environment::Development);
    let access = LedgerAccess::read(check.fabric.profile()?, Errand::Submit, development, &clock)?;
    let rng = StdRng::from_seed(Entropy::system().bytes());
    let ledger = access.ledger(&clock, rng)?;
    let findings = access.findings(&ledger, &clock).await;
    let heights = ledger.heights().await;
    let peers = heights.iter().map(|peer| {
        let (height, class) = match &peer.height {
            Ok(height) => (Some(*height), None),
            Err(error) => (None, Some(error.kind())),
        };
        json!({ "peer": peer.peer, "msp": peer.msp_id, "height": height, "class": class })
    });
    let signers = access.signers().iter().map(|signer| {
        let (holder, ends) = (signer.identity.subject(), signer.identity.not_after().to_string());
        json!({ "role": signer.role.attribute(), "holder": holder, "ends": ends })
    });
    let (peers, signers): (Vec<_>, Vec<_>) = (peers.collect(), signers.collect());
    match format {
        Format::Json => println!(
            "{}",
            json!({
                "channel": ledger.channel(), "chaincode": ledger.chaincode(),
                "peers": peers, "signers": signers, "findings": findings,
            })
        ),
        Format::Text => {
            println!("channel {}, chaincode {}", ledger.channel(), ledger.chaincode());
            format.table(&peers);
            format.table(&signers);
            findings.iter().for_each(|finding| println!("{finding}"));
        }
    }
    let wrong = findings.iter().filter(|one| one.severity != Severity::Warning).count();
    match wrong {
        0 => Ok(()),
        _ => {
            Err(Failure::say(format!("the ledger does not serve these signers: {wrong} findings")))
        }
    }
}
