use gx_model::Clock;
use sqlx::{PgConnection, raw_sql};

use super::{Catalogue, CatalogueRevision};
use crate::testing::TestDatabase;
use crate::{MIGRATIONS, Migration, migrate_to};

/// DB-03: the catalogue after each migration equals the committed snapshot, line by line.
#[tokio::test]
async fn a_freshly_migrated_database_is_the_committed_snapshot() {
    for migration in MIGRATIONS {
        let database = TestDatabase::empty().await;
        let mut conn = database.connection().await;
        migrate_to(&mut conn, migration.version, &Clock::system()).await.unwrap();
        let catalogue = Catalogue::read(&mut conn).await.unwrap();
        let differences = catalogue.differences_from(migration.schema);
        assert!(
            differences.is_empty() && catalogue.to_string() == migration.schema,
            "{} differs from its snapshot; after changing a migration that is not released yet, \
             run `cargo xtask schema --write`: \
             {differences:#?}",
            migration.name
        );
        assert_eq!(catalogue.fingerprint(), Catalogue::fingerprint_of(migration.schema));
    }
}

#[tokio::test]
async fn the_sessions_own_settings_change_nothing() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    let sql = "SET timezone = 'Asia/Kuala_Lumpur'; SET datestyle = 'German'; SET intervalstyle = 'sql_standard'";
    raw_sql(sql).execute(&mut conn).await.unwrap();
    let catalogue = Catalogue::read(&mut conn).await.unwrap();
    let newest = Migration::newest().schema;
    assert_eq!(catalogue.differences_from(newest), Vec::<String>::new());
    let after: String = sqlx::query_scalar("SHOW timezone").fetch_one(&mut conn).await.unwrap();
    assert_eq!(after, "Asia/Kuala_Lumpur");
}

async fn differences_after(sql: &'static str) -> Vec<String> {
    let database = TestDatabase::create().await;
    let mut conn: PgConnection = database.connection().await;
    raw_sql(sql).execute(&mut conn).await.unwrap();
    Catalogue::read(&mut conn).await.unwrap().differences_from(Migration::newest().schema)
}

#[tokio::test]
async fn each_kind_of_difference_is_named() {
    let cases = [
        (
            r#"ALTER TABLE "Wallet" DROP COLUMN "isLocked""#,
            vec![r#"column "Wallet"."isLocked" is missing"#],
        ),
        (
            r#"ALTER TABLE "Wallet" ALTER "isLocked" SET DEFAULT true"#,
            vec![
                r#"column "Wallet"."isLocked" is `boolean NOT NULL DEFAULT true` instead of `boolean NOT NULL DEFAULT false`"#,
            ],
        ),
        (
            r#"DROP INDEX "UserSession_profileId_idx""#,
            vec![r#"index "UserSession_profileId_idx" is missing"#],
        ),
        (r#"CREATE TYPE mood AS ENUM ('good', 'bad')"#, vec!["enum mood is not known"]),
        (
            r#"DROP TRIGGER "OutboxCommand_final" ON "OutboxCommand"; DROP FUNCTION "OutboxCommand_final""#,
            vec![
                r#"function "OutboxCommand_final"() is missing"#,
                r#"trigger "OutboxCommand"."OutboxCommand_final" is missing"#,
            ],
        ),
        (
            r#"ALTER TABLE "Wallet" DROP CONSTRAINT "Wallet_balance_never_negative""#,
            vec![r#"constraint "Wallet"."Wallet_balance_never_negative" is missing"#],
        ),
        (r#"CREATE TABLE gx_rebuild."Extra" (x int)"#, vec![]),
    ];
    for (sql, expected) in cases {
        assert_eq!(differences_after(sql).await, expected, "{sql}");
    }
}

/// DB-03: a label that is removed from an enum or added to it is a difference that names the enum.
#[tokio::test]
async fn an_enum_with_other_labels_differs() {
    let database = TestDatabase::empty().await;
    let mut conn = database.connection().await;
    raw_sql("CREATE TYPE mood AS ENUM ('good', 'bad')").execute(&mut conn).await.unwrap();
    let before = Catalogue::read(&mut conn).await.unwrap().to_string();
    raw_sql("DROP TYPE mood; CREATE TYPE mood AS ENUM ('good')").execute(&mut conn).await.unwrap();
    let after = Catalogue::read(&mut conn).await.unwrap();
    assert_eq!(
        after.differences_from(&before),
        ["enum mood is `'good'` instead of `'good', 'bad'`"]
    );
    assert_ne!(after.fingerprint(), Catalogue::fingerprint_of(&before));
}

/// DB-03: each change of the schema gives the catalogue another revision, so that the monitor
/// compares the schema again.
#[tokio::test]
async fn each_change_of_the_schema_is_another_revision() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    let changes = [
        "CREATE TABLE extra (x int)",
        "ALTER TABLE extra ADD y int",
        "ALTER TABLE extra ALTER y SET DEFAULT 1",
        "ALTER TABLE extra ALTER y SET DEFAULT 2",
        "ALTER TABLE extra RENAME y TO z",
        "ALTER TABLE extra ALTER z SET NOT NULL",
        "ALTER TABLE extra ADD CONSTRAINT positive CHECK (z > 0) NOT VALID",
        "ALTER TABLE extra VALIDATE CONSTRAINT positive",
        "CREATE INDEX extra_z ON extra (z)",
        "ALTER TABLE extra ENABLE ROW LEVEL SECURITY",
        "CREATE TYPE mood AS ENUM ('good')",
        "ALTER TYPE mood ADD VALUE 'bad'",
        "CREATE DOMAIN small AS int CHECK (VALUE < 9)",
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
        "CREATE TRIGGER touched BEFORE UPDATE ON extra FOR EACH ROW EXECUTE FUNCTION touch()",
        "ALTER TABLE extra DISABLE TRIGGER touched",
        "CREATE SEQUENCE numbers",
        "CREATE VIEW seen AS SELECT z FROM extra",
        "DROP VIEW seen",
    ];
    let mut before = CatalogueRevision::read(&mut conn).await.unwrap();
    for change in changes {
        raw_sql(change).execute(&mut conn).await.unwrap();
        let after = CatalogueRevision::read(&mut conn).await.unwrap();
        assert_ne!(after, before, "{change}");
        before = after;
    }
}

/// Rows and their maintenance leave the revision as it is; a monitor that compared the schema after
/// each would be as expensive as before.
#[tokio::test]
async fn rows_and_vacuum_do_not_change_the_revision() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    raw_sql("CREATE TABLE extra (x int)").execute(&mut conn).await.unwrap();
    let before = CatalogueRevision::read(&mut conn).await.unwrap();
    for work in [
        "INSERT INTO extra SELECT generate_series(1, 1000); DELETE FROM extra WHERE x < 500",
        "VACUUM (FREEZE, ANALYZE) extra",
        "VACUUM FREEZE pg_class",
        "CREATE TEMPORARY TABLE passing (x int)",
    ] {
        raw_sql(work).execute(&mut conn).await.unwrap();
        assert_eq!(CatalogueRevision::read(&mut conn).await.unwrap(), before, "{work}");
    }
}
