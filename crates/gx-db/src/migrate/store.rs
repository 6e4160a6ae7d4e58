//! SQL of the migration runner, and of the checks that read its tables. Statements that run before
//! the first migration are not checked against the schema.

use sqlx::{AssertSqlSafe, PgConnection, Row as _, query, query_as};
use time::OffsetDateTime;

use gx_model::CountryList;

use super::progress::Progress;
use crate::lock_waits::MIGRATION_LOCK_KEY;

/// A migration that the database has recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) version: i32,
    pub(crate) name: String,
    pub(crate) checksum: Vec<u8>,
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) is_additive: bool,
}

/// A value that a migration removed from its row because it breaks a rule. The value itself stays
/// in the database, because it may be a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Name of the table.
    pub table: String,
    /// Primary key of the row.
    pub row: String,
    /// Name of the column, which is NULL since.
    pub column: String,
    /// The rule that the value broke.
    pub reason: String,
}

/// Locks migrations in this database, if no other runner has the lock. The lock ends with the
/// connection. It does not wait, because `CREATE INDEX CONCURRENTLY` of the other runner would wait
/// for the waiting statement.
pub(super) async fn try_lock_migrations(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(MIGRATION_LOCK_KEY)
        .fetch_one(conn)
        .await
}

pub(super) async fn unlock_migrations(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_unlock($1)")
        .bind(MIGRATION_LOCK_KEY)
        .execute(conn)
        .await
        .map(drop)
}

/// Limits how long a statement waits for one lock, until the transaction or the session ends. 0
/// means no limit.
pub(super) async fn limit_lock_wait(
    conn: &mut PgConnection,
    limit_ms: u64,
    in_transaction: bool,
) -> sqlx::Result<()> {
    sqlx::query("SELECT set_config('lock_timeout', $1, $2)")
        .bind(limit_ms.to_string())
        .bind(in_transaction)
        .execute(conn)
        .await
        .map(drop)
}

/// Returns the schema in which unqualified names are created, if it exists.
pub(crate) async fn current_schema(conn: &mut PgConnection) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT current_schema()::text").fetch_one(conn).await
}

