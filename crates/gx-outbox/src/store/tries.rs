//! SQL of `OutboxTry`.

use gx_db::PgConnection;
use sqlx::{query, query_scalar};
use time::OffsetDateTime;

/// Adds a try; its number.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    lanes: &[i16],
    command_ids: &[String],
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    query_scalar!(
        r#"INSERT INTO "OutboxTry" (lanes, "commandIds", "startedAt") VALUES ($1, $2, $3)
           RETURNING number"#,
        lanes,
        command_ids,
        now,
    )
    .fetch_one(conn)
    .await
}

/// Leaves these commands in a try; whether it still stood.
pub(crate) async fn keep(
    conn: &mut PgConnection,
    number: i64,
    command_ids: &[String],
) -> Result<bool, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxTry" SET "commandIds" = $2 WHERE number = $1"#,
        number,
        command_ids,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a try; whether it still stood.
pub(crate) async fn delete(conn: &mut PgConnection, number: i64) -> Result<bool, sqlx::Error> {
    let done = query!(r#"DELETE FROM "OutboxTry" WHERE number = $1"#, number).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

/// Ends every try in some lanes; the commands that were left in each.
pub(crate) async fn take(
    conn: &mut PgConnection,
    lanes: &[i16],
) -> Result<Vec<Vec<String>>, sqlx::Error> {
    query_scalar!(r#"DELETE FROM "OutboxTry" WHERE lanes && $1 RETURNING "commandIds""#, lanes)
        .fetch_all(conn)
        .await
}
