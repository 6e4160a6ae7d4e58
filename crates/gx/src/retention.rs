//! `gx retention`: removes rows that have expired.

use clap::{Args, Subcommand};
use gx_auth::retention::{RetentionSettings, SweepStep, Sweeper, SweptRows, expired};
use gx_db::{DatabaseSettings, PgConnection};
use gx_model::Clock;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::CliError;
use crate::print::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum RetentionCommand {
    /// Remove rows whose time is over, as outbox-submitter does while it runs
    Run(Box<RunArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Only count the rows
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    retention: RetentionSettings,
    #[command(flatten)]
    database: DatabaseSettings,
}

/// Removes or counts the expired rows, and prints the number for each table.
pub(crate) async fn run(command: RetentionCommand, format: Format) -> Result<(), CliError> {
    let RetentionCommand::Run(args) = command;
    let database = gx_db::connect(&args.database.named("command")).await?;
    let mut conn = database.connection().await?;
    let clock = Clock::system();
    let tables = if args.dry_run {
        expired(&mut conn, &args.retention, clock.now()).await?
    } else {
        remove_all(&mut conn, args.retention, &clock).await?
    };
    let records: Vec<Value> = tables.iter().map(record).collect();
    format.table(&records)
}

async fn remove_all(
    conn: &mut PgConnection,
    settings: RetentionSettings,
    clock: &Clock,
) -> Result<Vec<SweptRows>, CliError> {
    let mut sweeper = Sweeper::new(settings);
    let mut sum: Vec<SweptRows> = Vec::new();
    loop {
        match sweeper.step(conn, clock.now()).await? {
            SweepStep::Elsewhere => {
                return Err(CliError::message(
                    "another process removes expired rows at the moment; run the command again",
                ));
            }
            SweepStep::Removed { tables, is_complete } => {
                if sum.is_empty() {
                    sum = tables;
                } else {
                    for (sum, step) in sum.iter_mut().zip(tables) {
                        sum.rows += step.rows;
                    }
                }
                if is_complete {
                    return Ok(sum);
                }
            }
        }
    }
}

fn record(of: &SweptRows) -> Value {
    let until = of.until.format(&Rfc3339).unwrap_or_default();
    json!({ "table": of.table, "rows": of.rows, "until": until })
}