/// Returns the applied migrations in order; none if their table does not exist.
pub(crate) async fn applied(conn: &mut PgConnection) -> sqlx::Result<Vec<Applied>> {
    let tracked: bool = sqlx::query_scalar(
        r#"SELECT current_schema() IS NOT NULL
                  AND to_regclass(coalesce(quote_ident(current_schema()), '') || '."SchemaVersion"')
                      IS NOT NULL"#,
    )
    .fetch_one(&mut *conn)
    .await?;
    if !tracked {
        return Ok(Vec::new());
    }
    query_as!(
        Applied,
        r#"SELECT version, name, checksum, fingerprint, "isAdditive" AS is_additive
           FROM "SchemaVersion" ORDER BY version"#
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn insert_applied(
    conn: &mut PgConnection,
    row: &Applied,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    query!(
        r#"INSERT INTO "SchemaVersion"
               (version, name, checksum, fingerprint, "isAdditive", "appliedAt")
           VALUES ($1, $2, $3, $4, $5, $6)"#,
        row.version,
        row.name,
        row.checksum,
        row.fingerprint,
        row.is_additive,
        at,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Returns the objects of the current schema that belong to no extension.
pub(crate) async fn objects(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        r#"WITH here AS (SELECT oid FROM pg_namespace WHERE nspname = current_schema()),
           found(class, oid, line) AS (
               SELECT 'pg_class'::regclass, c.oid,
                      CASE c.relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view '
                           WHEN 'S' THEN 'sequence ' WHEN 'f' THEN 'foreign table '
                           WHEN 'c' THEN 'type ' ELSE 'table ' END || quote_ident(c.relname)
               FROM pg_class c JOIN here ON here.oid = c.relnamespace
               WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
               UNION ALL
               SELECT 'pg_type'::regclass, t.oid,
                      CASE t.typtype WHEN 'd' THEN 'domain ' ELSE 'type ' END || quote_ident(t.typname)
               FROM pg_type t JOIN here ON here.oid = t.typnamespace
               WHERE t.typtype IN ('e', 'd', 'r')
               UNION ALL
               SELECT 'pg_proc'::regclass, p.oid, 'function ' || quote_ident(p.proname)
               FROM pg_proc p JOIN here ON here.oid = p.pronamespace)
           SELECT line FROM found
           WHERE NOT EXISTS (SELECT FROM pg_depend d
                             WHERE d.classid = found.class AND d.objid = found.oid AND d.deptype = 'e')
           ORDER BY line"#,
    )
    .fetch_all(conn)
    .await
}

/// Creates the table of begun migrations if it is missing. It has its own schema, so that it is not
/// part of the catalogue.
pub(super) async fn make_progress_table(conn: &mut PgConnection) -> sqlx::Result<()> {
    if has_progress_table(conn).await? {
        return Ok(());
    }
    // All roles may read it, because a service may use another role than the migration.
    sqlx::raw_sql(
        r#"CREATE SCHEMA gx_migration;
           CREATE TABLE gx_migration."Progress" (
               "schemaName"  text PRIMARY KEY,
               version       integer        NOT NULL,
               name          text           NOT NULL,
               checksum      bytea          NOT NULL,
               "isAdditive"  boolean        NOT NULL,
               touched       text[]         NOT NULL,
               rest          bytea          NOT NULL,
               done          text[]         NOT NULL DEFAULT '{}',
               "begunAt"     timestamptz(3) NOT NULL);
           COMMENT ON TABLE gx_migration."Progress" IS
               'Migrations in steps that were begun and are not finished. Writer: the migration.';
           GRANT USAGE ON SCHEMA gx_migration TO PUBLIC;
           GRANT SELECT ON gx_migration."Progress" TO PUBLIC"#,
    )
    .execute(conn)
    .await
    .map(drop)
}

async fn has_progress_table(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        r#"SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                          WHERE n.nspname = 'gx_migration' AND c.relname = 'Progress')"#,
    )
    .fetch_one(conn)
    .await
}

/// Returns the migration of the current schema that was begun and is not finished.
pub(crate) async fn progress(conn: &mut PgConnection) -> sqlx::Result<Option<Progress>> {
    if !has_progress_table(conn).await? {
        return Ok(None);
    }
    let row = sqlx::query(
        r#"SELECT version, name, checksum, "isAdditive", touched, rest, done
           FROM gx_migration."Progress" WHERE "schemaName" = current_schema()"#,
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let touched: Vec<String> = row.try_get("touched")?;
    Ok(Some(Progress {
        version: row.try_get("version")?,
        name: row.try_get("name")?,
        checksum: row.try_get("checksum")?,
        is_additive: row.try_get("isAdditive")?,
        touched: touched.into_iter().collect(),
        untouched_fingerprint: row.try_get("rest")?,
        finished_steps: row.try_get("done")?,
    }))
}

pub(super) async fn insert_progress(
    conn: &mut PgConnection,
    progress: &Progress,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    let touched: Vec<&String> = progress.touched.iter().collect();
    sqlx::query(
        r#"INSERT INTO gx_migration."Progress"
               ("schemaName", version, name, checksum, "isAdditive", touched, rest, "begunAt")
           VALUES (current_schema(), $1, $2, $3, $4, $5, $6, $7)"#,
    )
    .bind(progress.version)
    .bind(&progress.name)
    .bind(&progress.checksum)
    .bind(progress.is_additive)
    .bind(touched)
    .bind(&progress.untouched_fingerprint)
    .bind(at)
    .execute(conn)
    .await
    .map(drop)
}

pub(super) async fn step_done(conn: &mut PgConnection, step: &str) -> sqlx::Result<()> {
    sqlx::query(
        r#"UPDATE gx_migration."Progress" SET done = done || $1::text
           WHERE "schemaName" = current_schema()"#,
    )
    .bind(step)
    .execute(conn)
    .await
    .map(drop)
}

pub(super) async fn delete_progress(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query(r#"DELETE FROM gx_migration."Progress" WHERE "schemaName" = current_schema()"#)
        .execute(conn)
        .await
        .map(drop)
}

/// Returns whether an index of the current schema is valid; `None` if it does not exist.
pub(super) async fn index_is_valid(
    conn: &mut PgConnection,
    name: &str,
) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar(
        "SELECT x.indisvalid FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = $1",
    )
    .bind(name)
    .fetch_optional(conn)
    .await
}

/// Drops an unfinished index without blocking users of its table.
pub(super) async fn drop_index(conn: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    let sql = format!("DROP INDEX CONCURRENTLY IF EXISTS \"{}\"", name.replace('"', "\"\""));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.map(drop)
}

/// Inserts or updates the countries of the list. None is deleted, because people refer to them.
pub(super) async fn upsert_countries(
    conn: &mut PgConnection,
    countries: &CountryList,
) -> sqlx::Result<()> {
    let codes: Vec<String> = countries.iter().map(|c| c.country_code.to_string()).collect();
    let names: Vec<String> = countries.iter().map(|c| c.name.clone()).collect();
    let shares: Vec<i64> = countries.iter().map(|c| i64::from(c.share_ppb)).collect();
    query!(
        r#"INSERT INTO "Country" ("countryCode", name, "sharePpb")
           SELECT * FROM UNNEST($1::text[], $2::text[], $3::bigint[])
           ON CONFLICT ("countryCode") DO UPDATE
               SET name = excluded.name, "sharePpb" = excluded."sharePpb"
               WHERE ("Country".name, "Country"."sharePpb")
                   IS DISTINCT FROM (excluded.name, excluded."sharePpb")"#,
        &codes,
        &names,
        &shares,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Returns code and share of the countries in the database.
pub(crate) async fn countries(conn: &mut PgConnection) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = query!(r#"SELECT "countryCode" AS code, "sharePpb" AS share FROM "Country""#)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.code, row.share)).collect())
}

/// Returns all values in quarantine, oldest first.
pub(crate) async fn quarantined(conn: &mut PgConnection) -> sqlx::Result<Vec<Quarantined>> {
    query_as!(
        Quarantined,
        r#"SELECT "tableName" AS "table", "rowKey" AS "row", "columnName" AS "column", reason
           FROM "QuarantinedRow" ORDER BY "quarantineId""#
    )
    .fetch_all(conn)
    .await
}
