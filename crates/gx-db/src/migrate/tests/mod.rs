mod in_steps;
mod lock_waits;
mod samples;

use std::collections::BTreeSet;
use std::path::Path;

use gx_model::{Clock, CountryList};
use sqlx::{PgConnection, raw_sql};

use super::lock_wait_limits::LockWaitLimits;
use super::runner::run;
use super::*;
use crate::Catalogue;
use crate::testing::TestDatabase;

/// A row in each table that the next migration of a test may affect.
const FILLED: &str = r#"
    INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email, "passwordHash",
        "dateOfBirth", gender, "nationalityCountryCode", "createdAt", "updatedAt")
    SELECT 'p' || n, 'Ann', 'Other', 'p' || n || '@example.com', 'x', '1990-01-01', 'female',
           'MY', now(), now()
    FROM generate_series(1, 20) n;
    INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole", "aggregateKey", lane,
        touches, "requestedBy", "nextAttemptAt", "createdAt", "updatedAt")
    SELECT 'c' || n, 'CREATE_USER', '{}', 'ADMIN', 'user', 0, '{}', 'test', now(), now(), now()
    FROM generate_series(1, 20) n;
"#;

async fn run_on(
    conn: &mut PgConnection,
    migrations: &[Migration],
) -> Result<MigrationReport, MigrateError> {
    let mut limits = LockWaitLimits::default();
    run(conn, migrations, CountryList::embedded(), &Clock::system(), &mut limits).await
}

async fn count(conn: &mut PgConnection, table: &'static str) -> i64 {
    let sql = format!(r#"SELECT count(*) FROM "{table}""#);
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(conn).await.unwrap()
}

/// Returns the released migrations and one more that changes a lot and then runs `end`.
fn with_a_next(end: &str) -> Vec<Migration> {
    let sql = format!(
        r#"CREATE TYPE mood AS ENUM ('good', 'bad');
           ALTER TABLE "UserProfile" ADD mood mood NOT NULL DEFAULT 'good';
           UPDATE "OutboxCommand" SET "lastError" = 'touched';
           DROP INDEX "UserSession_profileId_idx";
           {end};"#
    );
    let next = Migration {
        version: Migration::newest().version + 1,
        name: "0099_next",
        sql: sql.leak(),
        schema: "",
        additive: false,
        in_steps: false,
    };
    [MIGRATIONS, &[next]].concat()
}

/// Returns the migrations after the first.
fn names_after_the_first() -> Vec<&'static str> {
    MIGRATIONS[1..].iter().map(|migration| migration.name).collect()
}

#[test]
fn every_file_is_embedded_under_its_number() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let known: BTreeSet<String> =
        MIGRATIONS.iter().map(|migration| format!("{}.sql", migration.name)).collect();
    assert_eq!(files, known);
    for (migration, version) in MIGRATIONS.iter().zip(1..) {
        assert_eq!(migration.version, version);
        assert!(migration.name.starts_with(&format!("{version:04}_")), "{}", migration.name);
        let steps = super::steps::parse(migration.sql);
        assert_eq!(steps.is_ok(), migration.in_steps, "{}: {steps:?}", migration.name);
    }
}

/// DB-02: a migration that fails midway on filled tables leaves the catalogue and every row
/// unchanged; after a correction, the same run succeeds.
#[tokio::test]
async fn a_migration_that_fails_midway_leaves_no_trace_and_can_be_run_again() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    raw_sql(FILLED).execute(&mut conn).await.unwrap();
    let before = Catalogue::read(&mut conn).await.unwrap();

    let error = run_on(&mut conn, &with_a_next("SELECT 1 / 0")).await.unwrap_err();
    assert!(matches!(&error, MigrateError::Failed { name, .. } if name == "0099_next"));
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("division by zero"), "{cause}");
    assert_eq!(Catalogue::read(&mut conn).await.unwrap(), before);
    assert_eq!(usize::try_from(count(&mut conn, "SchemaVersion").await), Ok(MIGRATIONS.len()));
    let touched: i64 =
        sqlx::query_scalar(r#"SELECT count(*) FROM "OutboxCommand" WHERE "lastError" IS NOT NULL"#)
            .fetch_one(&mut conn)
            .await
            .unwrap();
    assert_eq!(touched, 0);
    assert!(migrate(&mut conn, &Clock::system()).await.unwrap().applied.is_empty());

    let report = run_on(&mut conn, &with_a_next("SELECT 1")).await.unwrap();
    assert_eq!(report.applied, ["0099_next"]);
    assert_eq!(count(&mut conn, "UserProfile").await, 20);
}

