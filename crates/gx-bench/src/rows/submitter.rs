//! Measures submitter and projector together, under load and in difficult conditions. The rows are
//! in `ROWS`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use crate::child_process::{Process, Usage};
use crate::commands::CommandPattern;
use crate::environment::{Environment, applied};
use crate::error::BenchError;
use crate::people::{self, Recipe};
use crate::progress::show_line;
use crate::row::{Check, Measurement, Measuring, Plan, Repetition, Row, RowTarget};
use crate::row::{as_rate, cpu_us};
use crate::settled_count::SettledCount;
use crate::store::{commands, databases};

/// Commands that were enqueued before.
pub(crate) const THROUGHPUT: Row = Row {
    name: "submitter-throughput",
    about: "transfers enqueued before, carried out and projected",
    // With a warm-up of one minute, these are five minutes. If they take less, the speed is above
    // the target.
    sizes: &[300_000],
    warm_up: 300_000,
    measure: |plan| Box::pin(measure(plan, &Kind::PLAIN)) as Measuring<'_>,
    ..PATTERN
};

/// Commands that are enqueued while others are executed.
pub(crate) const WHILE_ENQUEUING: Row = Row {
    name: "submitter-while-enqueuing",
    about: "transfers carried out and projected while services enqueue 2750 a second",
    target: RowTarget::AtLeast(2_500.0),
    sizes: &[41_250],
    measure: |plan| {
        let kind = Kind { per_second: Some(2_750), ..Kind::PLAIN };
        Box::pin(async move { measure(plan, &kind).await }) as Measuring<'_>
    },
    ..PATTERN
};

/// An old snapshot keeps PostgreSQL from removing dead rows.
pub(crate) const OLD_SNAPSHOT: Row = Row {
    name: "submitter-old-snapshot",
    about: "the same as submitter-throughput; another transaction has kept a snapshot open since before all of it",
    sizes: &[150_000],
    measure: |plan| {
        let kind = Kind { old_snapshot: true, ..Kind::PLAIN };
        Box::pin(async move { measure(plan, &kind).await }) as Measuring<'_>
    },
    ..PATTERN
};

/// Most rows of the table are settled commands.
pub(crate) const FINISHED: Row = Row {
    name: "submitter-finished",
    about: "the same as submitter-throughput; 1 000 000 finished commands lie in the table",
    sizes: &[75_000],
    measure: |plan| {
        let finished = if plan.is_smoke() { 1_000 } else { 1_000_000 };
        let kind = Kind { finished, ..Kind::PLAIN };
        Box::pin(async move { measure(plan, &kind).await }) as Measuring<'_>
    },
    ..PATTERN
};

/// Everybody pays one person.
pub(crate) const HOT_ACCOUNT: Row = Row {
    name: "submitter-hot-account",
    about: "transfers to one account, which services enqueue 1050 a second, carried out and projected",
    target: RowTarget::AtLeast(1_000.0),
    sizes: &[15_000],
    measure: |plan| {
        let kind = Kind { wanted: CommandPattern::ToOne, per_second: Some(1_050), ..Kind::PLAIN };
        Box::pin(async move { measure(plan, &kind).await }) as Measuring<'_>
    },
    ..PATTERN
};

/// Everybody is of one country.
pub(crate) const HOT_COUNTRY: Row = Row {
    name: "submitter-hot-country",
    about: "people of one country created with their grants, enqueued before, carried out and projected",
    target: RowTarget::AtLeast(1_000.0),
    sizes: &[10_000],
    measure: |plan| {
        let kind = Kind { wanted: CommandPattern::OneCountry, ..Kind::PLAIN };
        Box::pin(async move { measure(plan, &kind).await }) as Measuring<'_>
    },
    ..PATTERN
};

