//! Submitter and projector together, under load and in conditions that hurt.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use super::{as_rate, cpu_us};
use crate::commands::Wanted;
use crate::error::BenchError;
use crate::part::{Part, Usage};
use crate::people::{self, Recipe};
use crate::rows::{Check, Measurement, Measuring, Plan, Repetition, Row, Target};
use crate::scene::{Scene, applied};
use crate::settled::Settled;
use crate::store::{commands, databases};

/// Commands that were enqueued before.
pub(crate) const THROUGHPUT: Row = Row {
    name: "submitter-throughput",
    about: "transfers enqueued before, carried out and projected",
    // With a minute of warming up these are five minutes, if they are not over earlier: then the
    // speed is beyond what is asked.
    sizes: &[300_000],
    warm_up: 300_000,
    measure: |plan| Box::pin(measure(plan, &Kind::PLAIN)) as Measuring<'_>,
    ..PATTERN
};

/// Commands that come in while others are carried out.
pub(crate) const WHILE_ENQUEUING: Row = Row {
    name: "submitter-while-enqueuing",
    about: "transfers carried out and projected while services enqueue 2750 a second",
    target: Target::AtLeast(2_500.0),
    sizes: &[41_250],
    measure: |plan| {
        let kind = Kind { per_second: Some(2_750), ..Kind::PLAIN };
        Box::pin(async move { measure(plan, &kind).await }) as Measuring<'_>
    },
    ..PATTERN
};

/// Nothing that was changed since can be cleaned up.
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

/// Most rows of the table have long been done with.
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
    target: Target::AtLeast(1_000.0),
    sizes: &[15_000],
    measure: |plan| {
        let kind = Kind { wanted: Wanted::ToOne, per_second: Some(1_050), ..Kind::PLAIN };
        Box::pin(async move { measure(plan, &kind).await }) as Measuring<'_>
    },
    ..PATTERN
};

/// Everybody is of one country.
pub(crate) const HOT_COUNTRY: Row = Row {
    name: "submitter-hot-country",
    about: "people of one country created with their grants, enqueued before, carried out and projected",
    target: Target::AtLeast(1_000.0),
    sizes: &[10_000],
    measure: |plan| {
        let kind = Kind { wanted: Wanted::OneCountry, ..Kind::PLAIN };
        Box::pin(async move { measure(plan, &kind).await }) as Measuring<'_>
    },
    ..PATTERN
};

/// What these rows have in common.
const PATTERN: Row = Row {
    name: "",
    about: "",
    unit: "commands/s",
    target: Target::Both(5_000.0, 0.5),
    limit: "the same SQL alone",
    sizes: &[],
    warm_up: 10_000,
    needs_network: false,
    checks: &[Check::None { what: INVALID }],
    measure: |plan| Box::pin(measure(plan, &Kind::PLAIN)) as Measuring<'_>,
};

/// Transactions that were endorsed and sent in vain.
const INVALID: &str = "transactions judged invalid";
/// People among whom money moves: so many that few commands of those under way touch the
/// same account.
const PEOPLE: u64 = 100_000;
/// No repetition is longer; what was done until then counts.
const LONGEST: Duration = Duration::from_secs(60);
/// The database in which all of it happens.
const WORKED: &str = "worked";
/// The one for the limit, in which as many commands are carried out as in one repetition.
const ALONE: &str = "alone";

/// In what conditions the workers work.
struct Kind {
    wanted: Wanted,
    /// How fast commands are enqueued; all of them before where this is not given.
    per_second: Option<u32>,
    /// Commands finished long ago that lie in the table.
    finished: u64,
    /// Whether another transaction keeps an old snapshot open all the while.
    old_snapshot: bool,
}

impl Kind {
    const PLAIN: Self =
        Self { wanted: Wanted::Transfers, per_second: None, finished: 0, old_snapshot: false };
}

async fn measure(plan: &Plan<'_>, kind: &Kind) -> Result<Measurement, BenchError> {
    // A smoke run has fewer.
    let people = PEOPLE.min(plan.operations * 10);
    let scene = Scene::set(plan, Recipe { people, transfers_each: 0 }).await?;
    project_people(&scene).await?;
    let limit = sql_alone(&scene, people, plan.operations).await?;
    let mut conn = scene.postgres.connect(WORKED).await?;
    let total = plan.warm_up + plan.operations * u64::from(plan.repetitions);
    prepare(&mut conn, kind, people, total).await?;
    let projector = scene.worker("projector", WORKED)?;
    let mut settled = Settled::now(&mut conn).await?;
    let mut snapshot = scene.postgres.connect(WORKED).await?;
    if kind.old_snapshot {
        commands::hold_snapshot(&mut snapshot).await?;
    }
    let enqueuer = match kind.per_second {
        Some(per_second) => Some(enqueue(&scene, kind, per_second, people, total)?),
        None => {
            kind.wanted.enqueue_all(&mut conn, (0, total), people).await?;
            databases::analyze(&mut conn).await?;
            None
        }
    };
    let submitter = scene.worker("submitter", WORKED)?;
    let mut crew = Crew { scene: &scene, workers: vec![&submitter, &projector] };
    crew.workers.extend(&enqueuer);
    settled.wait(&mut conn, plan.warm_up, LONGEST).await?;
    let mut measurement = Measurement::default();
    for number in 1..=plan.repetitions {
        let mut repetition = crew.repeat(&mut conn, &mut settled, plan.operations).await?;
        repetition.limit = limit;
        eprintln!("  {number}: {:.0} of {:.0}", repetition.measured, repetition.limit);
        measurement.repetitions.push(repetition);
    }
    let (sent, invalid) = commands::attempts(&mut conn).await?;
    measurement.counts.insert(INVALID.to_owned(), invalid.unsigned_abs());
    measurement.settings.insert("transactions".to_owned(), sent.to_string());
    measurement.settings.insert("people".to_owned(), people.to_string());
    for part in crew.workers {
        measurement.peak_kib.insert(part.name.to_owned(), part.usage()?.peak_kib);
    }
    snapshot.close().await?;
    for part in enqueuer.into_iter().chain([submitter, projector]) {
        part.end().await?;
    }
    conn.close().await?;
    scene.clear(&[WORKED]).await?;
    Ok(measurement)
}