/// DB-02: runners that start together apply each migration once.
#[tokio::test(flavor = "multi_thread")]
async fn several_runners_at_once_apply_everything_once() {
    let database = TestDatabase::empty().await;
    let mut runners = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let mut conn = database.connection().await;
        runners.spawn(async move { migrate(&mut conn, &Clock::system()).await.unwrap().applied });
    }
    let applied: Vec<String> = runners.join_all().await.concat();
    let names: Vec<&str> = MIGRATIONS.iter().map(|migration| migration.name).collect();
    assert_eq!(applied, names);
    let mut conn = database.connection().await;
    assert_eq!(pending(&mut conn).await.unwrap(), Vec::<String>::new());
}

/// DB-02: a schema with objects and without a record of migrations is rejected, its objects are
/// listed, and nothing is added to it; a single type is enough.
#[tokio::test]
async fn a_schema_that_no_migration_made_is_refused_with_its_objects() {
    let database = TestDatabase::empty().await;
    let mut conn = database.connection().await;
    let cases = [
        (r#"CREATE TYPE "AccountStatus" AS ENUM ('ACTIVE')"#, vec![r#"type "AccountStatus""#]),
        (
            r#"CREATE TABLE "UserProfile" (id serial)"#,
            vec![
                r#"sequence "UserProfile_id_seq""#,
                r#"table "UserProfile""#,
                r#"type "AccountStatus""#,
            ],
        ),
    ];
    for (sql, expected) in cases {
        raw_sql(sql).execute(&mut conn).await.unwrap();
        let before = Catalogue::read(&mut conn).await.unwrap();
        let error = migrate(&mut conn, &Clock::system()).await.unwrap_err();
        let MigrateError::Untracked { objects } = &error else { panic!("{error}") };
        assert_eq!(*objects, expected);
        assert_eq!(Catalogue::read(&mut conn).await.unwrap(), before);
    }
}

/// DB-02: a fresh, an older and a complete database all have the same result.
#[tokio::test]
async fn a_database_that_stopped_on_the_way_is_completed() {
    let database = TestDatabase::empty().await;
    let mut conn = database.connection().await;
    assert_eq!(migrate_to(&mut conn, 1, &Clock::system()).await.unwrap().applied, ["0001_initial"]);
    raw_sql(FILLED).execute(&mut conn).await.unwrap();
    assert_eq!(pending(&mut conn).await.unwrap(), names_after_the_first());
    let report = migrate(&mut conn, &Clock::system()).await.unwrap();
    assert_eq!(report.applied, names_after_the_first());
    assert_eq!(report.differences, Vec::<String>::new());
    let again = migrate(&mut conn, &Clock::system()).await.unwrap();
    assert_eq!(again, MigrationReport::default());
}

/// DATABASE_URL of existing deployments may contain `?schema=`: the result is the same in every
/// schema.
#[tokio::test]
async fn another_schema_than_public_is_migrated_and_used_alike() {
    let database = TestDatabase::empty().await;
    let url = format!("{}?schema=other", database.url());
    let settings = crate::DatabaseSettings::from_url(url.into());
    let mut conn = crate::connect_for_migration(&settings).await.unwrap();
    let error = migrate(&mut conn, &Clock::system()).await.unwrap_err();
    assert!(matches!(error, MigrateError::NoSchema), "{error}");
    assert_eq!(pending(&mut conn).await.unwrap().len(), MIGRATIONS.len());

    raw_sql("CREATE SCHEMA other").execute(&mut conn).await.unwrap();
    let report = migrate(&mut conn, &Clock::system()).await.unwrap();
    assert_eq!(report.differences, Vec::<String>::new());
    let used = crate::connect(&settings).await.unwrap();
    assert!(used.health().is_ok(), "{}", used.health());
    let public = crate::connect(&database.settings()).await.unwrap();
    assert!(matches!(public.health(), crate::Health::Pending(_)), "{}", public.health());
}

#[tokio::test]
async fn an_altered_schema_is_not_migrated_further() {
    let database = TestDatabase::empty().await;
    let mut conn = database.connection().await;
    migrate_to(&mut conn, 1, &Clock::system()).await.unwrap();
    raw_sql(r#"ALTER TABLE "Wallet" ADD colour text"#).execute(&mut conn).await.unwrap();
    let error = migrate(&mut conn, &Clock::system()).await.unwrap_err();
    assert!(error.to_string().contains(r#"column "Wallet".colour is not known"#), "{error}");
    assert_eq!(pending(&mut conn).await.unwrap(), names_after_the_first());
}

#[tokio::test]
async fn a_migration_applied_with_another_text_is_refused() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    let mut edited = MIGRATIONS.to_vec();
    edited[0].sql = "SELECT 1";
    let error = run_on(&mut conn, &edited).await.unwrap_err();
    assert!(matches!(&error, MigrateError::Changed(name) if name == "0001_initial"), "{error}");
}

#[tokio::test]
async fn countries_follow_the_list_and_an_older_release_leaves_a_newer_ones_alone() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    let shares = r#"UPDATE "Country" SET "sharePpb" = 1, name = 'X' WHERE "countryCode" = 'MY'"#;
    raw_sql(shares).execute(&mut conn).await.unwrap();
    migrate_to(&mut conn, 1, &Clock::system()).await.unwrap();
    assert_ne!(crate::country_differences(&mut conn, None).await.unwrap(), Vec::<String>::new());
    migrate(&mut conn, &Clock::system()).await.unwrap();
    assert_eq!(crate::country_differences(&mut conn, None).await.unwrap(), Vec::<String>::new());
}

/// FAB-08: a copy of an older database with bad rows is migrated: each bad value is in quarantine
/// and listed, the good one stays, and the constraint is validated.
#[tokio::test]
async fn fab_08_bad_biometric_hashes_of_an_imported_database_are_quarantined_and_listed() {
    const BCRYPT: &str = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
    let database = TestDatabase::empty().await;
    let mut conn = database.connection().await;
    migrate_to(&mut conn, 1, &Clock::system()).await.unwrap();
    raw_sql(FILLED).execute(&mut conn).await.unwrap();
    let (good, upper) = ("0123456789abcdef".repeat(4), "0123456789ABCDEF".repeat(4));
    let set = [("p1", &*good), ("p2", BCRYPT), ("p3", &*upper), ("p4", "")];
    for (profile, hash) in set {
        sqlx::query(r#"UPDATE "UserProfile" SET "biometricHash" = $2 WHERE "profileId" = $1"#)
            .bind(profile)
            .bind(hash)
            .execute(&mut conn)
            .await
            .unwrap();
    }

    let report = migrate(&mut conn, &Clock::system()).await.unwrap();
    let listed: Vec<(&str, &str)> =
        report.quarantined.iter().map(|q| (&*q.row, &*q.column)).collect();
    assert_eq!(listed, ["p2", "p3", "p4"].map(|row| (row, "biometricHash")));
    let kept: Vec<(String, String)> = sqlx::query_as(
        r#"SELECT "rowKey", value FROM "QuarantinedRow" WHERE "tableName" = 'UserProfile'
           ORDER BY "rowKey""#,
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    assert_eq!(
        kept,
        [("p2", BCRYPT), ("p3", &upper), ("p4", "")].map(|(k, v)| (k.into(), v.into()))
    );
    let left: Vec<(String, String)> = sqlx::query_as(
        r#"SELECT "profileId", "biometricHash" FROM "UserProfile" WHERE "biometricHash" IS NOT NULL"#,
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    assert_eq!(left, [("p1".to_owned(), good)]);
    let validated: bool = sqlx::query_scalar(
        "SELECT convalidated FROM pg_constraint WHERE conname = 'UserProfile_biometricHash_form'",
    )
    .fetch_one(&mut conn)
    .await
    .unwrap();
    assert!(validated);
}
