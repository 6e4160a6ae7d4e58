//! Measures a projector that reads a whole chain, as at the first start or after a long outage. The
//! rows are in `ROWS`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sqlx::{Connection as _, PgConnection};

use crate::environment::{Environment, applied};
use crate::error::BenchError;
use crate::people::Recipe;
use crate::progress::{ProgressCounter, show_line};
use crate::row::{Check, Measurement, Measuring, Plan, Repetition, Row, RowTarget};
use crate::row::{as_rate, cpu_us};
use crate::store::{databases, rows};

/// Eight of ten events are transfers, as on a chain in use.
pub(crate) const EVERYTHING: Row = Row {
    name: "projector-catch-up",
    about: "events of people and transfers applied from block 0",
    unit: "events/s",
    target: RowTarget::PartOfLimit(0.5),
    limit: "COPY of the same final rows into the same tables, in binary",
    sizes: &[10_000, 100_000, 1_000_000],
    warm_up: 0,
    needs_network: false,
    checks: &[Check::Memory { process: "projector", mib: 150 }, Check::Slope { within: 0.2 }],
    measure: |plan| {
        Box::pin(measure(plan, &Kind { transfers_each: 8, accounts: false })) as Measuring<'_>
    },
};

/// A chain of people without transfers. COPY cannot update existing accounts, so the limit has a
/// second part.
pub(crate) const ACCOUNTS: Row = Row {
    name: "projector-accounts",
    about: "events of people applied from block 0, each with its row of UserProfile updated",
    unit: "events/s",
    target: RowTarget::PartOfLimit(0.5),
    limit: "COPY of the same final rows, and one UPDATE that does the same to UserProfile",
    sizes: &[100_000],
    warm_up: 0,
    needs_network: false,
    checks: &[Check::Memory { process: "projector", mib: 150 }],
    measure: |plan| {
        Box::pin(measure(plan, &Kind { transfers_each: 0, accounts: true })) as Measuring<'_>
    },
};

/// The difference between the two rows.
struct Kind {
    transfers_each: u64,
    /// Whether the limit updates accounts, too.
    accounts: bool,
}

/// The database that the projector fills, and the one that COPY fills.
const PROJECTED: &str = "projected";
const COPIED: &str = "copied";
/// The table of the values that the projector wrote into accounts.
const ACCOUNT_VALUES: &str = "projected_profiles";

async fn measure(plan: &Plan<'_>, kind: &Kind) -> Result<Measurement, BenchError> {
    let recipe = Recipe::of_events(plan.operations, kind.transfers_each);
    let env = Environment::set_kept(plan, recipe).await?;
    let tip = env.tip().await?;
    let mut measurement = Measurement::default();
    let (mut files, mut written) = (vec![], 0);
    for number in 1..=plan.repetitions {
        let (caught, mut conn) = catch_up(&env, tip).await?;
        if files.is_empty() {
            // COPY writes the rows that the projector has written.
            check_events(&mut conn, recipe.events()).await?;
            written = rows::count(&mut conn).await?;
            files = dump(&mut conn, plan.scratch.path()).await?;
        }
        conn.close().await?;
        env.postgres.remove(PROJECTED).await?;
        let mut repetition = limit(&env, &files, kind).await?;
        env.postgres.remove(COPIED).await?;
        repetition.measured = as_rate(recipe.events()) / caught.seconds;
        repetition.cpu_us = caught.cpu_us;
        show_line(format_args!(
            "  {number}: {:.0} of {:.0}",
            repetition.measured, repetition.limit
        ));
        measurement.repetitions.push(repetition);
        let peak = measurement.peak_kib.entry("projector".to_owned()).or_default();
        *peak = caught.peak_kib.max(*peak);
    }
    let settings = [
        ("events", recipe.events()),
        ("blocks", tip + 1),
        ("people", recipe.people),
        ("rows written", written),
    ];
    let named = |(name, value): (&str, u64)| (name.to_owned(), value.to_string());
    measurement.settings = settings.into_iter().map(named).collect();
    env.clear(&[]).await?;
    Ok(measurement)
}