/// The common values of these rows.
const PATTERN: Row = Row {
    name: "",
    about: "",
    unit: "commands/s",
    target: RowTarget::Both(5_000.0, 0.5),
    limit: "the same SQL alone",
    sizes: &[],
    warm_up: 10_000,
    needs_network: false,
    checks: &[Check::None { what: INVALID }],
    measure: |plan| Box::pin(measure(plan, &Kind::PLAIN)) as Measuring<'_>,
};

/// Transactions that were endorsed and sent without effect.
const INVALID: &str = "transactions judged invalid";
/// Number of people who transfer money: enough that few commands in flight touch the same account.
const PEOPLE: u64 = 100_000;
/// Time limit of a repetition; commands that are done by then count.
const LONGEST: Duration = Duration::from_secs(60);
/// The database of the row.
const WORKED: &str = "worked";
/// The database of the limit, with as many commands as one repetition.
const ALONE: &str = "alone";

/// The conditions of a row.
struct Kind {
    wanted: CommandPattern,
    /// The rate at which commands are enqueued; `None` if all are enqueued before.
    per_second: Option<u32>,
    /// Number of settled commands in the table.
    finished: u64,
    /// Whether another transaction holds an old snapshot during the row.
    old_snapshot: bool,
}

impl Kind {
    const PLAIN: Self = Self {
        wanted: CommandPattern::Transfers,
        per_second: None,
        finished: 0,
        old_snapshot: false,
    };
}

async fn measure(plan: &Plan<'_>, kind: &Kind) -> Result<Measurement, BenchError> {
    // A smoke run has fewer people.
    let people = PEOPLE.min(plan.operations * 10);
    let env = Environment::set(plan, Recipe { people, transfers_each: 0 }).await?;
    project_people(&env).await?;
    let limit = sql_alone(&env, people, plan.operations).await?;
    let mut conn = env.postgres.connect(WORKED).await?;
    let total = plan.warm_up + plan.operations * u64::from(plan.repetitions);
    prepare(&mut conn, kind, people, total).await?;
    let projector = env.worker("projector", WORKED)?;
    let mut settled = SettledCount::now(&mut conn).await?;
    let mut snapshot = env.postgres.connect(WORKED).await?;
    if kind.old_snapshot {
        commands::hold_snapshot(&mut snapshot).await?;
    }
    let enqueuer = match kind.per_second {
        Some(per_second) => Some(enqueue(&env, kind, per_second, people, total)?),
        None => {
            kind.wanted.enqueue_all(&mut conn, (0, total), people).await?;
            databases::analyze(&mut conn).await?;
            None
        }
    };
    let submitter = env.worker("submitter", WORKED)?;
    let mut workers = Workers { env: &env, running: vec![&submitter, &projector] };
    workers.running.extend(&enqueuer);
    settled.wait(&mut conn, plan.warm_up, LONGEST).await?;
    let mut measurement = Measurement::default();
    for number in 1..=plan.repetitions {
        let mut repetition = workers.repeat(&mut conn, &mut settled, plan.operations).await?;
        repetition.limit = limit;
        show_line(format_args!(
            "  {number}: {:.0} of {:.0}",
            repetition.measured, repetition.limit
        ));
        measurement.repetitions.push(repetition);
    }
    let (sent, invalid) = commands::attempts(&mut conn).await?;
    measurement.counts.insert(INVALID.to_owned(), invalid.unsigned_abs());
    measurement.settings.insert("transactions".to_owned(), sent.to_string());
    measurement.settings.insert("people".to_owned(), people.to_string());
    for part in workers.running {
        measurement.peak_kib.insert(part.name.to_owned(), part.usage()?.peak_kib);
    }
    snapshot.close().await?;
    for part in enqueuer.into_iter().chain([submitter, projector]) {
        part.end().await?;
    }
    conn.close().await?;
    env.clear(&[WORKED]).await?;
    Ok(measurement)
}

