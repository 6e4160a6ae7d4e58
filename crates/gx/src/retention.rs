//! `gx retention`: removes rows that have expired.

use clap::{Args, Subcommand};
use gx_auth::retention::{RetentionSettings, Sweeper, SweptRows, Turn, expired};
use gx_db::PgConnection;
use gx_model::Clock;
use gx_serve::problem::ErrorChain;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::CliError;
use crate::long_command::LongCommandDatabase;
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
    database: LongCommandDatabase,
}

/// Removes or counts the expired rows, and prints the number for each table. A table that fails
/// holds back no other.
pub(crate) async fn run(command: RetentionCommand, format: Format) -> Result<(), CliError> {
    let RetentionCommand::Run(args) = command;
    let database = args.database.open().await?;
    let mut conn = database.connection().await?;
    let clock = Clock::system();
    let tables = if args.dry_run {
        let tables = expired(&mut conn, &args.retention, clock.now()).await;
        tables.into_iter().map(TableSum::from).collect()
    } else {
        remove_all(&mut conn, args.retention, &clock).await
    };
    let records: Vec<Value> = tables.iter().map(record).collect();
    format.table(&records)?;
    let failures: Vec<String> = tables.iter().filter_map(TableSum::failure).collect();
    if failures.is_empty() {
        return Ok(());
    }
    Err(CliError::message(format!(
        "{} tables failed ({}); check the database and its log, and run the command again",
        failures.len(),
        failures.join(", ")
    )))
}

/// Rows of a table over all steps.
struct TableSum {
    rows: u64,
    last: SweptRows,
}

impl From<SweptRows> for TableSum {
    fn from(last: SweptRows) -> Self {
        Self { rows: *last.rows.as_ref().unwrap_or(&0), last }
    }
}

impl TableSum {
    /// Adds a step of a table that has not failed: after a failure there is none.
    fn add(&mut self, step: SweptRows) {
        if self.last.rows.is_ok() {
            self.rows += *step.rows.as_ref().unwrap_or(&0);
            self.last = step;
        }
    }

    /// Returns the table with the reason of its failure.
    fn failure(&self) -> Option<String> {
        let error = self.last.rows.as_ref().err()?;
        Some(format!("{}: {}", self.last.table, ErrorChain(error)))
    }
}

/// Removes all expired rows. If another process removes some, takes turns with it.
async fn remove_all(
    conn: &mut PgConnection,
    settings: RetentionSettings,
    clock: &Clock,
) -> Vec<TableSum> {
    let mut sweeper = Sweeper::new(settings);
    let mut sums: Vec<TableSum> = Vec::new();
    loop {
        let step = sweeper.step(conn, clock.now(), Turn::Waiting).await;
        if sums.is_empty() {
            sums = step.tables.into_iter().map(TableSum::from).collect();
        } else {
            sums.iter_mut().zip(step.tables).for_each(|(sum, table)| sum.add(table));
        }
        if step.is_over {
            return sums;
        }
    }
}

fn record(of: &TableSum) -> Value {
    let until = of.last.until.format(&Rfc3339).unwrap_or_default();
    json!({ "table": of.last.table, "rows": of.rows, "until": until,
            "isFailed": of.last.rows.is_err() })
}