/// Checks that all events were applied and none is a dead letter. Otherwise the row has no result.
async fn check_events(conn: &mut PgConnection, expected: u64) -> Result<(), BenchError> {
    let (applied, held) = rows::events(conn).await?;
    let (applied, held) = (applied.unsigned_abs(), held.unsigned_abs());
    if (applied, held) == (expected, 0) {
        return Ok(());
    }
    Err(BenchError::Wrong { what: "events applied", expected, found: applied })
}

/// The result of one run of the projector over the whole chain.
struct CatchUp {
    seconds: f64,
    cpu_us: BTreeMap<String, f64>,
    peak_kib: u64,
}

/// Measures from the first applied block on, so connecting does not count.
async fn catch_up(env: &Environment<'_>, tip: u64) -> Result<(CatchUp, PgConnection), BenchError> {
    let mut conn = env.database(PROJECTED).await?;
    let events = env.recipe.events();
    let used = || -> Result<_, BenchError> { Ok([env.postgres.usage()?, env.devnet.usage()?]) };
    let projector = env.worker("projector", PROJECTED)?;
    let start = applied(&mut conn, 0, None).await?;
    let (before, own) = (used()?, projector.usage()?);
    let progress = ProgressCounter::new("blocks applied", tip);
    let end = applied(&mut conn, tip, Some(progress)).await?;
    let (after, own_after) = (used()?, projector.usage()?);
    let mut used = BTreeMap::new();
    used.insert("projector".to_owned(), cpu_us(own, own_after, events));
    for (at, name) in ["PostgreSQL", "devnet"].into_iter().enumerate() {
        used.insert(name.to_owned(), cpu_us(before[at], after[at], events));
    }
    projector.end().await?;
    let seconds = (end - start).as_secs_f64();
    Ok((CatchUp { seconds, cpu_us: used, peak_kib: own_after.peak_kib }, conn))
}

/// Writes the final rows of each table to a file.
async fn dump(
    conn: &mut PgConnection,
    folder: &Path,
) -> Result<Vec<(&'static str, PathBuf)>, BenchError> {
    rows::stage_profiles(conn).await?;
    let mut files = Vec::new();
    for table in rows::TABLES.into_iter().chain([ACCOUNT_VALUES]) {
        let file = folder.join(format!("{table}.copy"));
        rows::copy_out(conn, table, &file).await?;
        files.push((table, file));
    }
    Ok(files)
}

/// Writes the same rows by COPY and, if accounts count, updates them by one statement.
async fn limit(
    env: &Environment<'_>,
    files: &[(&'static str, PathBuf)],
    kind: &Kind,
) -> Result<Repetition, BenchError> {
    let mut conn = env.database(COPIED).await?;
    let mut repetition = Repetition::default();
    let (mut seconds, mut copied) = (0.0, 0);
    for (table, file) in files.iter().filter(|(table, _)| *table != ACCOUNT_VALUES) {
        let start = Instant::now();
        copied += rows::copy_in(&mut conn, table, file).await?;
        seconds += start.elapsed().as_secs_f64();
    }
    repetition.limit_parts.insert("rows copied".to_owned(), as_rate(copied) / seconds);
    if kind.accounts
        && let Some((table, file)) = files.iter().find(|(table, _)| *table == ACCOUNT_VALUES)
    {
        rows::make_staged_profiles(&mut conn).await?;
        rows::copy_in(&mut conn, table, file).await?;
        databases::vacuum_analyze(&mut conn).await?;
        let start = Instant::now();
        let updated = rows::update_profiles(&mut conn).await?;
        let took = start.elapsed().as_secs_f64();
        repetition.limit_parts.insert("accounts updated".to_owned(), as_rate(updated) / took);
        seconds += took;
    }
    repetition.limit = as_rate(env.recipe.events()) / seconds;
    conn.close().await?;
    Ok(repetition)
}
