//! SQL of the objects of the document store that may exist without a row: uploads and removals.

use gx_db::{PgConnection, ProfileId};
use time::OffsetDateTime;

/// Announces a file that is about to be written.
pub(crate) async fn announce_upload(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    storage_key: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "DocumentObject" ("storageKey", "profileId", state, since)
           VALUES ($1, $2, 'UPLOAD', $3)"#,
        storage_key,
        profile_id.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Announces that a file is to be removed.
pub(crate) async fn announce_removal(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    storage_key: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "DocumentObject" ("storageKey", "profileId", state, since)
           VALUES ($1, $2, 'REMOVAL', $3)"#,
        storage_key,
        profile_id.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes the announcement of an upload. Returns `false` if the file is to be removed instead, or
/// if the person was erased.
pub(crate) async fn end_upload(
    conn: &mut PgConnection,
    storage_key: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"DELETE FROM "DocumentObject" AS object
           WHERE "storageKey" = $1 AND state = 'UPLOAD'
             AND NOT EXISTS (
                 SELECT FROM "PersonErasure" AS erasure
                 WHERE erasure."profileId" = object."profileId")"#,
        storage_key,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Turns an upload into a removal. Returns `false` if its document was added, or if it is a removal
/// already.
pub(crate) async fn give_up_upload(
    conn: &mut PgConnection,
    storage_key: &str,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "DocumentObject" SET state = 'REMOVAL', since = $2
           WHERE "storageKey" = $1 AND state = 'UPLOAD'"#,
        storage_key,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Turns uploads that began before `until` into removals, and returns their number.
pub(crate) async fn give_up_uploads(
    conn: &mut PgConnection,
    until: OffsetDateTime,
    limit: i64,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "DocumentObject" SET state = 'REMOVAL', since = $3
           WHERE "storageKey" IN (
               SELECT "storageKey" FROM "DocumentObject"
               WHERE state = 'UPLOAD' AND since < $1 ORDER BY since LIMIT $2
               FOR UPDATE SKIP LOCKED)"#,
        until,
        limit,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Returns files that are to be removed, those first that wait longest.
pub(crate) async fn removals(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT "storageKey" FROM "DocumentObject" WHERE state = 'REMOVAL'
           ORDER BY since LIMIT $1"#,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Deletes the announcement of a removal.
pub(crate) async fn end_removal(
    conn: &mut PgConnection,
    storage_key: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"DELETE FROM "DocumentObject" WHERE "storageKey" = $1 AND state = 'REMOVAL'"#,
        storage_key,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Puts a removal that failed behind the others.
pub(crate) async fn postpone_removal(
    conn: &mut PgConnection,
    storage_key: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "DocumentObject" SET since = $2
           WHERE "storageKey" = $1 AND state = 'REMOVAL'"#,
        storage_key,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
