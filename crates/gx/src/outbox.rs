//! `gx outbox`: lists, shows, retries and discards commands of the outbox. `main` calls [`run`],
//! and prints an error and exits with code 1.

use clap::{Args, Subcommand};
use gx_admin::{AuditedDecision, BulkAction, BulkReport};
use gx_auth::audit::Actor;
use gx_db::{DatabaseSettings, ProfileId};
use gx_model::{Clock, CommandId, CommandKind, CommandStatus};
use gx_outbox::failure::FailureClass;
use gx_outbox::operator::{BulkFilter, CommandFilter, Discarded, OperateError};
use gx_serve::Entropy;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::CliError;
use crate::print::{Format, out};
use crate::reason::reason;

#[derive(Debug, Subcommand)]
pub(crate) enum OutboxCommand {
    /// List commands, the newest first
    List(#[command(flatten)] List),
    /// Show one command, with its envelopes and the ledger's answers
    Show(#[command(flatten)] Show),
    /// Send one dead command again, or all that match the options, with fresh budgets
    Retry(#[command(flatten)] DecisionArgs),
    /// Withdraw one command that is not settled, or all that match the options
    Discard(#[command(flatten)] DecisionArgs),
}

/// The arguments of `gx outbox list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Only commands in this status: PENDING, HELD, SUBMITTED, BLOCKED, COMMITTED, …
    #[arg(long)]
    status: Option<CommandStatus>,
    /// Only commands of this kind: CREATE_USER, DISTRIBUTE_GENESIS, TRANSFER, …
    #[arg(long)]
    kind: Option<CommandKind>,
    /// Only commands that concern the person with this profileId
    #[arg(long)]
    person: Option<ProfileId>,
    /// Only commands of this aggregate: a Fabric User ID, treasury_CC, SYSTEM or SYSTEM_PAUSE
    #[arg(long)]
    aggregate: Option<String>,
    /// Only commands with a smaller number; give the last number of the previous page
    #[arg(long)]
    below: Option<i64>,
    /// Most commands to list, 1 to 1000
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
}

/// The arguments of `gx outbox show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Id of the command
    command_id: CommandId,
}

/// The arguments of `gx outbox retry` and `gx outbox discard`.
#[derive(Debug, Args)]
pub(crate) struct DecisionArgs {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Id of one command
    #[arg(conflicts_with_all = ["status", "class", "kind", "since", "until", "dry_run", "all"])]
    command_id: Option<CommandId>,
    #[command(flatten)]
    many: BulkArgs,
    /// Reason for the audit log
    #[arg(long, value_parser = reason)]
    reason: String,
}

/// The options that select many commands.
#[derive(Debug, Args)]
struct BulkArgs {
    /// Commands in this status: DEAD; a discard also allows PENDING, HELD and BLOCKED
    #[arg(long, default_value = "DEAD")]
    status: CommandStatus,
    /// Only commands that were charged with a failure of this class: INVALID, CONFLICT, REFUSED,
    /// UNAVAILABLE, UNKNOWN, INTERRUPTED or STORAGE
    #[arg(long)]
    class: Option<FailureClass>,
    /// Only commands of this kind: CREATE_USER, DISTRIBUTE_GENESIS, TRANSFER, …
    #[arg(long)]
    kind: Option<CommandKind>,
    /// Only commands whose last change was at this time or later, such as 2026-06-01T12:00:00Z
    #[arg(long, value_parser = moment)]
    since: Option<OffsetDateTime>,
    /// Only commands whose last change was before this time
    #[arg(long, value_parser = moment)]
    until: Option<OffsetDateTime>,
    /// Print the number of matching commands and change nothing
    #[arg(long)]
    dry_run: bool,
    /// All commands in that status; required if no other option selects commands
    #[arg(long)]
    all: bool,
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    let read = OffsetDateTime::parse(text, &Rfc3339);
    read.map_err(|why| format!("{why}; must be a time such as 2026-06-01T12:00:00Z"))
}

/// The columns of commands in text; `--json` prints all fields.
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
/// The columns of envelopes in text.
const ENVELOPE_COLUMNS: [&str; 7] =
    ["txId", "purpose", "state", "sends", "validationCode", "errorClass", "errorDetail"];

/// Runs a command of `gx outbox`.
pub(crate) async fn run(command: OutboxCommand, format: Format) -> Result<(), CliError> {
    match command {
        OutboxCommand::List(which) => list(which, format).await,
        OutboxCommand::Show(which) => show(which, format).await,
        OutboxCommand::Retry(what) => retry(what, format).await,
        OutboxCommand::Discard(what) => discard(what, format).await,
    }
}

async fn list(which: List, format: Format) -> Result<(), CliError> {
    let database = gx_db::connect(&which.database.named("command")).await?;
    let mut conn = database.connection().await?;
    let filter = CommandFilter {
        status: which.status,
        kind: which.kind,
        profile_id: which.person.as_ref(),
        aggregate_key: which.aggregate.as_deref(),
        below: which.below,
    };
    let commands = gx_outbox::operator::list(&mut conn, &filter, which.limit).await?;
    format.table(&with_columns(serde_json::to_value(commands)?, &COLUMNS, format))
}

async fn show(which: Show, format: Format) -> Result<(), CliError> {
    let database = gx_db::connect(&which.database.named("command")).await?;
    let mut conn = database.connection().await?;
    let command = gx_outbox::operator::command(&mut conn, which.command_id).await?;
    let command = command.ok_or(OperateError::Unknown(which.command_id))?;
    let envelopes = gx_outbox::operator::attempts(&mut conn, which.command_id).await?;
    let mut record = serde_json::to_value(&command)?;
    let envelopes = with_columns(serde_json::to_value(envelopes)?, &ENVELOPE_COLUMNS, format);
    if format == Format::Json {
        record["envelopes"] = envelopes.into();
        format.record(&record)?;
    } else {
        format.record(&record)?;
        out("\nenvelopes, the newest first:")?;
        format.table(&envelopes)?;
    }
    Ok(())
}

async fn retry(what: DecisionArgs, format: Format) -> Result<(), CliError> {
    let entropy = Entropy::system();
    let decision = decision("gx outbox retry", &what, &entropy);
    let Some(id) = what.command_id else {
        return decide_many(BulkAction::Retry, &what, &decision, format).await;
    };
    let database = gx_db::connect(&what.database.named("command")).await?;
    let (mut conn, now) = (database.connection().await?, Clock::system().now());
    let retried_id = gx_admin::retry_command(&mut conn, id, &decision, now).await?;
    let text = if retried_id == id {
        format!("{id} is sent again")
    } else {
        format!("the ledger had cancelled {id}; the command is sent again as {retried_id}")
    };
    format.line(&text, &json!({ "commandId": retried_id, "status": "PENDING" }))
}

async fn discard(what: DecisionArgs, format: Format) -> Result<(), CliError> {
    let entropy = Entropy::system();
    let decision = decision("gx outbox discard", &what, &entropy);
    let Some(id) = what.command_id else {
        return decide_many(BulkAction::Discard, &what, &decision, format).await;
    };
    let database = gx_db::connect(&what.database.named("command")).await?;
    let (mut conn, now) = (database.connection().await?, Clock::system().now());
    let (text, status) = match gx_admin::discard_command(&mut conn, id, &decision, now).await? {
        Discarded::Now => (format!("{id} is discarded"), "DISCARDED"),
        Discarded::OnceCancelled => {
            (format!("{id} will be discarded when the ledger has cancelled it"), "PENDING")
        }
    };
    format.line(&text, &json!({ "commandId": id, "status": status }))
}

/// Retries or discards all commands that match the options, in several transactions. Fails at the
/// end if some could not be changed; the others are.
async fn decide_many(
    action: BulkAction,
    what: &DecisionArgs,
    decision: &AuditedDecision<'_>,
    format: Format,
) -> Result<(), CliError> {
    let BulkArgs { status, class, kind, since, until, dry_run, all } = what.many;
    if class.is_none() && kind.is_none() && since.is_none() && until.is_none() && !all {
        return Err(CliError::message(
            "no commands are selected; give one id, or one of `--class`, `--kind`, `--since` and \
            `--until`, or `--all` for all commands in that status",
        ));
    }
    if !action.takes(status) {
        return Err(CliError::message(format!(
            "`--status {}` is not allowed; give {}",
            status.name(),
            action.allowed_statuses()
        )));
    }
    let filter = BulkFilter { status, class, kind, since, until };
    let database = gx_db::connect(&what.database.named("command")).await?;
    let mut conn = database.connection().await?;
    if dry_run {
        let count = gx_outbox::operator::count_matching(&mut conn, &filter).await?;
        format.line(&format!("{count} commands match"), &json!({ "matching": count }))?;
        return Ok(());
    }
    let (mut report, mut after) = (BulkReport::default(), 0);
    loop {
        let now = Clock::system().now();
        let step = gx_admin::bulk_step(&mut conn, action, &filter, after, decision, now).await?;
        report.add(&step);
        let Some(next) = step.next_after else { break };
        after = next;
    }
    format.record(&serde_json::to_value(&report)?)?;
    if report.failed > 0 {
        return Err(CliError::message(format!(
            "{} commands could not be changed; remove the reasons in the log, and run this again",
            report.failed
        )));
    }
    Ok(())
}

/// Returns the decision for the audit log.
fn decision<'a>(
    command: &'static str,
    what: &'a DecisionArgs,
    entropy: &'a Entropy,
) -> AuditedDecision<'a> {
    let (actor, reason) = (Actor::System(command), what.reason.as_str());
    AuditedDecision { actor, reason, request_id: None, entropy }
}

/// Returns the rows of a list with all fields for JSON, and with these columns only for text.
pub(crate) fn with_columns(list: Value, columns: &[&str], format: Format) -> Vec<Value> {
    let Value::Array(rows) = list else { return vec![] };
    let only = |row: Value| -> Value {
        columns.iter().map(|name| ((*name).to_owned(), row[*name].clone())).collect()
    };
    if format == Format::Json { rows } else { rows.into_iter().map(only).collect() }
}
