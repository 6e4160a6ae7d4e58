//! `gx projection`: shows, verifies, rebuilds and repairs the read model. `main` calls [`run`], and
//! prints an error and exits with code 1.

mod adopt;
mod dead;
mod rebuild;
mod target;
mod task;
mod task_end;
mod verify;

use std::time::Duration;

use clap::{Args, Subcommand};
use gx_db::DatabaseSettings;
use gx_model::Clock;
use gx_outbox::tip::{self, Lag};
use serde_json::json;

use crate::CliError;
use crate::print::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectionCommand {
    /// Show the last applied block and the lag behind the ledger
    Status(#[command(flatten)] Status),
    /// Compare all balances, people, countries and pools with the ledger, and print the differences
    Verify(Box<verify::Verify>),
    /// Make the read model again from block 0 in copies, and correct the rows that differ
    Rebuild(Box<rebuild::Rebuild>),
    /// Give a person of the ledger that has no owner to an account
    Adopt(#[command(flatten)] adopt::Adopt),
    /// List and replay events that could not be applied
    #[command(subcommand)]
    Dead(dead::DeadCommand),
    /// List and cancel tasks of the projector
    #[command(subcommand)]
    Task(task::TaskCommand),
}

/// The arguments of `gx projection status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Channel
    #[arg(long, env = "FABRIC_CHANNEL_NAME", default_value = "gxchannel")]
    fabric_channel_name: String,
}

/// Age from which the last contact of a worker with the ledger no longer counts.
const MAX_CONTACT_AGE: Duration = Duration::from_secs(15);

/// Runs a command of `gx projection`.
pub(crate) async fn run(command: ProjectionCommand, format: Format) -> Result<(), CliError> {
    match command {
        ProjectionCommand::Status(status) => print_status(status, format).await,
        ProjectionCommand::Verify(verify) => verify::run(*verify, format).await,
        ProjectionCommand::Rebuild(rebuild) => rebuild::run(*rebuild, format).await,
        ProjectionCommand::Adopt(adopt) => adopt::run(adopt, format).await,
        ProjectionCommand::Dead(command) => dead::run(command, format).await,
        ProjectionCommand::Task(command) => task::run(command, format).await,
    }
}

/// Prints the checkpoint and the lag. A lag that is not known is no error.
async fn print_status(status: Status, format: Format) -> Result<(), CliError> {
    let Status { database, fabric_channel_name: channel } = status;
    let database = gx_db::connect(&database.named("command")).await?;
    let mut conn = database.connection().await?;
    let checkpoint = gx_outbox::tip::checkpoint(&mut conn, &channel).await?;
    let now = Clock::system().now();
    let lag = tip::lag(&mut conn, &channel, MAX_CONTACT_AGE, now).await?;
    let (state, blocks, ms) = match lag {
        Lag::Known { blocks: 0, .. } => ("at the tip".to_owned(), Some(0), Some(0)),
        Lag::Known { blocks, age } => ("behind".to_owned(), Some(blocks), Some(age.as_millis())),
        Lag::Unknown { reason } => (format!("unknown: {reason}"), None, None),
    };
    format.record(&json!({
        "channel": channel,
        "state": state,
        "blockNumber": checkpoint.as_ref().map(|at| at.block_number),
        "blockHash": checkpoint.as_ref().map(|at| hex::encode(&at.block_hash)),
        "genesisHash": checkpoint.as_ref().map(|at| hex::encode(&at.genesis_hash)),
        "lagBlocks": blocks,
        "lagMs": ms.and_then(|ms| u64::try_from(ms).ok()),
    }))
}
