//! `gx outbox`: commands on their way to the ledger.

use clap::{Args, Subcommand};
use gx_db::DatabaseSettings;
use gx_model::CommandStatus;
use gx_outbox::CommandFilter;
use serde_json::Value;

use crate::Failure;
use crate::print::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum OutboxCommand {
    /// List commands, the newest first
    List(#[command(flatten)] List),
}

/// Which commands to list.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Only those in this status: PENDING, HELD, SUBMITTED, BLOCKED, COMMITTED, …
    #[arg(long)]
    status: Option<CommandStatus>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
}

/// The columns that people look at; `--json` has all.
const COLUMNS: [&str; 8] =
    ["number", "kind", "status", "aggregateKey", "attempts", "blockNumber", "txId", "lastError"];

/// Lists commands.
pub(crate) async fn run(command: OutboxCommand, format: Format) -> Result<(), Failure> {
    let OutboxCommand::List(List { database, status, limit }) = command;
    let database = gx_db::connect(&database).await?;
    let mut conn = database.connection().await?;
    let filter = CommandFilter { status, ..CommandFilter::default() };
    let commands = gx_outbox::list(&mut conn, &filter, limit).await?;
    let rows: Vec<Value> = commands
        .iter()
        .map(|command| serde_json::to_value(command).expect("a command has only text keys"))
        .map(|row| if format == Format::Json { row } else { only(&row) })
        .collect();
    format.table(&rows);
    Ok(())
}

fn only(row: &Value) -> Value {
    COLUMNS.iter().map(|name| ((*name).to_owned(), row[*name].clone())).collect()
}
