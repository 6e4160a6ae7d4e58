//! `gx projection dead`: events that could not be applied.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use gx_admin::{DeadEventFilter, DeadEventState, Decision, Replay};
use gx_auth::audit::Actor;
use gx_db::{Database, DatabaseSettings};
use gx_model::Clock;
use gx_outbox::tasks::{self, TaskRow};
use gx_serve::Entropy;

use crate::Failure;
use crate::outbox::shown;
use crate::print::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// List events that could not be applied, the newest first
    List(#[command(flatten)] List),
    /// Have the projector try held events again, in the chain's order, and wait for its report
    Replay(#[command(flatten)] ReplayArgs),
}

/// Where an event stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Held,
    Replayed,
}

/// Which events to list.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Only those that are held, or that were replayed
    #[arg(long, value_enum, ignore_case = true)]
    state: Option<State>,
    /// Only those of this name, such as UserCreated
    #[arg(long)]
    event: Option<String>,
    /// Only those that hold this back: a Fabric User ID, treasury_CC, a pool or SYSTEM
    #[arg(long)]
    aggregate: Option<String>,
    /// Only those with a smaller id: the last one of the page before
    #[arg(long)]
    below: Option<i64>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
}

/// Which events to try again.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Channel
    #[arg(long, env = "FABRIC_CHANNEL_NAME", default_value = "gxchannel")]
    fabric_channel_name: String,
    /// One, by its id; every held one without it
    #[arg(long)]
    id: Option<i64>,
    /// Why; the audit log says it
    #[arg(long)]
    reason: String,
    /// Seconds to wait for the projector
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait_s: u64,
}

/// The columns that people look at; `--json` has all.
const COLUMNS: [&str; 6] =
    ["deadEventId", "state", "blockNumber", "eventName", "aggregates", "reason"];
/// How often the projector's report is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Lists or replays.
pub(crate) async fn run(command: DeadCommand, format: Format) -> Result<(), Failure> {
    match command {
        DeadCommand::List(which) => list(which, format).await,
        DeadCommand::Replay(what) => replay(what, format).await,
    }
}

async fn list(which: List, format: Format) -> Result<(), Failure> {
    let database = gx_db::connect(&which.database).await?;
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
    format.table(&shown(serde_json::to_value(events)?, &COLUMNS, format));
    Ok(())
}

async fn replay(what: ReplayArgs, format: Format) -> Result<(), Failure> {
    if what.reason.trim().is_empty() {
        return Err(Failure::say("--reason must not be empty: the audit log says it"));
    }
    let database = gx_db::connect(&what.database).await?;
    let decision = Decision {
        actor: Actor::System("gx projection dead replay"),
        reason: &what.reason,
        request_id: None,
    };
    let which = what.id.map_or(Replay::All { channel: &what.fabric_channel_name }, Replay::One);
    let now = Clock::system().now();
    let task_id = Entropy::system().id(now).to_string();
    let mut conn = database.connection().await?;
    gx_admin::ask_replay(&mut conn, which, &task_id, &decision, now).await?;
    drop(conn);

    let bound = Duration::from_secs(what.wait_s);
    let Ok(done) = tokio::time::timeout(bound, finished(&database, &task_id)).await else {
        return Err(Failure::say(format!(
            "the projector has not carried out task {task_id} within {} s; it will when it runs \
             and leads",
            what.wait_s
        )));
    };
    let done = done?;
    format.record(&serde_json::to_value(&done)?);
    let still_held = done.report.as_ref().and_then(|report| report["stillHeld"].as_array());
    match still_held.map(Vec::len) {
        Some(0) => Ok(()),
        Some(count) => Err(Failure::say(format!("{count} events are still held"))),
        None => Err(Failure::say("the projector could not carry it out")),
    }
}

/// The task, once the projector has ended it.
async fn finished(database: &Database, task_id: &str) -> Result<TaskRow, Failure> {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tick.tick().await;
        let mut conn = database.connection().await?;
        let task = tasks::get(&mut conn, task_id).await?;
        if let Some(done) = task.filter(TaskRow::is_done) {
            return Ok(done);
        }
    }
}