/// A database in which the people of the chain are projected, and nobody works.
async fn project_people(scene: &Scene<'_>) -> Result<(), BenchError> {
    let mut conn = scene.database(WORKED).await?;
    let projector = scene.worker("projector", WORKED)?;
    applied(&mut conn, scene.tip().await?, None).await?;
    projector.end().await?;
    Ok(conn.close().await?)
}

/// Commands a second of the same SQL with no ledger behind it, in a copy of that database.
async fn sql_alone(scene: &Scene<'_>, people: u64, commands: u64) -> Result<f64, BenchError> {
    scene.postgres.remove(ALONE).await?;
    scene.postgres.copy(ALONE, WORKED).await?;
    let mut conn = scene.postgres.connect(ALONE).await?;
    Wanted::Transfers.enqueue_all(&mut conn, (0, commands), people).await?;
    databases::vacuum_analyze(&mut conn).await?;
    conn.close().await?;
    let mut alone = scene.worker("sql-alone", ALONE)?;
    let (): () = alone.hear().await?;
    let start = Instant::now();
    let (): () = alone.hear().await?;
    let rate = as_rate(commands) / start.elapsed().as_secs_f64();
    alone.end().await?;
    scene.postgres.remove(ALONE).await?;
    eprintln!("  the same SQL alone: {rate:.0}");
    Ok(rate)
}

/// Adds what lies in the database before the workers come.
async fn prepare(
    conn: &mut PgConnection,
    kind: &Kind,
    people: u64,
    total: u64,
) -> Result<(), BenchError> {
    if kind.wanted == Wanted::OneCountry {
        let newcomers = (0..total).step_by(2).map(|n| Wanted::newcomer(n, people));
        people::add(conn, newcomers.filter(|number| *number >= people)).await?;
    }
    if kind.finished > 0 {
        let count = i64::try_from(kind.finished).unwrap_or(i64::MAX);
        commands::add_finished(conn, count).await?;
    }
    Ok(databases::vacuum_analyze(conn).await?)
}

/// Starts to enqueue all commands at a steady pace.
fn enqueue(
    scene: &Scene<'_>,
    kind: &Kind,
    per_second: u32,
    people: u64,
    total: u64,
) -> Result<Part, BenchError> {
    let file = scene.workplace_file(WORKED)?.display().to_string();
    let wanted = kind.wanted.name();
    let numbers = [people, per_second.into(), 0, total].map(|number| number.to_string());
    let mut arguments = vec!["enqueue", file.as_str(), wanted.as_str()];
    arguments.extend(numbers.iter().map(String::as_str));
    Part::start("enqueuer", &arguments)
}

/// Who works.
struct Crew<'a> {
    scene: &'a Scene<'a>,
    workers: Vec<&'a Part>,
}

impl Crew<'_> {
    async fn repeat(
        &self,
        conn: &mut PgConnection,
        settled: &mut Settled,
        operations: u64,
    ) -> Result<Repetition, BenchError> {
        let before = self.usages()?;
        let (start, count) = (Instant::now(), settled.count);
        settled.wait(conn, operations, LONGEST).await?;
        let (seconds, done) = (start.elapsed().as_secs_f64(), settled.count - count);
        let mut repetition = Repetition { measured: as_rate(done) / seconds, ..Default::default() };
        // A smoke run settles everything while it warms up: no operation, no cost of one.
        if done > 0 {
            for (name, after) in self.usages()? {
                repetition.cpu_us.insert(name.to_owned(), cpu_us(before[name], after, done));
            }
        }
        Ok(repetition)
    }

    fn usages(&self) -> Result<BTreeMap<&'static str, Usage>, BenchError> {
        let mut usages = BTreeMap::new();
        for part in self.workers.iter().copied().chain([&self.scene.devnet]) {
            usages.insert(part.name, part.usage()?);
        }
        usages.insert("PostgreSQL", self.scene.postgres.usage()?);
        Ok(usages)
    }
}
