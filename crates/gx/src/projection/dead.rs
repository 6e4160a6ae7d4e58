//! `gx projection dead`: lists and replays events that could not be applied. Called by
//! `gx projection`; `main` prints an error.

use clap::{Args, Subcommand, ValueEnum};
use gx_admin::{AuditedDecision, DeadEventFilter, DeadEventState, Replay};
use gx_auth::audit::Actor;
use gx_db::DatabaseSettings;
use gx_model::Clock;
use gx_serve::Entropy;

use super::task_end;
use crate::CliError;
use crate::outbox::with_columns;
use crate::print::Format;
use crate::reason::reason;

#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// List events that could not be applied, the newest first
    List(#[command(flatten)] List),
    /// Ask the projector to apply held events again, in the order of the chain, and wait for its
    /// report
    Replay(#[command(flatten)] ReplayArgs),
}

/// The state of a dead event.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Held,
    Replayed,
}

/// The arguments of `gx projection dead list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Only events that are held, or that were replayed
    #[arg(long, value_enum, ignore_case = true)]
    state: Option<State>,
    /// Only events with this name, such as UserCreated
    #[arg(long)]
    event: Option<String>,
    /// Only events of this aggregate: a Fabric User ID, treasury_CC, a pool or SYSTEM
    #[arg(long)]
    aggregate: Option<String>,
    /// Only events with a smaller id; give the last id of the previous page
    #[arg(long)]
    below: Option<i64>,
    /// Most events to list, 1 to 1000
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
}

/// The arguments of `gx projection dead replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Channel
    #[arg(long, env = "FABRIC_CHANNEL_NAME", default_value = "gxchannel")]
    fabric_channel_name: String,
    /// Id of one event; without it all held events are replayed
    #[arg(long)]
    id: Option<i64>,
    /// Reason for the audit log
    #[arg(long, value_parser = reason)]
    reason: String,
    /// Longest wait for the projector, in seconds
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait_s: u64,
}

/// The columns of events in text; `--json` prints all fields.
const COLUMNS: [&str; 6] =
    ["deadEventId", "state", "blockNumber", "eventName", "aggregates", "reason"];

/// Runs a command of `gx projection dead`.
pub(crate) async fn run(command: DeadCommand, format: Format) -> Result<(), CliError> {
    match command {
        DeadCommand::List(which) => list(which, format).await,
        DeadCommand::Replay(what) => replay(what, format).await,
    }
}

async fn list(which: List, format: Format) -> Result<(), CliError> {
    let database = gx_db::connect(&which.database.named("command")).await?;
    let filter = DeadEventFilter {
        state: which.state.map(|state| match state {
            State::Held => DeadEventState::Held,
            State::Replayed => DeadEventState::Replayed,
        }),
        event_name: which.event.as_deref(),
        aggregate: which.aggregate.as_deref(),
        below: which.below,
    };
    let mut conn = database.connection().await?;
    let events = gx_admin::dead_events(&mut conn, &filter, which.limit).await?;
    format.table(&with_columns(serde_json::to_value(events)?, &COLUMNS, format))
}

/// Asks for a replay, waits until the projector has ended it, and prints its report. Fails if
/// events still cannot be applied.
async fn replay(what: ReplayArgs, format: Format) -> Result<(), CliError> {
    let database = gx_db::connect(&what.database.named("command")).await?;
    let entropy = Entropy::system();
    let decision = AuditedDecision {
        actor: Actor::System("gx projection dead replay"),
        reason: &what.reason,
        request_id: None,
        entropy: &entropy,
    };
    let which = what.id.map_or(Replay::All { channel: &what.fabric_channel_name }, Replay::One);
    let now = Clock::system().now();
    let task_id = entropy.id(now).to_string();
    let mut conn = database.connection().await?;
    gx_admin::ask_replay(&mut conn, which, &task_id, &decision, now).await?;
    drop(conn);

    let done = task_end::wait(&database, &task_id, what.wait_s).await?;
    format.record(&serde_json::to_value(&done)?)?;
    let still_held = done.report.as_ref().and_then(|report| report["stillHeldCount"].as_u64());
    match still_held {
        Some(0) => Ok(()),
        Some(count) => Err(CliError::message(format!(
            "{count} events still cannot be applied; remove the reasons in `stillHeld` of the report, \
             and replay again"
        ))),
        None => Err(CliError::message(
            "the replay failed; remove the error in `report`, and replay again",
        )),
    }
}
