use gx_model::Clock;
use sqlx::{PgConnection, raw_sql};

use super::Catalogue;
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
