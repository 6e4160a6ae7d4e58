//! Submitter and projector together, under load and in conditions that hurt.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use super::{as_rate, cpu_us, quantile};
use crate::commands::Wanted;
use crate::error::BenchError;
use crate::part::{Part, Usage};
use crate::people::{self, Recipe};
use crate::progress::Progress;
use crate::rows::{Check, Measurement, Measuring, Plan, Repetition, Row, Target};
use crate::scene::{Scene, applied};
use crate::server::CHANNEL;
use crate::store::{commands, databases};

/// Commands that were enqueued before.
pub(crate) const THROUGHPUT: Row = Row {
    name: "submitter-throughput",
    about: "transfers enqueued before, carried out and projected",
    // Five such repetitions are five minutes at the speed that is asked.
    sizes: &[300_000],
    repetitions: 5,
    measure: |plan| Box::pin(measure(plan, &Kind::PLAIN)) as Measuring<'_>,
    ..PATTERN
};

/// Commands that come in while others are carried out.
pub(crate) const WHILE_ENQUEUING: Row = Row {
    name: "submitter-while-enqueuing",
    about: "transfers carried out and projected while services enqueue 2750 a second",
    target: Target::AtLeast(2_500.0),
    sizes: &[55_000],
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
    sizes: &[200_000],
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
    sizes: &[200_000],
    measure: |plan| {
        let kind = Kind { finished: plan.operations.saturating_mul(5), ..Kind::PLAIN };
        Box::pin(async move { measure(plan, &kind).await }) as Measuring<'_>
    },
    ..PATTERN
};

/// Everybody pays one person.
pub(crate) const HOT_ACCOUNT: Row = Row {
    name: "submitter-hot-account",
    about: "transfers to one account, which services enqueue 1050 a second, carried out and projected",
    target: Target::AtLeast(1_000.0),
    sizes: &[20_000],
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
    sizes: &[20_000],
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
    target: Target::AtLeast(5_000.0),
    limit: "three commits of one small row for each full batch, one after the other",
    sizes: &[],
    repetitions: 3,
    checks: &[Check::None { what: INVALID }],
    measure: |plan| Box::pin(measure(plan, &Kind::PLAIN)) as Measuring<'_>,
};

/// Transactions that were endorsed and sent in vain.
const INVALID: &str = "transactions judged invalid";
/// People among whom money moves.
const PEOPLE: u64 = 10_000;
/// The database in which all of it happens.
const WORKED: &str = "worked";
/// Commits that the limit is taken of.
const LIMIT_COMMITS: u64 = 200;
/// How often it is looked how far things are.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Nothing may stand still for longer.
const STUCK_AFTER: Duration = Duration::from_secs(60);

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
    let people = PEOPLE.min(plan.operations.max(2));
    let scene = Scene::set(plan, Recipe { people, transfers_each: 0 }).await?;
    project_people(&scene).await?;
    let limit = disk_waits(plan).await?;
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
    settled.wait(&mut conn, plan.warm_up).await?;
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

/// Commands a second if full batches were three commits, one after the other, and nothing else.
async fn disk_waits(plan: &Plan<'_>) -> Result<f64, BenchError> {
    let mut commits_ms = plan.postgres.commits_ms(LIMIT_COMMITS).await?;
    Ok(500.0 * 1e3 / (3.0 * quantile(&mut commits_ms, 0.5)))
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
    let file = scene.workplace(WORKED)?.display().to_string();
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
        settled.wait(conn, operations).await?;
        let (seconds, done) = (start.elapsed().as_secs_f64(), settled.count - count);
        let mut repetition = Repetition { measured: as_rate(done) / seconds, ..Default::default() };
        for (name, after) in self.usages()? {
            repetition.cpu_us.insert(name.to_owned(), cpu_us(before[name], after, done));
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

/// Commands that have taken effect and are visible: each has one event.
struct Settled {
    block: i64,
    count: u64,
}

impl Settled {
    /// None so far: what happened until now does not count.
    async fn now(conn: &mut PgConnection) -> Result<Self, BenchError> {
        let (block, _) = commands::events_after(conn, CHANNEL, 0).await?;
        Ok(Self { block, count: 0 })
    }

    /// Waits until so many more have.
    async fn wait(&mut self, conn: &mut PgConnection, more: u64) -> Result<(), BenchError> {
        let (start, end) = (self.count, self.count + more);
        let (mut moved, mut progress) = (Instant::now(), Progress::new("commands settled", more));
        while self.count < end {
            let (block, count) = commands::events_after(conn, CHANNEL, self.block).await?;
            if count > 0 {
                moved = Instant::now();
            }
            (self.block, self.count) = (block, self.count + count.unsigned_abs());
            progress.at(self.count - start);
            if moved.elapsed() > STUCK_AFTER {
                let seconds = STUCK_AFTER.as_secs();
                return Err(BenchError::Stuck { what: "the workers", seconds });
            }
            if self.count < end {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }
}
