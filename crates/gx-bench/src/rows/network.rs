//! Measures the same workers with a real network, compared with the official client. The row is in
//! `ROWS` and is skipped if no network is named.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use gx_model::{BatchCommand, Clock, Command, CommandId, CountryList};
use gx_outbox::enqueue::NewCommand;
use rand::RngExt as _;
use serde::Deserialize;
use sqlx::{Connection as _, PgConnection};

use crate::commands::CommandPattern;
use crate::error::BenchError;
use crate::load::CONCURRENCY;
use crate::people;
use crate::progress::show_line;
use crate::row::as_rate;
use crate::row::{Check, Measurement, Measuring, Plan, Repetition, Row, RowTarget};
use crate::settled_count::SettledCount;
use crate::store::{commands, databases};
use crate::worker::Workplace;

pub(crate) const THROUGHPUT: Row = Row {
    name: "network-throughput",
    about: "transfers enqueued before, carried out by the network of GX_FABRIC_PROFILE and projected",
    unit: "commands/s",
    target: RowTarget::PartOfLimit(10.0),
    limit: "transactions/s of the official Node client there, with one command each; 128 under way",
    sizes: &[20_000],
    warm_up: 0,
    needs_network: true,
    checks: &[Check::Memory { process: "projector", mib: 150 }],
    measure: |plan| Box::pin(measure(plan)) as Measuring<'_>,
};

/// Number of people who transfer money: enough that several transactions of 500 transfers can run
/// at once and touch no account in common.
const PEOPLE: u64 = 10_000;
/// Number of transactions of the official client in each repetition.
const NODE_TRANSACTIONS: u64 = 1_000;
/// Time limit of a repetition; commands that are done by then count.
const LONGEST: Duration = Duration::from_secs(60);
const DATABASE: &str = "networked";
/// The script of the official client.
const SCRIPT: &str = "tests/node/bench.js";

async fn measure(plan: &Plan<'_>) -> Result<Measurement, BenchError> {
    let target = plan.network.clone();
    let target = target.ok_or_else(|| BenchError::Keys("no network is named".to_owned()))?;
    plan.postgres.remove(DATABASE).await?;
    plan.postgres.migrated(DATABASE).await?;
    let mut conn = plan.postgres.connect(DATABASE).await?;
    // Enough people for the official client's transactions to touch each of them once.
    let people = PEOPLE.min(plan.operations * 2);
    people::add(&mut conn, 0..people).await?;
    databases::vacuum_analyze(&mut conn).await?;
    let target_file = plan.scratch.path().join("network.json");
    std::fs::write(&target_file, serde_json::to_vec(&target)?)?;
    let place = Workplace { target, url: plan.postgres.url(DATABASE) };
    let projector = place.worker("projector", plan.scratch.path(), &[])?;
    let submitter = place.worker("submitter", plan.scratch.path(), &[])?;
    bring_people(&mut conn, people).await?;
    // Commands of earlier runs stay on the chain for ever, so this run uses other numbers.
    let mut next = u64::from(rand::rng().random::<u32>()) * people;
    let mut measurement = Measurement::default();
    for number in 1..=plan.repetitions {
        let transactions = NODE_TRANSACTIONS.min(plan.operations);
        // Commands that an earlier repetition left unfinished would slow the client down.
        finished(&mut conn).await?;
        let mut settled = SettledCount::now(&mut conn).await?;
        let calls = calls(next, transactions, people);
        let limit = official_client(&target_file, plan.scratch.path(), &calls).await?;
        // Its transactions are projected, too, and must not count as the workers' own.
        settled.wait(&mut conn, transactions, LONGEST).await?;
        let theirs = settled.count;
        let range = (next, next + plan.operations);
        next += plan.operations;
        CommandPattern::Transfers.enqueue_all(&mut conn, range, people).await?;
        let start = Instant::now();
        settled.wait(&mut conn, plan.operations, LONGEST).await?;
        let measured = as_rate(settled.count - theirs) / start.elapsed().as_secs_f64();
        show_line(format_args!("  {number}: {measured:.0} of {limit:.0}"));
        measurement.repetitions.push(Repetition { measured, limit, ..Default::default() });
    }
    for part in [&submitter, &projector] {
        measurement.peak_kib.insert(part.name.to_owned(), part.usage()?.peak_kib);
    }
    submitter.end().await?;
    projector.end().await?;
    conn.close().await?;
    plan.postgres.remove(DATABASE).await?;
    Ok(measurement)
}

/// Bootstraps the system if necessary, and creates all people with their grants.
async fn bring_people(conn: &mut PgConnection, people: u64) -> Result<(), BenchError> {
    let countries = CountryList::embedded().iter().cloned().collect();
    for command in [Command::BootstrapSystem {}, Command::InitializeCountryData { countries }] {
        let id = CommandId::derive(&["bench", command.kind().name()]);
        enqueue_one(conn, id, &command).await?;
    }
    for number in 0..people {
        enqueue_one(conn, people::create_id(number), &people::create(number)).await?;
        enqueue_one(conn, people::grant_id(number), &people::grant(number)).await?;
    }
    finished(conn).await
}

async fn enqueue_one(
    conn: &mut PgConnection,
    command_id: CommandId,
    command: &Command,
) -> Result<(), BenchError> {
    let new = NewCommand {
        command_id,
        command,
        profile_id: None,
        requested_by: "bench",
        request_id: None,
    };
    gx_outbox::enqueue::enqueue(conn, new, Clock::system().now()).await?;
    Ok(())
}

/// Waits until all commands are settled. Fails with [`BenchError::Stuck`] if that takes too long.
async fn finished(conn: &mut PgConnection) -> Result<(), BenchError> {
    const LOOK_INTERVAL: Duration = Duration::from_millis(200);
    const LOOKS: u32 = 3_000;
    for _ in 0..LOOKS {
        if commands::unfinished(conn).await? == 0 {
            return Ok(());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    let seconds = (LOOK_INTERVAL * LOOKS).as_secs();
    Err(BenchError::Stuck { what: "the network", seconds })
}

/// The result that the script prints.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientResult {
    elapsed_ms: f64,
    valid: u64,
}

/// Returns the commands of the official client, each a transfer between another pair of people.
fn calls(from: u64, transactions: u64, people: u64) -> Vec<BatchCommand> {
    (from..from + transactions)
        .map(|number| {
            let payer = number * 2 % people;
            let id = CommandId::derive(&["bench", "official client", &number.to_string()]);
            BatchCommand::new(id, &people::pay_a_little(payer, payer + 1))
        })
        .collect()
}

/// Returns the rate of the official client in transactions per second. All of its transactions must
/// be valid: a limit from only some of them would be too low.
async fn official_client(
    target: &Path,
    folder: &Path,
    calls: &[BatchCommand],
) -> Result<f64, BenchError> {
    let file = folder.join("calls.json");
    std::fs::write(&file, serde_json::to_vec(calls)?)?;
    let output = tokio::process::Command::new("node")
        .arg(SCRIPT)
        .args([target, &file])
        .arg(CONCURRENCY.to_string())
        .stderr(Stdio::inherit())
        .output()
        .await?;
    if !output.status.success() {
        return Err(BenchError::Ended { part: "the official client" });
    }
    let result: ClientResult = serde_json::from_slice(&output.stdout)?;
    let expected = u64::try_from(calls.len()).unwrap_or(u64::MAX);
    if result.valid != expected {
        let what = "valid transactions of the official client";
        return Err(BenchError::Wrong { what, expected, found: result.valid });
    }
    Ok(as_rate(result.valid) * 1e3 / result.elapsed_ms)
}
