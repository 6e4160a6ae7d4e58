//! SQL of `OutboxTry`, for [`super::super::tries`].

use gx_db::{PgConnection, StoredCommandId};
use sqlx::{query, query_scalar};
use time::OffsetDateTime;

/// Adds a try and returns its number.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    lanes: &[i16],
    command_ids: &[StoredCommandId],
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    query_scalar!(
        r#"INSERT INTO "OutboxTry" (lanes, "commandIds", "startedAt") VALUES ($1, $2, $3)
           RETURNING number"#,
        lanes,
        command_ids as &[StoredCommandId],
        now,
    )
    .fetch_one(conn)
    .await
}

/// Replaces the commands of a try. Returns `false` if its row is gone.
pub(crate) async fn keep(
    conn: &mut PgConnection,
    number: i64,
    command_ids: &[StoredCommandId],
) -> Result<bool, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxTry" SET "commandIds" = $2 WHERE number = $1"#,
        number,
        command_ids as &[StoredCommandId],
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes a try. Returns `false` if its row is gone.
pub(crate) async fn delete(conn: &mut PgConnection, number: i64) -> Result<bool, sqlx::Error> {
    let done = query!(r#"DELETE FROM "OutboxTry" WHERE number = $1"#, number).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

/// Locks a try, if its row is still there.
pub(crate) async fn lock(conn: &mut PgConnection, number: i64) -> Result<(), sqlx::Error> {
    query!(r#"SELECT number FROM "OutboxTry" WHERE number = $1 FOR UPDATE"#, number)
        .fetch_optional(conn)
        .await?;
    Ok(())
}

/// Deletes those of some tries that are still there.
pub(crate) async fn delete_all(
    conn: &mut PgConnection,
    numbers: &[i64],
) -> Result<(), sqlx::Error> {
    query!(r#"DELETE FROM "OutboxTry" WHERE number = ANY($1)"#, numbers).execute(conn).await?;
    Ok(())
}

/// Deletes every try in some lanes and returns the commands that remained in each.
pub(crate) async fn take(
    conn: &mut PgConnection,
    lanes: &[i16],
) -> Result<Vec<Vec<StoredCommandId>>, sqlx::Error> {
    query_scalar!(
        r#"DELETE FROM "OutboxTry" WHERE lanes && $1
           RETURNING "commandIds" AS "ids: Vec<StoredCommandId>""#,
        lanes,
    )
    .fetch_all(conn)
    .await
}
