//! `gx projection`: how far the read model is, whether it is what the chain says, and what it
//! could not take in.

mod dead;
mod rebuild;
mod target;
mod verify;

use std::time::Duration;

use clap::{Args, Subcommand};
use gx_db::DatabaseSettings;
use gx_model::Clock;
use gx_outbox::tip::{self, Lag};
use serde_json::json;

use crate::Failure;
use crate::print::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectionCommand {
    /// Say how far the read model is, and how far behind the ledger
    Status(#[command(flatten)] Status),
    /// Compare every balance, person, country and pool with the ledger, and print what differs
    Verify(Box<verify::Verify>),
    /// Make the read model anew from block 0 beside the live one, and put right what differs
    Rebuild(Box<rebuild::Rebuild>),
    /// Events that could not be applied
    #[command(subcommand)]
    Dead(dead::DeadCommand),
}

/// Which read model.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Channel
    #[arg(long, env = "FABRIC_CHANNEL_NAME", default_value = "gxchannel")]
    fabric_channel_name: String,
}

/// Older word of the ledger than this counts as none.
const MAX_CONTACT_AGE: Duration = Duration::from_secs(15);

/// Runs a command of `gx projection`.
pub(crate) async fn run(command: ProjectionCommand, format: Format) -> Result<(), Failure> {
    match command {
        ProjectionCommand::Status(status) => say_status(status, format).await,
        ProjectionCommand::Verify(verify) => verify::run(*verify, format).await,
        ProjectionCommand::Rebuild(rebuild) => rebuild::run(*rebuild, format).await,
        ProjectionCommand::Dead(command) => dead::run(command, format).await,
    }
}

/// Prints the checkpoint and the lag.
async fn say_status(status: Status, format: Format) -> Result<(), Failure> {
    let Status { database, fabric_channel_name: channel } = status;
    let database = gx_db::connect(&database).await?;
    let mut conn = database.connection().await?;
    let checkpoint = gx_outbox::checkpoint(&mut conn, &channel).await?;
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
    }));
    Ok(())
}
