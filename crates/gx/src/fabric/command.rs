//! `gx fabric`: prints an example of a connection profile, and checks the configured ledger. `main`
//! calls [`run`], and prints an error and exits with code 1.

use clap::{Args, Subcommand};
use gx_fabric_client::{Profile, Severity, SignerUse};
use gx_model::Clock;
use gx_serve::Entropy;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::{FabricSettings, LedgerConnection};
use crate::CliError;
use crate::environment::Environment;
use crate::print::{Format, out};

#[derive(Debug, Subcommand)]
pub(crate) enum FabricCommand {
    /// Print a connection profile with every field that GX reads, with comments
    Profile(ProfileArgs),
    /// Connect to every peer and try, without changing the ledger, what each signer needs to do
    Check(Box<Check>),
}

/// The arguments of `gx fabric profile`.
#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// Print the example
    #[arg(long, required = true)]
    example: bool,
}

/// The ledger to check.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Environment: production refuses settings that are safe only on one machine
    #[arg(long, env = "GX_ENV", value_enum, default_value = "production")]
    environment: Environment,
    #[command(flatten)]
    fabric: FabricSettings,
}

/// Runs a command of `gx fabric`.
pub(crate) async fn run(command: FabricCommand, format: Format) -> Result<(), CliError> {
    match command {
        FabricCommand::Profile(ProfileArgs { example: _ }) => out(Profile::EXAMPLE.trim_end()),
        FabricCommand::Check(check) => run_check(*check, format).await,
    }
}

/// Prints peers, signers and findings. Fails if a finding is more than a warning.
async fn run_check(check: Check, format: Format) -> Result<(), CliError> {
    let (clock, development) = (Clock::system(), check.environment == Environment::Development);
    let connection =
        LedgerConnection::read(check.fabric.profile()?, SignerUse::Submit, development, &clock)?;
    let rng = StdRng::from_seed(Entropy::system().bytes());
    let ledger = connection.ledger(&clock, rng)?;
    let findings = connection.findings(&ledger, &clock).await;
    let heights = ledger.heights().await;
    let peers = heights.iter().map(|peer| {
        let (height, class) = match &peer.height {
            Ok(height) => (Some(*height), None),
            Err(error) => (None, Some(error.kind())),
        };
        json!({ "peer": peer.peer, "msp": peer.msp_id, "height": height, "class": class })
    });
    let signers = connection.signers().iter().map(|signer| {
        let (holder, ends) = (signer.identity.subject(), signer.identity.not_after().to_string());
        json!({ "role": signer.role.attribute(), "holder": holder, "ends": ends })
    });
    let (peers, signers): (Vec<_>, Vec<_>) = (peers.collect(), signers.collect());
    match format {
        Format::Json => format.record(&json!({
            "channel": ledger.channel(), "chaincode": ledger.chaincode(),
            "peers": peers, "signers": signers, "findings": findings,
        }))?,
        Format::Text => {
            out(&format!("channel {}, chaincode {}", ledger.channel(), ledger.chaincode()))?;
            format.table(&peers)?;
            format.table(&signers)?;
            findings.iter().try_for_each(|finding| out(&finding.to_string()))?;
        }
    }
    let wrong = findings.iter().filter(|one| one.severity != Severity::Warning).count();
    match wrong {
        0 => Ok(()),
        _ => Err(CliError::message(format!(
            "{wrong} findings prevent the use of this ledger; correct each one in the list"
        ))),
    }
}
