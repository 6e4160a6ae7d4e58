//! `gx devnet`: the development ledger as a process of its own.

mod announce;
mod settings;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use gx_devnet::{Devnet, DumpSummary};
use gx_serve::shutdown::shutdown_signal;
use gx_serve::telemetry;
use serde_json::json;

use crate::Failure;
use crate::print::Format;
use settings::LedgerSettings;

/// The ledger, unless a subcommand is given.
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
    /// Write a stopped ledger, keys included, to a new file
    Dump(DumpArgs),
    /// Make the ledger of a file in a folder that has none
    Load(DumpArgs),
}

#[derive(Debug, Args)]
struct DumpArgs {
    /// The dump
    file: PathBuf,
    /// The ledger's folder
    #[arg(long, default_value = settings::DATA_DIR)]
    data_dir: PathBuf,
}

/// Serves until SIGTERM or SIGINT, or carries out the subcommand.
pub(crate) async fn run(role: DevnetRole, format: Format) -> Result<(), Failure> {
    match role.command {
        Some(DevnetCommand::Dump(args)) => {
            show(&gx_devnet::dump(&args.data_dir, &args.file)?, format);
            Ok(())
        }
        Some(DevnetCommand::Load(args)) => {
            show(&gx_devnet::load(&args.file, &args.data_dir)?, format);
            Ok(())
        }
        None => serve(role.ledger).await,
    }
}

async fn serve(settings: LedgerSettings) -> Result<(), Failure> {
    telemetry::init(&settings.log)?;
    let options = settings.into_options()?;
    let data_dir = options.data_dir.clone();
    let devnet = Devnet::start(options).await?;
    let announced = announce::announce(&devnet, &data_dir)?;
    shutdown_signal().await?;
    devnet.stop().await;
    announced.withdraw();
    Ok(())
}

fn show(summary: &DumpSummary, format: Format) {
    format.record(&json!({
        "channel": summary.channel,
        "height": summary.height,
        "newestHash": summary.newest_hash,
    }));
}
