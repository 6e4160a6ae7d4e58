//! Migrations in steps: killed at any moment, they continue and have the same result.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::*;
use crate::instance::schema_state_of;
use crate::{MigrationSettings, SchemaState};

/// Longer than anything here takes on a busy machine.
const BOUND: Duration = Duration::from_secs(60);

/// One step of each kind. The first and the fourth can be done only once.
const STEPS: &str = r#"
-- How a large table gets a column with a rule and an index while everybody uses it.
-- step: a column
ALTER TABLE "UserProfile" ADD "shortName" text;
-- batches: fill it in
UPDATE "UserProfile" SET "shortName" = left("firstName", 2) WHERE "profileId" IN (
    SELECT "profileId" FROM "UserProfile" WHERE "shortName" IS NULL LIMIT 7);
-- index: "UserProfile_shortName_idx"
CREATE INDEX CONCURRENTLY IF NOT EXISTS "UserProfile_shortName_idx"
    ON "UserProfile" ("shortName");
-- step: a rule for new rows
ALTER TABLE "UserProfile" ADD CONSTRAINT "UserProfile_shortName_form"
    CHECK (length("shortName") <= 3) NOT VALID;
-- step: the rule for all rows
ALTER TABLE "UserProfile" VALIDATE CONSTRAINT "UserProfile_shortName_form";
"#;

/// Returns the released migrations and one in steps, with the snapshot that it leaves behind.
async fn with_steps() -> Vec<Migration> {
    let mut next = Migration {
        version: Migration::newest().version + 1,
        name: "0099_in_steps",
        sql: STEPS,
        schema: "",
        additive: true,
        in_steps: true,
    };
    let scratch = TestDatabase::create().await;
    let mut conn = scratch.connection().await;
    run_on(&mut conn, &[MIGRATIONS, &[next]].concat()).await.unwrap();
    next.schema = Catalogue::read(&mut conn).await.unwrap().to_string().leak();
    [MIGRATIONS, &[next]].concat()
}

async fn one<T>(conn: &mut PgConnection, sql: &'static str) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    sqlx::query_scalar(sql).fetch_one(conn).await.unwrap()
}

/// Checks that everything is as after an uninterrupted run.
async fn is_complete(conn: &mut PgConnection, all: &[Migration]) {
    let newest = all.last().unwrap();
    let found = Catalogue::read(conn).await.unwrap();
    assert_eq!(found.differences_from(newest.schema), Vec::<String>::new());
    let state = schema_state_of(conn, all).await.unwrap();
    assert_eq!(state, SchemaState::Current);
    let recorded = r#"SELECT name FROM "SchemaVersion" ORDER BY version DESC LIMIT 1"#;
    assert_eq!(one::<String>(conn, recorded).await, newest.name);
    let begun = r#"SELECT count(*) FROM gx_migration."Progress""#;
    assert_eq!(one::<i64>(conn, begun).await, 0);
    let unfilled = r#"SELECT count(*) FROM "UserProfile" WHERE "shortName" IS NULL"#;
    assert_eq!(one::<i64>(conn, unfilled).await, 0);
    assert!(run_on(conn, all).await.unwrap().applied.is_empty());
}

