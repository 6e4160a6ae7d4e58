//! `gx retention`: removes rows that have expired, and erases people whose time is over.

use std::error::Error;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use gx_auth::retention::{RetentionSettings, Sweeper, SweptRows, Turn, expired};
use gx_db::{Database, PgConnection};
use gx_documents::{
    DocumentRetentionSettings, DocumentStoreSettings, Eraser, KeyStoreSettings, count_due_erasures,
};
use gx_model::Clock;
use gx_serve::Entropy;
use gx_serve::problem::ErrorChain;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::CliError;
use crate::long_command::LongCommandDatabase;
use crate::print::Format;

/// The table of the people who are erased.
const PEOPLE: &str = "UserProfile";

#[derive(Debug, Subcommand)]
pub(crate) enum RetentionCommand {
    /// Remove rows and erase people whose time is over, as outbox-submitter and svc-identity do
    /// while they run
    Run(Box<RunArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Only count the rows and people
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    retention: RetentionSettings,
    #[command(flatten)]
    documents: DocumentRetentionSettings,
    /// Folder with the sealed documents and the records of erasures; needed to erase people.
    #[arg(long, env = "GX_DOCUMENT_STORE")]
    document_store: Option<PathBuf>,
    /// Folder with the keys of people; needed to erase people.
    #[arg(long, env = "GX_KEY_STORE")]
    key_store: Option<PathBuf>,
    #[command(flatten)]
    database: LongCommandDatabase,
}

/// Removes or counts the expired rows and the people whose time is over, and prints the number for
/// each table. A table that fails holds back no other.
pub(crate) async fn run(command: RetentionCommand, format: Format) -> Result<(), CliError> {
    let RetentionCommand::Run(args) = command;
    let database = args.database.open().await?;
    let clock = Clock::system();
    let tables = {
        let mut conn = database.connection().await?;
        if args.dry_run {
            let tables = expired(&mut conn, &args.retention, clock.now()).await;
            tables.into_iter().map(TableSum::from).collect()
        } else {
            remove_all(&mut conn, args.retention.clone(), &clock).await
        }
    };
    let people = erase_people(&args, &database, &clock).await;
    let records: Vec<Value> = tables.iter().map(record).chain([people.record()]).collect();
    format.table(&records)?;
    let failures = tables.iter().filter_map(TableSum::failure).chain(people.failure);
    let failures: Vec<String> = failures.collect();
    if failures.is_empty() {
        return Ok(());
    }
    Err(CliError::message(format!(
        "{} tables failed ({}); check the database and its log, and run the command again",
        failures.len(),
        failures.join(", ")
    )))
}

/// People who were erased, or who would be.
struct ErasedPeople {
    people: u64,
    /// The time of closing until which they are erased.
    until: OffsetDateTime,
    failure: Option<String>,
}

impl ErasedPeople {
    fn record(&self) -> Value {
        let until = self.until.format(&Rfc3339).unwrap_or_default();
        json!({ "table": PEOPLE, "rows": self.people, "until": until,
                "isFailed": self.failure.is_some() })
    }
}

/// Erases or counts the people whose time is over.
async fn erase_people(args: &RunArgs, database: &Database, clock: &Clock) -> ErasedPeople {
    let mut people = 0;
    let until = clock.now() - args.documents.kept_for();
    let failure = match erase_or_count(args, database, clock, &mut people).await {
        Ok(()) => None,
        Err(error) => Some(format!("{PEOPLE}: {}", ErrorChain(&*error))),
    };
    ErasedPeople { people, until, failure }
}

/// Erases the people in bounded steps, or counts them, and keeps their number in `people`, also
/// after a failure.
async fn erase_or_count(
    args: &RunArgs,
    database: &Database,
    clock: &Clock,
    people: &mut u64,
) -> Result<(), Box<dyn Error>> {
    let (pool, kept_for) = (database.pool(), args.documents.kept_for());
    let due = count_due_erasures(&mut *pool.acquire().await?, clock.now(), kept_for).await?;
    if args.dry_run {
        *people = due;
        return Ok(());
    }
    let (Some(document_store), Some(key_store)) = (&args.document_store, &args.key_store) else {
        if due == 0 {
            return Ok(());
        }
        let missing = format!("{due} people are due, set GX_DOCUMENT_STORE and GX_KEY_STORE");
        return Err(missing.into());
    };
    let store = DocumentStoreSettings { document_store: document_store.clone() };
    let keys = KeyStoreSettings { key_store: key_store.clone() };
    let eraser = Eraser::open(&store, &keys, clock.clone(), Entropy::system())?;
    loop {
        let step = eraser.erase_due(pool, kept_for).await?;
        *people += step.people;
        if step.is_over {
            break;
        }
    }
    while eraser.remove_files(pool).await? > 0 {}
    Ok(())
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
