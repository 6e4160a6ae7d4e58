//! `gx devnet`: runs the development ledger as a process of its own, and dumps or loads a ledger.
//! `main` calls [`run`], and prints an error and exits with code 1.

mod announce;
mod settings;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use gx_devnet::{Devnet, DumpSummary};
use gx_serve::telemetry;
use serde_json::json;

use crate::CliError;
use crate::print::Format;
use crate::process::signal;
use settings::LedgerSettings;

/// The arguments of `gx devnet`; without a subcommand it runs the ledger.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DevnetRole {
    #[command(subcommand)]
    command: Option<DevnetCommand>,
    #[command(flatten)]
    ledger: LedgerSettings,
}

#[derive(Debug, Subcommand)]
enum DevnetCommand {
    /// Write a stopped ledger with its keys to a new file
    Dump(DumpArgs),
    /// Create the ledger of a dump in an empty folder
    Load(DumpArgs),
}

#[derive(Debug, Args)]
struct DumpArgs {
    /// File with the dump
    file: PathBuf,
    /// Folder of the ledger
    #[arg(long, default_value = settings::DATA_DIR)]
    data_dir: PathBuf,
}

/// Runs the ledger until SIGTERM or SIGINT, or runs the subcommand.
pub(crate) async fn run(role: DevnetRole, format: Format) -> Result<(), CliError> {
    match role.command {
        Some(DevnetCommand::Dump(args)) => {
            show(&gx_devnet::dump(&args.data_dir, &args.file)?, format)
        }
        Some(DevnetCommand::Load(args)) => {
            show(&gx_devnet::load(&args.file, &args.data_dir)?, format)
        }
        None => serve(role.ledger).await,
    }
}

/// Runs the ledger until a signal.
async fn serve(settings: LedgerSettings) -> Result<(), CliError> {
    telemetry::init(&settings.log)?;
    let options = settings.into_options()?;
    let data_dir = options.data_dir.clone();
    let devnet = Devnet::start(options).await?;
    let announced = announce::announce(&devnet, &data_dir)?;
    signal().await?;
    devnet.stop().await;
    announced.withdraw();
    Ok(())
}

fn show(summary: &DumpSummary, format: Format) -> Result<(), CliError> {
    format.record(&json!({
        "channel": summary.channel,
        "height": summary.height,
        "newestHash": summary.newest_hash,
    }))
}
