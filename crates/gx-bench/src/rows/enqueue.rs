//! Measures the cost of enqueuing a command in a service's transaction. The row is in `ROWS`.

use std::time::Instant;

use gx_db::ProfileId;
use gx_model::Clock;
use gx_outbox::enqueue::NewCommand;
use sqlx::{Connection as _, PgConnection};

use crate::commands::CommandPattern;
use crate::error::BenchError;
use crate::people;
use crate::progress::show_line;
use crate::row::quantile;
use crate::row::{Measurement, Measuring, Plan, Repetition, Row, RowTarget};
use crate::store::{commands, databases};

pub(crate) const ENQUEUE: Row = Row {
    name: "enqueue",
    about: "what a command adds to a service's transaction of one UPDATE, commit included; median",
    unit: "ms",
    target: RowTarget::AtMost(0.3),
    limit: "what one more statement adds that does nothing; median",
    sizes: &[1_000],
    warm_up: 0,
    needs_network: false,
    checks: &[],
    measure: |plan| Box::pin(measure(plan)) as Measuring<'_>,
};

const DATABASE: &str = "service";
const PEOPLE: u64 = 1_000;

/// An additional statement in a service's transaction.
#[derive(Clone, Copy)]
enum Extra {
    Nothing,
    Statement,
    Command,
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
            // Interleaved, so that other load affects all three.
            for (times, extra) in
                times_ms.iter_mut().zip([Extra::Nothing, Extra::Statement, Extra::Command])
            {
                times.push(transaction(&mut conn, next, extra).await?);
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
        show_line(format_args!(
            "  {number}: {:.3} ms of {:.3}",
            repetition.measured, repetition.limit
        ));
        measurement.repetitions.push(repetition);
    }
    conn.close().await?;
    plan.postgres.remove(DATABASE).await?;
    Ok(measurement)
}

/// Returns the duration of one transaction in milliseconds.
async fn transaction(conn: &mut PgConnection, next: u64, extra: Extra) -> Result<f64, BenchError> {
    let (command_id, command) = CommandPattern::Transfers.command(next, PEOPLE);
    let profile_id = ProfileId::from(people::profile_id(next % PEOPLE));
    let start = Instant::now();
    let mut tx = conn.begin().await?;
    commands::touch_profile(&mut tx, &profile_id).await?;
    match extra {
        Extra::Nothing => {}
        Extra::Statement => commands::do_nothing(&mut tx).await?,
        Extra::Command => {
            let new = NewCommand {
                command_id,
                command: &command,
                profile_id: Some(&profile_id),
                requested_by: profile_id.as_str(),
                request_id: None,
            };
            gx_outbox::enqueue::enqueue(&mut tx, new, Clock::system().now()).await?;
        }
    }
    tx.commit().await?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
