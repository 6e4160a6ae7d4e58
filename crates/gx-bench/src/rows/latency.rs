//! Measures the latency of single operations with little other load. The rows are in `ROWS`.

use std::time::Duration;

use gx_model::Clock;
use gx_outbox::enqueue::Waker;
use sqlx::{Connection as _, PgConnection};

use crate::child_process::Process;
use crate::commands::CommandPattern;
use crate::enqueuer::Enqueueing;
use crate::environment::{Environment, applied};
use crate::error::BenchError;
use crate::people::Recipe;
use crate::progress::show_line;
use crate::row::quantile;
use crate::row::{Measurement, Measuring, Plan, Repetition, Row, RowTarget};
use crate::store::commands;
use crate::worker::Stepped;

/// A quiet system: the time until a command is sent.
pub(crate) const IDLE: Row = Row {
    name: "submitter-idle",
    about: "one command committed in SQL, until its Submit is sent; median",
    unit: "ms",
    target: RowTarget::AtMost(8.0),
    limit: "two commits of one small row and one empty gRPC call, one after the other; medians",
    sizes: &[200],
    warm_up: 0,
    needs_network: false,
    checks: &[],
    measure: |plan| Box::pin(idle(plan)) as Measuring<'_>,
};

/// A system in use: the time until a block is visible.
pub(crate) const LIVE: Row = Row {
    name: "projector-live",
    about: "a block of a few transfers received, until its rows are visible; 99 of 100, 50 blocks/s",
    unit: "ms",
    target: RowTarget::AtMost(15.0),
    limit: "a commit of one small row; 99 of 100",
    sizes: &[500],
    warm_up: 50,
    needs_network: false,
    checks: &[],
    measure: |plan| Box::pin(live(plan)) as Measuring<'_>,
};

/// The database of both workers.
const QUIET: &str = "quiet";
/// Number of people in the database.
const PEOPLE: u64 = 500;
/// Number of transactions in a second on a live chain.
const PER_SECOND: u32 = 50;
/// Number of commits with which the limit is measured.
const LIMIT_COMMITS: u64 = 200;
/// Time limit of a command, and interval at which its arrival is checked.
const ARRIVES_WITHIN: Duration = Duration::from_secs(20);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

async fn idle(plan: &Plan<'_>) -> Result<Measurement, BenchError> {
    let env = Environment::set(plan, Recipe { people: PEOPLE, transfers_each: 0 }).await?;
    let mut conn = env.database(QUIET).await?;
    let projector = env.worker("projector", QUIET)?;
    applied(&mut conn, env.tip().await?, None).await?;
    let mut submitter = env.watched_worker("submitter", QUIET)?;
    let settings = gx_db::DatabaseSettings::from_url(env.postgres.url(QUIET).into());
    let database = gx_db::connect(&settings).await?;
    let service = Enqueueing { waker: Waker::new(database.pool().clone()), database };
    let calls = EmptyCalls::start(plan).await?;
    let (mut measurement, mut next) = (Measurement::default(), 0);
    for number in 0..=plan.repetitions {
        let mut calls_ms = vec![];
        let mut commits_ms = plan.postgres.commits_ms(LIMIT_COMMITS).await?;
        let mut sent_ms = vec![];
        for _ in 0..plan.operations {
            calls_ms.push(calls.one().await?);
            sent_ms.push(one_command(&service, &mut submitter, &mut conn, next).await?);
            next += 1;
        }
        // The first round is a warm-up.
        if number == 0 {
            continue;
        }
        let (commit, call) = (quantile(&mut commits_ms, 0.5), quantile(&mut calls_ms, 0.5));
        let mut repetition = Repetition {
            measured: quantile(&mut sent_ms, 0.5),
            limit: 2.0 * commit + call,
            ..Default::default()
        };
        repetition.limit_parts.insert("commit, ms".to_owned(), commit);
        repetition.limit_parts.insert("empty gRPC call, ms".to_owned(), call);
        repetition.parts.insert("99 of 100, ms".to_owned(), quantile(&mut sent_ms, 0.99));
        show_line(format_args!(
            "  {number}: {:.2} ms of {:.2}",
            repetition.measured, repetition.limit
        ));
        measurement.repetitions.push(repetition);
    }
    for part in [&submitter, &projector] {
        measurement.peak_kib.insert(part.name.to_owned(), part.usage()?.peak_kib);
    }
    calls.end().await?;
    drop(service);
    submitter.end().await?;
    projector.end().await?;
    conn.close().await?;
    env.clear(&[QUIET]).await?;
    Ok(measurement)
}

