//! The same workers in front of a real network, beside the official client.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use gx_model::{BatchCommand, Clock, Command, CommandId, CountryList};
use gx_outbox::NewCommand;
use rand::RngExt as _;
use serde::Deserialize;
use sqlx::{Connection as _, PgConnection};

use super::as_rate;
use crate::commands::Wanted;
use crate::error::BenchError;
use crate::load::CONCURRENCY;
use crate::people;
use crate::rows::{Check, Measurement, Measuring, Plan, Repetition, Row, Target};
use crate::settled::Settled;
use crate::store::{commands, databases};
use crate::worker::Workplace;

pub(crate) const THROUGHPUT: Row = Row {
    name: "network-throughput",
    about: "transfers enqueued before, carried out by the network of GX_FABRIC_PROFILE and projected",
    unit: "commands/s",
    target: Target::PartOfLimit(10.0),
    limit: "transactions/s of the official Node client there, with one command each; 128 under way",
    sizes: &[20_000],
    warm_up: 0,
    needs_network: true,
    checks: &[Check::Memory { process: "projector", mib: 150 }],
    measure: |plan| Box::pin(measure(plan)) as Measuring<'_>,
};

/// People among whom money moves: so many that several transactions of 500 transfers can be under
/// way and touch nothing in common.
const PEOPLE: u64 = 10_000;
/// Transactions of the official client for each repetition.
const NODE_TRANSACTIONS: u64 = 1_000;
/// No repetition is longer; what was done until then counts.
const LONGEST: Duration = Duration::from_secs(60);
const DATABASE: &str = "networked";
/// The official client's part.
const SCRIPT: &str = "tests/node/bench.js";

async fn measure(plan: &Plan<'_>) -> Result<Measurement, BenchError> {
    let target = plan.network.clone();
    let target = target.ok_or_else(|| BenchError::Keys("no network is named".to_owned()))?;
    plan.postgres.remove(DATABASE).await?;
    plan.postgres.migrated(DATABASE).await?;
    let mut conn = plan.postgres.connect(DATABASE).await?;
    // Enough that the official client's transactions touch nobody twice.
    let people = PEOPLE.min(plan.operations * 2);
    people::add(&mut conn, 0..people).await?;
    databases::vacuum_analyze(&mut conn).await?;
    let target_file = plan.scratch.path().join("network.json");
    std::fs::write(&target_file, serde_json::to_vec(&target)?)?;
    let place = Workplace { target, url: plan.postgres.url(DATABASE) };
    let projector = place.worker("projector", plan.scratch.path(), &[])?;
    let submitter = place.worker("submitter", plan.scratch.path(), &[])?;
    bring_people(&mut conn, people).await?;
    // What an earlier run of the same did lies on the chain for good: these are new.
    let mut next = u64::from(rand::rng().random::<u32>()) * people;
    let mut measurement = Measurement::default();
    for number in 1..=plan.repetitions {
        let transactions = NODE_TRANSACTIONS.min(plan.operations);
        // What a repetition that took too long left undone would slow the client down.
        finished(&mut conn).await?;
        let mut settled = Settled::now(&mut conn).await?;
        let calls = calls(next, transactions, people);
        let limit = official_client(&target_file, plan.scratch.path(), &calls).await?;
        // Its transactions are projected too, and are not to count as the workers' own.
        settled.wait(&mut conn, transactions, LONGEST).await?;
        let theirs = settled.count;
        let range = (next, next + plan.operations);
        next += plan.operations;
        Wanted::Transfers.enqueue_all(&mut conn, range, people).await?;
        let start = Instant::now();
        settled.wait(&mut conn, plan.operations, LONGEST).await?;
        let measured = as_rate(settled.count - theirs) / start.elapsed().as_secs_f64();
        eprintln!("  {number}: {measured:.0} of {limit:.0}");
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

/// Brings the system to life where it is not yet, and everybody with a grant.
async fn bring_people(conn: &mut PgConnection, people: u64) -> Result<(), BenchError> {
    let countries = CountryList::embedded().iter().cloned().collect();
    for command in [Command::BootstrapSystem {}, Command::InitializeCountryData { countries }] {
        let id = CommandId::derive(&["bench", command.kind().name()]);
        want(conn, id, &command).await?;
    }
    for number in 0..people {
        want(conn, people::create_id(number), &people::create(number)).await?;
        want(conn, people::grant_id(number), &people::grant(number)).await?;
    }
    finished(conn).await
}

async fn want(
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
    gx_outbox::enqueue(conn, new, Clock::system().now()).await?;
    Ok(())
}

/// Waits until every command has come to its end.
async fn finished(conn: &mut PgConnection) -> Result<(), BenchError> {
    const LOOK_EVERY: Duration = Duration::from_millis(200);
    const LOOKS: u32 = 3_000;
    for _ in 0..LOOKS {
        if commands::unfinished(conn).await? == 0 {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let seconds = (LOOK_EVERY * LOOKS).as_secs();
    Err(BenchError::Stuck { what: "the network", seconds })
}

/// What the script says at its end.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    elapsed_ms: f64,
    valid: u64,
}

/// What the official client is to do, each a transaction between a pair of its own.
fn calls(from: u64, transactions: u64, people: u64) -> Vec<BatchCommand> {
    (from..from + transactions)
        .map(|number| {
            let payer = number * 2 % people;
            let id = CommandId::derive(&["bench", "official client", &number.to_string()]);
            BatchCommand::new(id, &people::pay_a_little(payer, payer + 1))
        })
        .collect()
}

/// Transactions a second of the official client, which must bring all of them through: a limit
/// out of those that it happened to would be too low.
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
    let said: Said = serde_json::from_slice(&output.stdout)?;
    let expected = u64::try_from(calls.len()).unwrap_or(u64::MAX);
    if said.valid != expected {
        let what = "valid transactions of the official client";
        return Err(BenchError::Wrong { what, expected, found: said.valid });
    }
    Ok(as_rate(said.valid) * 1e3 / said.elapsed_ms)
}