/// Polls a future this often. Returns `None` if it has not ended.
async fn polled<F: Future>(future: F, polls: u32) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(move |context| {
        let Some(rest) = left.checked_sub(1) else { return Poll::Ready(None) };
        left = rest;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// DB-10: a fresh, an older and a partly migrated database have the same result wherever a run was
/// killed, and no step is done twice.
#[tokio::test]
async fn db_10_a_run_killed_anywhere_goes_on_and_ends_the_same() {
    let all = with_steps().await;
    let fresh = TestDatabase::empty().await;
    let mut conn = fresh.connection().await;
    assert_eq!(run_on(&mut conn, &all).await.unwrap().applied.len(), all.len());
    is_complete(&mut conn, &all).await;

    let mut deaths = 0;
    for first in [3, 40] {
        let older = TestDatabase::create().await;
        raw_sql(FILLED).execute(&mut older.connection().await).await.unwrap();
        let mut waits = first;
        let until_done = async {
            loop {
                let mut conn = older.connection().await;
                // The connection ends with the run, as with a process.
                match polled(run_on(&mut conn, &all), waits).await {
                    Some(done) => return drop(done.unwrap()),
                    None => deaths += 1,
                }
                waits += 1;
            }
        };
        // The last killed run may have reached the commit.
        tokio::time::timeout(BOUND, until_done).await.unwrap();
        is_complete(&mut older.connection().await, &all).await;
    }
    // The number of waits of a run depends on how much each of the server's answers contains.
    assert!(deaths >= 5, "{deaths} deaths");
}

/// DB-10: a run that is killed while it creates an index leaves an invalid index. Binaries of the
/// previous version continue, unless something else was changed, and the next run replaces the
/// index.
#[tokio::test]
async fn db_10_an_index_left_unfinished_is_made_again() {
    let all = with_steps().await;
    let database = TestDatabase::create().await;
    let mut looking = database.connection().await;
    raw_sql(FILLED).execute(&mut looking).await.unwrap();
    // Its snapshot of the database is older than the index, which therefore stays incomplete.
    let mut old = database.connection().await;
    let sql = r#"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM "Country""#;
    raw_sql(sql).execute(&mut old).await.unwrap();
    let mut conn = database.connection().await;
    let pid = crate::lock_waits::backend_pid(&mut conn).await.unwrap();
    let migrations = all.clone();
    let killed = tokio::spawn(async move { run_on(&mut conn, &migrations).await });
    let waits = async {
        let waiting = r#"SELECT EXISTS (SELECT FROM pg_index x WHERE NOT x.indisvalid
            AND x.indrelid = '"UserProfile"'::regclass)"#;
        while !one::<bool>(&mut looking, waiting).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, waits).await.expect("the index waits for the old view");
    sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&mut looking).await.unwrap();
    let error = killed.await.unwrap().unwrap_err();
    let named = matches!(&error, MigrateError::FailedAtStep { step, .. }
        if step == "UserProfile_shortName_idx");
    assert!(named, "{error}");

    let left = r#"SELECT count(*) FROM pg_index x WHERE NOT x.indisvalid
                  AND x.indrelid = '"UserProfile"'::regclass"#;
    assert_eq!(one::<i64>(&mut looking, left).await, 1);
    let before = schema_state_of(&mut looking, MIGRATIONS).await.unwrap();
    assert_eq!(before, SchemaState::Current);
    let after = schema_state_of(&mut looking, &all).await.unwrap();
    assert_eq!(after, SchemaState::Pending(vec!["0099_in_steps".to_owned()]));
    raw_sql(r#"ALTER TABLE "Wallet" ADD colour text"#).execute(&mut looking).await.unwrap();
    let altered = schema_state_of(&mut looking, MIGRATIONS).await.unwrap();
    assert!(matches!(altered, SchemaState::Different(_)), "{altered:?}");
    let error = run_on(&mut database.connection().await, &all).await.unwrap_err();
    assert!(matches!(error, MigrateError::Drifted { .. }), "{error}");
    raw_sql(r#"ALTER TABLE "Wallet" DROP colour"#).execute(&mut looking).await.unwrap();

    raw_sql("COMMIT").execute(&mut old).await.unwrap();
    let report = run_on(&mut database.connection().await, &all).await.unwrap();
    assert_eq!(report.applied, ["0099_in_steps"]);
    is_complete(&mut looking, &all).await;
}

/// DB-10: two runners at once do not wait for each other for ever, although every open statement
/// delays the index that one of them creates.
#[tokio::test(flavor = "multi_thread")]
async fn db_10_a_second_runner_does_not_stand_in_the_way_of_an_index() {
    let all = with_steps().await;
    let database = TestDatabase::create().await;
    let mut runners = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (mut conn, all) = (database.connection().await, all.clone());
        runners.spawn(async move { run_on(&mut conn, &all).await.unwrap().applied });
    }
    let applied = tokio::time::timeout(BOUND, runners.join_all()).await.unwrap().concat();
    assert_eq!(applied, ["0099_in_steps"]);
    is_complete(&mut database.connection().await, &all).await;
}

/// DB-10: the result of the steps is compared with the expected one, and a step that waits for a
/// lock lets others pass like a whole migration.
#[tokio::test]
async fn db_10_steps_are_compared_at_their_end_and_wait_as_briefly() {
    let mut all = with_steps().await;
    let newest = all.last_mut().unwrap();
    newest.schema = newest.schema.replace("shortName\": text", "shortName\": uuid").leak();
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    let error = run_on(&mut conn, &all).await.unwrap_err();
    let MigrateError::Unexpected { differences, .. } = &error else { panic!("{error}") };
    let difference = r#"column "UserProfile"."shortName" is `text` instead of `uuid`"#;
    assert_eq!(*differences, [difference]);
    assert_eq!(usize::try_from(count(&mut conn, "SchemaVersion").await), Ok(MIGRATIONS.len()));

    let all = with_steps().await;
    let database = TestDatabase::create().await;
    let mut reader = database.connection().await;
    let sql = r#"BEGIN; SELECT FROM "UserProfile""#;
    raw_sql(sql).execute(&mut reader).await.unwrap();
    let settings = MigrationSettings {
        database_migration_lock_timeout_ms: 50,
        database_migration_patience_ms: 200,
    };
    let mut limits = LockWaitLimits::new(settings, Some(database.connection().await));
    let mut conn = database.connection().await;
    let countries = CountryList::embedded();
    let error = run(&mut conn, &all, countries, &Clock::system(), &mut limits).await.unwrap_err();
    let MigrateError::Blocked { name, blockers, .. } = &error else { panic!("{error}") };
    assert_eq!((&**name, blockers.len()), ("0099_in_steps, step a column", 1), "{error}");
}

/// DB-10: a batch waits for rows of another session as briefly as other steps wait for their locks.
/// The changes of earlier batches stay, and the next run continues from there.
#[tokio::test]
async fn db_10_a_batch_waits_as_briefly_and_keeps_what_was_done() {
    let next = Migration {
        version: Migration::newest().version + 1,
        name: "0099_batches",
        sql: r#"
-- batches: another name
UPDATE "UserProfile" SET "lastName" = 'Else' WHERE "profileId" IN (
    SELECT "profileId" FROM "UserProfile" WHERE "lastName" <> 'Else' ORDER BY 1 LIMIT 7);
"#,
        schema: "",
        additive: true,
        in_steps: true,
    };
    let all = [MIGRATIONS, &[next]].concat();
    let database = TestDatabase::create().await;
    let (mut conn, mut holder) = (database.connection().await, database.connection().await);
    raw_sql(FILLED).execute(&mut conn).await.unwrap();
    // The last row of the last batch.
    let sql = r#"BEGIN; SELECT FROM "UserProfile" WHERE "profileId" = 'p9' FOR UPDATE"#;
    raw_sql(sql).execute(&mut holder).await.unwrap();
    let settings = MigrationSettings {
        database_migration_lock_timeout_ms: 50,
        database_migration_patience_ms: 200,
    };
    let mut limits = LockWaitLimits::new(settings, Some(database.connection().await));
    let (countries, clock) = (CountryList::embedded(), Clock::system());
    let blocked = run(&mut conn, &all, countries, &clock, &mut limits);
    let blocked = tokio::time::timeout(BOUND, blocked).await.expect("it gives up").unwrap_err();
    let MigrateError::Blocked { name, .. } = &blocked else { panic!("{blocked}") };
    assert_eq!(&**name, "0099_batches, step another name");
    let done = r#"SELECT count(*) FROM "UserProfile" WHERE "lastName" = 'Else'"#;
    assert_eq!(one::<i64>(&mut conn, done).await, 14);

    raw_sql("COMMIT").execute(&mut holder).await.unwrap();
    let report = run(&mut conn, &all, countries, &clock, &mut limits).await.unwrap();
    assert_eq!(report.applied, ["0099_batches"]);
    assert_eq!(one::<i64>(&mut conn, done).await, 20);
}