/// Returns the milliseconds from a command's commit until the submitter begins to send its
/// envelope. Returns after the command is settled, so that the next one finds a quiet system, too.
async fn one_command(
    service: &Enqueueing,
    submitter: &mut Process,
    conn: &mut PgConnection,
    number: u64,
) -> Result<f64, BenchError> {
    let (block, _) = commands::events_after(conn, 0).await?;
    service.enqueue(CommandPattern::Transfers, number, PEOPLE).await?;
    let committed_ns = Clock::system().now().unix_timestamp_nanos();
    let sent_ns = loop {
        let stepped: Stepped = submitter.receive().await?;
        // After the attempt is stored, it is sent at once.
        if stepped.step == "stored" && stepped.at_ns >= committed_ns {
            break stepped.at_ns;
        }
    };
    let looks = ARRIVES_WITHIN.as_millis() / LOOK_INTERVAL.as_millis();
    for _ in 0..looks {
        if commands::events_after(conn, block).await?.1 > 0 {
            return Ok(as_ms(sent_ns - committed_ns));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Err(BenchError::Stuck { what: "the projector", seconds: ARRIVES_WITHIN.as_secs() })
}

async fn live(plan: &Plan<'_>) -> Result<Measurement, BenchError> {
    let env = Environment::set(plan, Recipe { people: PEOPLE, transfers_each: 0 }).await?;
    let mut conn = env.database(QUIET).await?;
    let mut projector = env.watched_worker("projector", QUIET)?;
    applied(&mut conn, env.tip().await?, None).await?;
    let (mut measurement, mut next) = (Measurement::default(), 0);
    for number in 0..=plan.repetitions {
        let mut commits_ms = plan.postgres.commits_ms(LIMIT_COMMITS).await?;
        let operations = if number == 0 { plan.warm_up } else { plan.operations };
        let before = projector.usage()?;
        let mut visible_ms = live_blocks(&env, &mut projector, next, operations).await?;
        next += operations;
        if number == 0 {
            continue;
        }
        let mut repetition = Repetition {
            measured: quantile(&mut visible_ms, 0.99),
            limit: quantile(&mut commits_ms, 0.99),
            ..Default::default()
        };
        let blocks = u64::try_from(visible_ms.len()).unwrap_or(1);
        let cpu_us = crate::row::cpu_us(before, projector.usage()?, blocks);
        repetition.cpu_us.insert("projector, a block".to_owned(), cpu_us);
        repetition.parts.insert("median, ms".to_owned(), quantile(&mut visible_ms, 0.5));
        repetition.limit_parts.insert("median, ms".to_owned(), quantile(&mut commits_ms, 0.5));
        show_line(format_args!(
            "  {number}: {:.2} ms of {:.2}",
            repetition.measured, repetition.limit
        ));
        measurement.repetitions.push(repetition);
    }
    measurement.peak_kib.insert("projector".to_owned(), projector.usage()?.peak_kib);
    projector.end().await?;
    conn.close().await?;
    env.clear(&[QUIET]).await?;
    Ok(measurement)
}

/// Returns the milliseconds from each block's arrival until it is committed, while `transactions`
/// transactions are ordered at a steady rate.
async fn live_blocks(
    env: &Environment<'_>,
    projector: &mut Process,
    first: u64,
    transactions: u64,
) -> Result<Vec<f64>, BenchError> {
    let file = env.target_file().display().to_string();
    let numbers = [PEOPLE, u64::from(PER_SECOND), first, transactions].map(|n| n.to_string());
    let mut arguments = vec!["pay", file.as_str()];
    arguments.extend(numbers.iter().map(String::as_str));
    let mut payer = Process::start("payer", &arguments)?;
    let (mut received_ns, mut waited_ms, mut is_done) = (None, vec![], false);
    loop {
        let stepped: Stepped = tokio::select! {
            stepped = projector.receive() => stepped?,
            done = payer.receive::<()>(), if !is_done => {
                done?;
                is_done = true;
                continue;
            }
            () = tokio::time::sleep(Duration::from_secs(1)), if is_done => break,
        };
        match (stepped.step.as_str(), received_ns) {
            ("received", _) => received_ns = Some(stepped.at_ns),
            ("applied", Some(from_ns)) => {
                waited_ms.push(as_ms(stepped.at_ns - from_ns));
                received_ns = None;
            }
            _ => {}
        }
    }
    payer.end().await?;
    Ok(waited_ms)
}

/// A gateway that does nothing, with one call at a time.
struct EmptyCalls {
    server: Process,
    caller: crate::load::EmptyCaller,
}

impl EmptyCalls {
    async fn start(plan: &Plan<'_>) -> Result<Self, BenchError> {
        let mut server = Process::start("empty gateway", &["serve-empty"])?;
        let file = plan.scratch.path().join("empty-calls.json");
        std::fs::write(&file, server.line().await?)?;
        let caller = crate::load::EmptyCaller::prepare(&crate::server::Target::read(&file)?)?;
        Ok(Self { server, caller })
    }

    async fn one(&self) -> Result<f64, BenchError> {
        let start = std::time::Instant::now();
        self.caller.carry_out(1).await?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }

    async fn end(self) -> Result<(), BenchError> {
        drop(self.caller);
        self.server.end().await
    }
}

fn as_ms(ns: i128) -> f64 {
    ns as f64 / 1e6
}
