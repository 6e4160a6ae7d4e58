//! Counts the projected rows, writes them to files, and copies them into tables. Called by the rows
//! with a projector and by `sql_only`; each error ends the row.

use std::collections::HashMap;
use std::path::Path;

use sqlx::{AssertSqlSafe, PgConnection, query_scalar, raw_sql};
use tokio::io::AsyncWriteExt as _;
use tokio_stream::StreamExt as _;

/// The projector's own tables, each after the tables that it references.
pub(crate) const TABLES: [&str; 8] = [
    "LedgerSystem",
    "LedgerPool",
    "LedgerCountry",
    "LedgerUser",
    "Wallet",
    "Transaction",
    "LedgerPoolMove",
    "EventLog",
];

/// Number of bytes that are read and sent at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Returns the last block that was applied, or `None` before the first.
pub(crate) async fn checkpoint(conn: &mut PgConnection) -> Result<Option<u64>, sqlx::Error> {
    let number: Option<i64> =
        query_scalar(r#"SELECT max("blockNumber") FROM "ProjectorState""#).fetch_one(conn).await?;
    Ok(number.and_then(|number| u64::try_from(number).ok()))
}

/// Returns the number of applied events and of dead letters.
pub(crate) async fn events(conn: &mut PgConnection) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as(r#"SELECT (SELECT count(*) FROM "EventLog"), (SELECT count(*) FROM "EventDLQ")"#)
        .fetch_one(conn)
        .await
}

/// Returns the number of rows of all projected tables.
pub(crate) async fn count(conn: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let mut rows = 0;
    for table in TABLES {
        let sql = format!(r#"SELECT count(*) FROM "{table}""#);
        let count: i64 = query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *conn).await?;
        rows += count.unsigned_abs();
    }
    Ok(rows)
}

/// Writes a table's rows to a file in COPY's binary format.
pub(crate) async fn copy_out(
    conn: &mut PgConnection,
    table: &str,
    file: &Path,
) -> Result<(), sqlx::Error> {
    let mut out = tokio::fs::File::create(file).await?;
    let sql = format!(r#"COPY "{table}" TO STDOUT (FORMAT binary)"#);
    let mut pieces = conn.copy_out_raw(&sql).await?;
    while let Some(piece) = pieces.next().await {
        out.write_all(&piece?).await?;
    }
    out.flush().await?;
    Ok(())
}

/// Copies a file's rows into a table and returns their number.
pub(crate) async fn copy_in(
    conn: &mut PgConnection,
    table: &str,
    file: &Path,
) -> Result<u64, sqlx::Error> {
    let sql = format!(r#"COPY "{table}" FROM STDIN (FORMAT binary)"#);
    let mut copy = conn.copy_in_raw(&sql).await?;
    let mut file = tokio::fs::File::open(file).await?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = tokio::io::AsyncReadExt::read(&mut file, &mut chunk).await?;
        if read == 0 {
            return copy.finish().await;
        }
        copy.send(&chunk[..read]).await?;
    }
}

/// Stores the values that the projector wrote into accounts, for [`update_profiles`].
pub(crate) async fn stage_profiles(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    raw_sql(
        r#"CREATE TABLE projected_profiles AS
           SELECT "profileId", "fabricUserId", "onchainRegisteredAt", "lastSyncedAt"
           FROM "UserProfile""#,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Creates an empty table of the same form.
pub(crate) async fn make_staged_profiles(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    raw_sql(
        r#"CREATE TABLE projected_profiles AS
           SELECT "profileId", "fabricUserId", "onchainRegisteredAt", "lastSyncedAt"
           FROM "UserProfile" WITH NO DATA"#,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Writes the projector's values into all accounts with one statement and returns their number.
pub(crate) async fn update_profiles(conn: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let done = raw_sql(
        r#"UPDATE "UserProfile" p
           SET "fabricUserId" = s."fabricUserId", "onchainStatus" = 'REGISTERED',
               "onchainRegisteredAt" = s."onchainRegisteredAt",
               "lastSyncedAt" = s."lastSyncedAt", status = 'ACTIVE', "updatedAt" = now()
           FROM projected_profiles s WHERE s."profileId" = p."profileId""#,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Returns the balance of every account.
pub(crate) async fn balances(conn: &mut PgConnection) -> Result<HashMap<String, i64>, sqlx::Error> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as(r#"SELECT "accountId", balance FROM "Wallet""#).fetch_all(conn).await?;
    Ok(rows.into_iter().collect())
}
