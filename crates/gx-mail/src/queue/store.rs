//! SQL of the queue. Each statement reads a part of an index in its order.

use gx_db::PgConnection;
use time::OffsetDateTime;

use super::NewMail;
use crate::content::EncryptedContent;

/// A mail that was taken.
pub(crate) struct ClaimedRow {
    pub(crate) mail_id: String,
    pub(crate) kind: String,
    pub(crate) profile_id: Option<String>,
    pub(crate) admin_id: Option<String>,
    pub(crate) content: Option<Vec<u8>>,
    pub(crate) key_version: i32,
    pub(crate) attempts: i32,
    /// Tells this holder of the mail from earlier ones.
    pub(crate) claims: i32,
    pub(crate) expires_at: OffsetDateTime,
}

/// Numbers about the queue.
pub(crate) struct QueueStats {
    /// Waiting mails, at most one more than the limit that was asked for.
    pub(crate) waiting: i64,
    /// When the oldest waiting mail was added.
    pub(crate) oldest: Option<OffsetDateTime>,
    /// Mails that were given up since a time, with the same limit.
    pub(crate) failed: i64,
    /// Those of them whose receiver's mailbox was not the reason.
    pub(crate) failed_otherwise: i64,
}

pub(crate) async fn insert(
    conn: &mut PgConnection,
    new: &NewMail<'_>,
    content: &EncryptedContent,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (profile_id, admin_id) = new.owner.columns();
    sqlx::query!(
        r#"INSERT INTO "QueuedMail" ("mailId", kind, "profileId", "adminId", content,
               "contentKeyVersion", "nextAttemptAt", "expiresAt", "createdAt")
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7)"#,
        new.mail_id,
        new.kind.name(),
        profile_id,
        admin_id,
        content.bytes,
        content.key_version,
        now,
        now + new.kind.life(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes mails that are due until `lease_until`. Mails that another process is just taking are
/// passed over. The array is made once; a subquery of `IN` may run again and lock more than the
/// limit.
pub(crate) async fn claim(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    lease_until: OffsetDateTime,
    limit: i64,
) -> Result<Vec<ClaimedRow>, sqlx::Error> {
    sqlx::query_as!(
        ClaimedRow,
        r#"UPDATE "QueuedMail" SET "nextAttemptAt" = $2, claims = claims + 1
           WHERE "mailId" = ANY(ARRAY(
               SELECT "mailId" FROM "QueuedMail"
               WHERE state = 'WAITING' AND "nextAttemptAt" <= $1
               ORDER BY "nextAttemptAt", "mailId" LIMIT $3 FOR UPDATE SKIP LOCKED))
           RETURNING "mailId" AS mail_id, kind, "profileId" AS profile_id, "adminId" AS admin_id,
               content, "contentKeyVersion" AS key_version, attempts, claims,
               "expiresAt" AS expires_at"#,
        now,
        lease_until,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Locks a mail and returns whether it is still held.
pub(crate) async fn lock_held(
    conn: &mut PgConnection,
    mail_id: &str,
    claims: i32,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"SELECT claims FROM "QueuedMail"
           WHERE "mailId" = $1 AND claims = $2 AND state = 'WAITING' FOR UPDATE"#,
        mail_id,
        claims,
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// Deletes what an earlier try of a mail has drawn. Code and link of that try end.
pub(crate) async fn delete_drawn(
    conn: &mut PgConnection,
    mail_id: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(r#"DELETE FROM "MailToken" WHERE "tokenId" = $1"#, mail_id).execute(conn).await?;
    Ok(())
}

/// Replaces the content of a mail that is still held. Returns `false` if another process has taken
/// it.
pub(crate) async fn set_content(
    conn: &mut PgConnection,
    mail_id: &str,
    claims: i32,
    content: &EncryptedContent,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "QueuedMail" SET content = $3, "contentKeyVersion" = $4
           WHERE "mailId" = $1 AND claims = $2 AND state = 'WAITING'"#,
        mail_id,
        claims,
        content.bytes,
        content.key_version,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Settles a mail that was sent, and drops its content. Returns `false` if another process has
/// taken it.
pub(crate) async fn set_sent(
    conn: &mut PgConnection,
    mail_id: &str,
    claims: i32,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "QueuedMail" SET state = 'SENT', content = NULL, "lastFailure" = NULL,
               "settledAt" = $3
           WHERE "mailId" = $1 AND claims = $2 AND state = 'WAITING'"#,
        mail_id,
        claims,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a mail up. The content stays if the mail can be sent later.
pub(crate) async fn set_failed(
    conn: &mut PgConnection,
    mail_id: &str,
    claims: i32,
    failure: &str,
    keeps_content: bool,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "QueuedMail" SET state = 'FAILED', "lastFailure" = $3, "settledAt" = $5,
               content = CASE WHEN $4 THEN content END
           WHERE "mailId" = $1 AND claims = $2 AND state = 'WAITING'"#,
        mail_id,
        claims,
        failure,
        keeps_content,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends the lease of a mail that is to be sent later.
pub(crate) async fn postpone(
    conn: &mut PgConnection,
    mail_id: &str,
    claims: i32,
    attempts: i32,
    failure: &str,
    next: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "QueuedMail" SET attempts = $3, "lastFailure" = $4, "nextAttemptAt" = $5
           WHERE "mailId" = $1 AND claims = $2 AND state = 'WAITING'"#,
        mail_id,
        claims,
        attempts,
        failure,
        next,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives up mails whose time is over and that no process holds, and returns the names of their
/// kinds. The content stays if the kind is one of `retriable`.
pub(crate) async fn expire(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    failure: &str,
    retriable: &[String],
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"UPDATE "QueuedMail" SET state = 'FAILED', "lastFailure" = $2, "settledAt" = $1,
               content = CASE WHEN kind = ANY($3) THEN content END
           WHERE "mailId" = ANY(ARRAY(
               SELECT "mailId" FROM "QueuedMail"
               WHERE state = 'WAITING' AND "expiresAt" <= $1 AND "nextAttemptAt" <= $1
               ORDER BY "expiresAt" LIMIT $4 FOR UPDATE SKIP LOCKED))
           RETURNING kind"#,
        now,
        failure,
        retriable,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns the number of mails that were sent since a time, at most `limit`.
pub(crate) async fn count_sent(
    conn: &mut PgConnection,
    since: OffsetDateTime,
    limit: i64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (SELECT FROM "QueuedMail"
               WHERE state = 'SENT' AND "settledAt" > $1 LIMIT $2) AS sent"#,
        since,
        limit,
    )
    .fetch_one(conn)
    .await
}

/// Counts the queue. `refused` are the failures for which the receiver's mailbox is the reason.
pub(crate) async fn stats(
    conn: &mut PgConnection,
    since: OffsetDateTime,
    refused: &[String],
    limit: i64,
) -> Result<QueueStats, sqlx::Error> {
    sqlx::query_as!(
        QueueStats,
        r#"SELECT
               (SELECT count(*) FROM (SELECT FROM "QueuedMail" WHERE state = 'WAITING' LIMIT $3)
                   AS waiting) AS "waiting!",
               (SELECT min("createdAt") FROM "QueuedMail" WHERE state = 'WAITING') AS oldest,
               (SELECT count(*) FROM (SELECT FROM "QueuedMail"
                   WHERE state = 'FAILED' AND "settledAt" > $1 LIMIT $3) AS failed) AS "failed!",
               (SELECT count(*) FROM (SELECT FROM "QueuedMail"
                   WHERE state = 'FAILED' AND "settledAt" > $1
                     AND NOT ("lastFailure" = ANY($2)) LIMIT $3) AS failed)
                   AS "failed_otherwise!""#,
        since,
        refused,
        limit,
    )
    .fetch_one(conn)
    .await
}
