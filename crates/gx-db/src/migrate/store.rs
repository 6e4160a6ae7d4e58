//! SQL of the migration runner. What runs before the first migration cannot be checked
//! against the schema and is not.

use sqlx::{PgConnection, query, query_as};
use time::OffsetDateTime;

use gx_model::CountryList;

/// A migration as the database has it.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    pub(crate) version: i32,
    pub(crate) name: String,
    pub(crate) checksum: Vec<u8>,
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) is_additive: bool,
}

/// A value that a migration took out of its row because it breaks a rule. The value itself
/// stays in the database: it may be a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The table.
    pub table: String,
    /// The row's primary key.
    pub row: String,
    /// The column, which holds NULL since.
    pub column: String,
    /// Which rule the value broke.
    pub reason: String,
}

/// Waits until no other runner is at work in this database. The lock ends with the connection.
pub(super) async fn lock_migrations(conn: &mut PgConnection) -> sqlx::Result<()> {
    // The key says "GX schema"; advisory locks are per database.
    sqlx::query("SELECT pg_advisory_lock(5140739163187896)").execute(conn).await.map(drop)
}

pub(super) async fn unlock_migrations(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_unlock(5140739163187896)").execute(conn).await.map(drop)
}

/// The schema in which unqualified names are made, if it exists.
pub(crate) async fn current_schema(conn: &mut PgConnection) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT current_schema()::text").fetch_one(conn).await
}

/// What was applied, in order; nothing where the table does not exist yet.
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

/// Objects of the current schema that belong to no extension.
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

/// Brings the countries to what the list says. None is deleted: people refer to them.
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

/// The countries as the database has them: code and share.
pub(crate) async fn countries(conn: &mut PgConnection) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = query!(r#"SELECT "countryCode" AS code, "sharePpb" AS share FROM "Country""#)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.code, row.share)).collect())
}

/// Everything in quarantine, in the order it got there.
pub(crate) async fn quarantined(conn: &mut PgConnection) -> sqlx::Result<Vec<Quarantined>> {
    query_as!(
        Quarantined,
        r#"SELECT "tableName" AS "table", "rowKey" AS "row", "columnName" AS "column", reason
           FROM "QuarantinedRow" ORDER BY "quarantineId""#
    )
    .fetch_all(conn)
    .await
}
