//! `gx projection`: how far the read model is.

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

/// Prints the checkpoint and the lag.
pub(crate) async fn run(command: ProjectionCommand, format: Format) -> Result<(), Failure> {
    let ProjectionCommand::Status(Status { database, fabric_channel_name: channel }) = command;
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