/// Makes a database in which the people of the chain are projected and no worker runs.
async fn project_people(env: &Environment<'_>) -> Result<(), BenchError> {
    let mut conn = env.database(WORKED).await?;
    let projector = env.worker("projector", WORKED)?;
    applied(&mut conn, env.tip().await?, None).await?;
    projector.end().await?;
    Ok(conn.close().await?)
}

/// Returns the rate of the same SQL without a ledger, in a copy of that database, in commands per
/// second.
async fn sql_alone(env: &Environment<'_>, people: u64, commands: u64) -> Result<f64, BenchError> {
    env.postgres.remove(ALONE).await?;
    env.postgres.copy(ALONE, WORKED).await?;
    let mut conn = env.postgres.connect(ALONE).await?;
    CommandPattern::Transfers.enqueue_all(&mut conn, (0, commands), people).await?;
    databases::vacuum_analyze(&mut conn).await?;
    conn.close().await?;
    let mut alone = env.worker("sql-alone", ALONE)?;
    let (): () = alone.receive().await?;
    let start = Instant::now();
    let (): () = alone.receive().await?;
    let rate = as_rate(commands) / start.elapsed().as_secs_f64();
    alone.end().await?;
    env.postgres.remove(ALONE).await?;
    show_line(format_args!("  the same SQL alone: {rate:.0}"));
    Ok(rate)
}

/// Adds the rows that are in the database before the workers start.
async fn prepare(
    conn: &mut PgConnection,
    kind: &Kind,
    people: u64,
    total: u64,
) -> Result<(), BenchError> {
    if kind.wanted == CommandPattern::OneCountry {
        let newcomers = (0..total).step_by(2).map(|n| CommandPattern::newcomer(n, people));
        people::add(conn, newcomers.filter(|number| *number >= people)).await?;
    }
    if kind.finished > 0 {
        let count = i64::try_from(kind.finished).unwrap_or(i64::MAX);
        commands::add_finished(conn, count).await?;
    }
    Ok(databases::vacuum_analyze(conn).await?)
}

/// Starts a process that enqueues all commands at a steady rate.
fn enqueue(
    env: &Environment<'_>,
    kind: &Kind,
    per_second: u32,
    people: u64,
    total: u64,
) -> Result<Process, BenchError> {
    let file = env.workplace_file(WORKED)?.display().to_string();
    let wanted = kind.wanted.name();
    let numbers = [people, per_second.into(), 0, total].map(|number| number.to_string());
    let mut arguments = vec!["enqueue", file.as_str(), wanted.as_str()];
    arguments.extend(numbers.iter().map(String::as_str));
    Process::start("enqueuer", &arguments)
}

/// The running workers.
struct Workers<'a> {
    env: &'a Environment<'a>,
    running: Vec<&'a Process>,
}

impl Workers<'_> {
    async fn repeat(
        &self,
        conn: &mut PgConnection,
        settled: &mut SettledCount,
        operations: u64,
    ) -> Result<Repetition, BenchError> {
        let before = self.usages()?;
        let (start, count) = (Instant::now(), settled.count);
        settled.wait(conn, operations, LONGEST).await?;
        let (seconds, done) = (start.elapsed().as_secs_f64(), settled.count - count);
        let mut repetition = Repetition { measured: as_rate(done) / seconds, ..Default::default() };
        // A smoke run may settle everything during the warm-up; then there is no operation and no
        // cost.
        if done > 0 {
            for (name, after) in self.usages()? {
                repetition.cpu_us.insert(name.to_owned(), cpu_us(before[name], after, done));
            }
        }
        Ok(repetition)
    }

    fn usages(&self) -> Result<BTreeMap<&'static str, Usage>, BenchError> {
        let mut usages = BTreeMap::new();
        for part in self.running.iter().copied().chain([&self.env.devnet]) {
            usages.insert(part.name, part.usage()?);
        }
        usages.insert("PostgreSQL", self.env.postgres.usage()?);
        Ok(usages)
    }
}
