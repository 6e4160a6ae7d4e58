//! Migrations while other sessions hold their locks.

use std::time::Duration;

use super::*;
use crate::MigrationSettings;

/// Longer than anything here takes on a busy machine.
const BOUND: Duration = Duration::from_secs(60);

/// Returns a version that needs the strongest lock of a table.
fn with_a_column() -> Vec<Migration> {
    let next = Migration {
        version: Migration::newest().version + 1,
        name: "0099_column",
        sql: r#"UPDATE "Country" SET name = name WHERE "countryCode" = 'MY';
                ALTER TABLE "UserProfile" ADD "shortName" text"#,
        schema: "",
        additive: true,
        in_steps: false,
    };
    [MIGRATIONS, &[next]].concat()
}

/// Returns limits with which a run lets others pass soon, and sees them.
async fn lock_wait_limits(database: &TestDatabase, max_wait_ms: u64) -> LockWaitLimits {
    let settings = MigrationSettings {
        database_migration_lock_timeout_ms: 100,
        database_migration_patience_ms: max_wait_ms,
    };
    LockWaitLimits::new(settings, Some(database.connection().await))
}

/// Returns a session that reads and does not end.
async fn reader(database: &TestDatabase) -> PgConnection {
    let mut reader = database.connection().await;
    let sql = r#"SET application_name = 'a long report'; BEGIN; SELECT FROM "UserProfile""#;
    raw_sql(sql).execute(&mut reader).await.unwrap();
    reader
}

/// DB-10: while a reader does not end, a migration lets others pass: point reads are served
/// although the migration has no lock; when the reader has ended, the migration is applied.
#[tokio::test]
async fn db_10_a_migration_that_waits_for_a_reader_keeps_no_other_reader_waiting() {
    let database = TestDatabase::create().await;
    let mut reader = reader(&database).await;
    let (mut conn, mut limits) =
        (database.connection().await, lock_wait_limits(&database, 3_600_000).await);
    let migrating = tokio::spawn(async move {
        let (all, countries) = (with_a_column(), CountryList::embedded());
        let report = run(&mut conn, &all, countries, &Clock::system(), &mut limits).await;
        (report.unwrap().applied, limits.passed)
    });

    let mut looking = database.connection().await;
    let waits = std::cell::RefCell::new(BTreeSet::new());
    let look = async {
        while waits.borrow().len() < 3 {
            // Each attempt begins to wait at its own time. The databases of other tests are copies
            // of one template, so their tables have the same oids.
            let seen: Option<String> = sqlx::query_scalar(
                r#"SELECT waitstart::text FROM pg_locks
                   WHERE relation = '"UserProfile"'::regclass AND NOT granted
                     AND database = (SELECT oid FROM pg_database
                                     WHERE datname = current_database())
                     AND mode = 'AccessExclusiveLock' AND waitstart IS NOT NULL"#,
            )
            .fetch_optional(&mut looking)
            .await
            .unwrap();
            waits.borrow_mut().extend(seen);
        }
    };
    let point_reads = async {
        let mut other = database.connection().await;
        let mut served = 0;
        while waits.borrow().len() < 3 || served < 10 {
            let read = r#"SELECT FROM "UserProfile" WHERE "profileId" = 'p1'"#;
            raw_sql(read).execute(&mut other).await.unwrap();
            served += 1;
        }
    };
    let both = async { tokio::join!(look, point_reads) };
    tokio::time::timeout(BOUND, both).await.expect("point reads are served");
    assert!(!migrating.is_finished(), "the reader is still there");

    raw_sql("COMMIT").execute(&mut reader).await.unwrap();
    let (applied, passed) = tokio::time::timeout(BOUND, migrating).await.unwrap().unwrap();
    assert_eq!(applied, ["0099_column"]);
    assert!(passed >= 2, "it let the others pass {passed} times");
}

/// DB-10: a migration that times out names the sessions that hold its locks, and changes nothing.
#[tokio::test]
async fn db_10_a_migration_that_gives_up_names_who_holds_its_locks() {
    let database = TestDatabase::create().await;
    let mut reader = reader(&database).await;
    let pid = crate::lock_waits::backend_pid(&mut reader).await.unwrap();
    let mut conn = database.connection().await;
    let before = Catalogue::read(&mut conn).await.unwrap();
    let mut limits = lock_wait_limits(&database, 300).await;
    let (all, countries) = (with_a_column(), CountryList::embedded());
    let error = run(&mut conn, &all, countries, &Clock::system(), &mut limits).await.unwrap_err();

    let MigrateError::Blocked { name, blockers, .. } = &error else { panic!("{error}") };
    assert_eq!((&**name, blockers.len()), ("0099_column", 1), "{error}");
    assert_eq!((blockers[0].pid, &*blockers[0].application), (pid, "a long report"));
    let said = error.to_string();
    let whole = format!("session {pid} (a long report, from 127.0.0.1, idle in transaction for");
    assert!(said.contains(&whole), "{said}");
    assert_eq!(Catalogue::read(&mut conn).await.unwrap(), before);
    assert_eq!(usize::try_from(count(&mut conn, "SchemaVersion").await), Ok(MIGRATIONS.len()));
}

/// DB-10: a runner that times out waiting for another one names it.
#[tokio::test]
async fn db_10_a_runner_that_waits_for_another_names_it() {
    let database = TestDatabase::create().await;
    let mut other = database.connection().await;
    assert!(store::try_lock_migrations(&mut other).await.unwrap());
    let pid = crate::lock_waits::backend_pid(&mut other).await.unwrap();
    let mut limits = lock_wait_limits(&database, 100).await;
    let mut conn = database.connection().await;
    let (all, countries) = (with_a_column(), CountryList::embedded());
    let error = run(&mut conn, &all, countries, &Clock::system(), &mut limits).await.unwrap_err();
    let MigrateError::Busy { holder: Some(holder), .. } = &error else { panic!("{error}") };
    assert_eq!(holder.pid, pid, "{error}");
}
