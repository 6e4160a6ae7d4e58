//! SQL of what operators do with the queue.

use gx_db::PgConnection;
use serde::Serialize;
use time::OffsetDateTime;

use super::MailFilter;

/// A mail as operators see it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueuedMail {
    /// Its id.
    pub mail_id: String,
    /// Name of its kind.
    pub kind: String,
    /// `WAITING`, `SENT` or `FAILED`.
    pub state: String,
    /// Deliveries that the mail server has refused for now.
    pub attempts: i32,
    /// The last failure.
    pub last_failure: Option<String>,
    /// Whether `gx mail retry` can send it again.
    pub is_retriable: bool,
    /// The person that it is for.
    pub profile_id: Option<String>,
    /// The administrator that it is for.
    pub admin_id: Option<String>,
    /// When it was added.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it is tried next, if it waits.
    #[serde(with = "time::serde::rfc3339")]
    pub next_attempt_at: OffsetDateTime,
}

pub(super) async fn list(
    conn: &mut PgConnection,
    filter: &MailFilter,
) -> Result<Vec<QueuedMail>, sqlx::Error> {
    sqlx::query_as!(
        QueuedMail,
        r#"SELECT "mailId" AS mail_id, kind, state, attempts, "lastFailure" AS last_failure,
                  state = 'FAILED' AND content IS NOT NULL AS "is_retriable!",
                  "profileId" AS profile_id, "adminId" AS admin_id, "createdAt" AS created_at,
                  "nextAttemptAt" AS next_attempt_at
           FROM "QueuedMail"
           WHERE state = $1 AND ($2::text IS NULL OR kind = $2)
             AND ($3::text IS NULL OR "mailId" < $3)
           ORDER BY "mailId" DESC LIMIT $4"#,
        filter.state.name(),
        filter.kind.map(|kind| kind.name()),
        filter.below,
        filter.limit,
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn retry(
    conn: &mut PgConnection,
    mail_id: &str,
    now: OffsetDateTime,
    expires_at: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "QueuedMail" SET state = 'WAITING', attempts = 0, "settledAt" = NULL,
               "nextAttemptAt" = $2, "expiresAt" = $3
           WHERE "mailId" = $1 AND state = 'FAILED' AND content IS NOT NULL"#,
        mail_id,
        now,
        expires_at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

pub(super) async fn retry_some(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    expires_at: OffsetDateTime,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "QueuedMail" SET state = 'WAITING', attempts = 0, "settledAt" = NULL,
               "nextAttemptAt" = $1, "expiresAt" = $2
           WHERE "mailId" = ANY(ARRAY(
               SELECT "mailId" FROM "QueuedMail"
               WHERE state = 'FAILED' AND content IS NOT NULL
               ORDER BY "settledAt" LIMIT $3 FOR UPDATE SKIP LOCKED))"#,
        now,
        expires_at,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
