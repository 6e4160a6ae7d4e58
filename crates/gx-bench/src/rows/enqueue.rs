//! What it costs a service to want something of the ledger.

use std::time::Instant;

use gx_model::Clock;
use gx_outbox::NewCommand;
use sqlx::{Connection as _, PgConnection};

use super::quantile;
use crate::commands::Wanted;
use crate::error::BenchError;
use crate::people;
use crate::rows::{Measurement, Measuring, Plan, Repetition, Row, Target};
use crate::store::{commands, databases};

pub(crate) const ENQUEUE: Row = Row {
    name: "enqueue",
    about: "what a command adds to a service's transaction of one UPDATE, commit included; median",
    unit: "ms",
    target: Target::AtMost(0.3),
    limit: "what one more statement adds that does nothing; median",
    sizes: &[1_000],
    warm_up: 0,
    needs_network: false,
    checks: &[],
    measure: |plan| Box::pin(measure(plan)) as Measuring<'_>,
};

const DATABASE: &str = "service";
const PEOPLE: u64 = 1_000;

/// What a service's transaction does besides its own.
#[derive(Clone, Copy)]
enum Also {
    Nothing,
    AnEmptyStatement,
    ACommand,
}

async fn measure(plan: &Plan<'_>) -> Result<Measurement, BenchError> {
    plan.postgres.remove(DATABASE).await?;
    plan.postgres.migrated(DATABASE).await?;
    let mut conn = plan.postgres.connect(DATABASE).await?;
    people::add(&mut conn, 0..PEOPLE).await?;
    databases::vacuum_analyze(&mut conn).await?;
    let (mut measurement, mut next) = (Measurement::default(), 0);
    for number in 0..=plan.repetitions {
        let mut times_ms = [vec![], vec![], vec![]];
        for _ in 0..plan.operations {
            // Interleaved, so that whatever else happens hits all three.
            for (times, also) in
                times_ms.iter_mut().zip([Also::Nothing, Also::AnEmptyStatement, Also::ACommand])
            {
                times.push(transaction(&mut conn, next, also).await?);
            }
            next += 1;
        }
        if number == 0 {
            continue;
        }
        let [plain, empty, command] = times_ms.map(|mut times| quantile(&mut times, 0.5));
        let mut repetition =
            Repetition { measured: command - plain, limit: empty - plain, ..Default::default() };
        repetition.parts.insert("the transaction without it, ms".to_owned(), plain);
        eprintln!("  {number}: {:.3} ms of {:.3}", repetition.measured, repetition.limit);
        measurement.repetitions.push(repetition);
    }
    conn.close().await?;
    plan.postgres.remove(DATABASE).await?;
    Ok(measurement)
}

/// Milliseconds of one transaction.
async fn transaction(conn: &mut PgConnection, number: u64, also: Also) -> Result<f64, BenchError> {
    let (command_id, command) = Wanted::Transfers.command(number, PEOPLE);
    let profile_id = people::profile_id(number % PEOPLE);
    let start = Instant::now();
    let mut tx = conn.begin().await?;
    commands::touch_profile(&mut tx, &profile_id).await?;
    match also {
        Also::Nothing => {}
        Also::AnEmptyStatement => commands::do_nothing(&mut tx).await?,
        Also::ACommand => {
            let new = NewCommand {
                command_id,
                command: &command,
                profile_id: Some(&profile_id),
                requested_by: &profile_id,
                request_id: None,
            };
            gx_outbox::enqueue(&mut tx, new, Clock::system().now()).await?;
        }
    }
    tx.commit().await?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
