//! Every migration runs over a database in which every table has rows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sqlx::AssertSqlSafe;

use super::*;

/// A finished command waits for nothing, so the archive has no value in this column.
const NEVER_SET: &str = "OutboxArchive.prerequisite";
/// The key of the archive's partitions is never NULL.
const NEVER_NULL: &str = "OutboxArchive.settledAt";

/// Returns the file with the rows for the tables that a version adds.
fn samples(migration: &Migration) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("samples/{}.sql", migration.name))
}

/// Applies every migration and, after each, inserts its samples.
async fn migrate_over_samples(conn: &mut PgConnection) {
    for migration in MIGRATIONS {
        migrate_to(conn, migration.version, &Clock::system()).await.unwrap_or_else(|error| {
            panic!("{} fails on tables that have rows: {error}", migration.name)
        });
        let file = samples(migration);
        if let Ok(rows) = std::fs::read_to_string(&file) {
            let result = raw_sql(AssertSqlSafe(rows)).execute(&mut *conn).await;
            result.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
        let empty = empty_tables(conn).await;
        assert!(empty.is_empty(), "{empty:?} have no rows: insert some in {}", file.display());
    }
}

/// Returns the tables of the current schema, without partitions.
async fn tables(conn: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
           AND NOT relispartition
         ORDER BY relname",
    )
    .fetch_all(conn)
    .await
    .unwrap()
}

async fn empty_tables(conn: &mut PgConnection) -> Vec<String> {
    let mut empty = Vec::new();
    for table in tables(conn).await {
        let sql = format!(r#"SELECT EXISTS (SELECT FROM "{table}")"#);
        let has_rows: bool =
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *conn).await.unwrap();
        if !has_rows {
            empty.push(table);
        }
    }
    empty
}

#[tokio::test]
async fn every_migration_runs_over_tables_that_have_rows() {
    let database = TestDatabase::empty().await;
    migrate_over_samples(&mut database.connection().await).await;
}

#[tokio::test]
async fn a_column_that_existing_rows_cannot_have_is_refused_in_every_table() {
    let database = TestDatabase::empty().await;
    let mut conn = database.connection().await;
    migrate_over_samples(&mut conn).await;
    for table in tables(&mut conn).await {
        let sql = format!(r#"ALTER TABLE "{table}" ADD colour text NOT NULL"#);
        let next = Migration { sql: sql.leak(), ..with_a_next("").pop().unwrap() };
        let migrations = [MIGRATIONS, &[next]].concat();
        let error = run_on(&mut conn, &migrations).await.unwrap_err();
        assert!(format!("{error:?}").contains("contains null values"), "{table}: {error:?}");
    }
}

/// A column that becomes NOT NULL later is refused only if a sample is NULL, and one that gets a
/// new rule only if a sample has a value.
#[tokio::test]
async fn every_column_that_may_be_null_has_a_null_and_a_value_in_the_samples() {
    let database = TestDatabase::empty().await;
    let mut conn = database.connection().await;
    migrate_over_samples(&mut conn).await;
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT relname::text, attname::text
         FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
         WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
           AND NOT relispartition AND attnum > 0 AND NOT attisdropped AND NOT attnotnull",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    for (table, column) in columns {
        let sql =
            format!(r#"SELECT count(*) > count("{column}"), count("{column}") > 0 FROM "{table}""#);
        let (has_null, has_value): (bool, bool) =
            sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut conn).await.unwrap();
        let name = format!("{table}.{column}");
        assert!(has_null || name == NEVER_NULL, "{name} is never NULL in crates/gx-db/samples");
        assert!(has_value || name == NEVER_SET, "{name} is always NULL in crates/gx-db/samples");
    }
}

/// The binaries of the version before write rows without the new columns and read all the old ones.
#[test]
fn an_additive_version_takes_no_column_away_and_demands_none() {
    for pair in MIGRATIONS.windows(2).filter(|pair| pair[1].additive) {
        let [before, after] = [columns(pair[0].schema), columns(pair[1].schema)];
        for (column, definition) in &before {
            let now = after.get(column).unwrap_or_else(|| panic!("{}: {column}", pair[1].name));
            let is_demanded = now.contains("NOT NULL") && !definition.contains("NOT NULL");
            assert!(!is_demanded, "{}: {column} becomes NOT NULL", pair[1].name);
        }
        let tables = |columns: &BTreeMap<&str, &str>| -> BTreeSet<String> {
            columns.keys().map(|name| name.split('.').next().unwrap().to_owned()).collect()
        };
        let old_tables = tables(&before);
        for (column, definition) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
            let is_in_a_new_table = !old_tables.contains(column.split('.').next().unwrap());
            let may_be_left_out = !definition.contains("NOT NULL")
                || definition.contains("DEFAULT")
                || definition.contains("IDENTITY");
            assert!(is_in_a_new_table || may_be_left_out, "{}: {column}", pair[1].name);
        }
    }
}

/// Returns the columns of a snapshot with their definitions.
fn columns(snapshot: &str) -> BTreeMap<&str, &str> {
    let columns = snapshot.lines().filter_map(|line| line.strip_prefix("column "));
    columns.filter_map(|line| line.split_once(": ")).collect()
}

#[test]
fn samples_belong_to_a_migration() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        assert!(MIGRATIONS.iter().any(|migration| samples(migration) == file), "{file:?}");
    }
}
