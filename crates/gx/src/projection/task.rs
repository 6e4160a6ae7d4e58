//! `gx projection task`: lists and cancels tasks of the projector: the verifications, rebuilds,
//! replays and adoptions that operators asked for.
//!
//! Called by `gx projection`; `main` prints an error. A task that is unknown or has ended cannot be
//! cancelled: that is an error, and nothing is changed.

use clap::{Args, Subcommand};
use gx_admin::AuditedDecision;
use gx_auth::audit::Actor;
use gx_db::DatabaseSettings;
use gx_model::Clock;
use gx_outbox::tasks;
use gx_serve::Entropy;

use crate::CliError;
use crate::outbox::with_columns;
use crate::print::Format;
use crate::reason::reason;

#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// List tasks of the projector, the newest first
    List(#[command(flatten)] List),
    /// Cancel a task that waits or runs; changes that it has already made stay
    Cancel(#[command(flatten)] Cancel),
}

/// The arguments of `gx projection task list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Channel
    #[arg(long, env = "FABRIC_CHANNEL_NAME", default_value = "gxchannel")]
    fabric_channel_name: String,
    /// Most tasks to list, 1 to 1000
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
}

/// The arguments of `gx projection task cancel`.
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Id of the task
    #[arg(long)]
    id: String,
    /// Reason for the audit log
    #[arg(long, value_parser = reason)]
    reason: String,
}

/// The columns of tasks in text; `--json` prints all fields.
const COLUMNS: [&str; 6] = ["taskId", "kind", "state", "attempts", "requestedBy", "requestedAt"];

/// Runs a command of `gx projection task`.
pub(crate) async fn run(command: TaskCommand, format: Format) -> Result<(), CliError> {
    match command {
        TaskCommand::List(which) => list(which, format).await,
        TaskCommand::Cancel(which) => cancel(which, format).await,
    }
}

async fn list(which: List, format: Format) -> Result<(), CliError> {
    let database = gx_db::connect(&which.database.named("command")).await?;
    let mut conn = database.connection().await?;
    let rows = tasks::list(&mut conn, &which.fabric_channel_name, which.limit).await?;
    format.table(&with_columns(serde_json::to_value(rows)?, &COLUMNS, format))
}

async fn cancel(which: Cancel, format: Format) -> Result<(), CliError> {
    let database = gx_db::connect(&which.database.named("command")).await?;
    let entropy = Entropy::system();
    let decision = AuditedDecision {
        actor: Actor::System("gx projection task cancel"),
        reason: &which.reason,
        request_id: None,
        entropy: &entropy,
    };
    let mut conn = database.connection().await?;
    let now = Clock::system().now();
    let row = gx_admin::cancel_task(&mut conn, &which.id, &decision, now).await?;
    format.record(&serde_json::to_value(&row)?)
}
