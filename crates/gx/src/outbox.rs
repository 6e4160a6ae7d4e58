//! `gx outbox`: commands on their way to the ledger.

use clap::{Args, Subcommand};
use gx_admin::Decision;
use gx_auth::audit::Actor;
use gx_db::DatabaseSettings;
use gx_model::{Clock, CommandId, CommandKind, CommandStatus};
use gx_outbox::{CommandFilter, Discarded};
use serde_json::{Value, json};

use crate::Failure;
use crate::print::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum OutboxCommand {
    /// List commands, the newest first
    List(#[command(flatten)] List),
    /// Show one command, with every envelope that carried it and what the ledger said
    Show(#[command(flatten)] Show),
    /// Send a dead command again, with fresh budgets
    Retry(#[command(flatten)] Decide),
    /// Withdraw a command that is not settled
    Discard(#[command(flatten)] Decide),
}

/// Which commands to list.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Only those in this status: PENDING, HELD, SUBMITTED, BLOCKED, COMMITTED, …
    #[arg(long)]
    status: Option<CommandStatus>,
    /// Only those of this kind: CREATE_USER, DISTRIBUTE_GENESIS, TRANSFER, …
    #[arg(long)]
    kind: Option<CommandKind>,
    /// Only those that concern the person with this profileId
    #[arg(long)]
    person: Option<String>,
    /// Only those of this aggregate: a Fabric User ID, treasury_CC, SYSTEM or SYSTEM_PAUSE
    #[arg(long)]
    aggregate: Option<String>,
    /// Only those with a smaller number: the last one of the page before
    #[arg(long)]
    below: Option<i64>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
}

/// Which command to show.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Its id
    command_id: CommandId,
}

/// What is decided of which command.
#[derive(Debug, Args)]
pub(crate) struct Decide {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Its id
    command_id: CommandId,
    /// Why; the audit log says it
    #[arg(long)]
    reason: String,
}

/// The columns that people look at; `--json` has all.
const COLUMNS: [&str; 8] = [
    "number",
    "commandId",
    "kind",
    "status",
    "aggregateKey",
    "attempts",
    "blockNumber",
    "lastError",
];
/// The same of envelopes.
const ENVELOPE_COLUMNS: [&str; 7] =
    ["txId", "purpose", "state", "sends", "validationCode", "errorClass", "errorDetail"];

/// Lists, shows or decides.
pub(crate) async fn run(command: OutboxCommand, format: Format) -> Result<(), Failure> {
    match command {
        OutboxCommand::List(which) => list(which, format).await,
        OutboxCommand::Show(which) => show(which, format).await,
        OutboxCommand::Retry(what) => retry(what, format).await,
        OutboxCommand::Discard(what) => discard(what, format).await,
    }
}

async fn list(which: List, format: Format) -> Result<(), Failure> {
    let database = gx_db::connect(&which.database).await?;
    let mut conn = database.connection().await?;
    let filter = CommandFilter {
        status: which.status,
        kind: which.kind,
        profile_id: which.person.as_deref(),
        aggregate_key: which.aggregate.as_deref(),
        below: which.below,
    };
    let commands = gx_outbox::list(&mut conn, &filter, which.limit).await?;
    format.table(&shown(serde_json::to_value(commands)?, &COLUMNS, format));
    Ok(())
}

async fn show(which: Show, format: Format) -> Result<(), Failure> {
    let database = gx_db::connect(&which.database).await?;
    let mut conn = database.connection().await?;
    let command = gx_outbox::command(&mut conn, which.command_id).await?;
    let Some(command) = command else {
        return Err(Failure::say(format!("there is no command {}", which.command_id)));
    };
    let envelopes = gx_outbox::attempts(&mut conn, which.command_id).await?;
    let mut record = serde_json::to_value(&command)?;
    let envelopes = shown(serde_json::to_value(envelopes)?, &ENVELOPE_COLUMNS, format);
    if format == Format::Json {
        record["envelopes"] = envelopes.into();
        format.record(&record);
    } else {
        format.record(&record);
        println!("\nenvelopes, the newest first:");
        format.table(&envelopes);
    }
    Ok(())
}

async fn retry(what: Decide, format: Format) -> Result<(), Failure> {
    let database = gx_db::connect(&what.database).await?;
    let mut conn = database.connection().await?;
    let decision = decision("gx outbox retry", &what)?;
    let (id, now) = (what.command_id, Clock::system().now());
    let goes_as = gx_admin::retry_command(&mut conn, id, &decision, now).await?;
    let text = if goes_as == id {
        format!("{id} is tried again")
    } else {
        format!("the ledger had cancelled {id}: the same is wanted again as {goes_as}")
    };
    format.line(&text, &json!({ "commandId": goes_as, "status": "PENDING" }));
    Ok(())
}

async fn discard(what: Decide, format: Format) -> Result<(), Failure> {
    let database = gx_db::connect(&what.database).await?;
    let mut conn = database.connection().await?;
    let decision = decision("gx outbox discard", &what)?;
    let (id, now) = (what.command_id, Clock::system().now());
    let (text, status) = match gx_admin::discard_command(&mut conn, id, &decision, now).await? {
        Discarded::Now => (format!("{id} is discarded"), "DISCARDED"),
        Discarded::OnceCancelled => {
            (format!("{id} is discarded once the ledger has cancelled it"), "PENDING")
        }
    };
    format.line(&text, &json!({ "commandId": id, "status": status }));
    Ok(())
}

/// An operator's decision; one without a reason is none.
fn decision<'a>(command: &'static str, what: &'a Decide) -> Result<Decision<'a>, Failure> {
    if what.reason.trim().is_empty() {
        return Err(Failure::say("--reason must not be empty: the audit log says it"));
    }
    Ok(Decision { actor: Actor::System(command), reason: &what.reason, request_id: None })
}

/// A list with the columns that this format shows.
pub(crate) fn shown(list: Value, columns: &[&str], format: Format) -> Vec<Value> {
    let Value::Array(rows) = list else { return vec![] };
    let only = |row: Value| -> Value {
        columns.iter().map(|name| ((*name).to_owned(), row[*name].clone())).collect()
    };
    if format == Format::Json { rows } else { rows.into_iter().map(only).collect() }
}
