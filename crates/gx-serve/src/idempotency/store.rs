//! SQL of answers that are kept for repetition.

use gx_db::PgConnection;
use time::OffsetDateTime;

use super::Asked;

/// Expired answers that one request clears away at most.
const CLEARED_AT_ONCE: i64 = 16;

/// An answer as it was sent.
pub(super) struct Answer {
    pub(super) fingerprint: Vec<u8>,
    pub(super) status: i16,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

/// Whether this transaction alone works on the key now.
pub(super) async fn try_lock(
    conn: &mut PgConnection,
    asked: &Asked<'_>,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock(
               hashtextextended(jsonb_build_array($1::text, $2::text, $3::text)::text, 0)
           ) AS "is_ours!""#,
        asked.principal,
        asked.route,
        asked.key.as_str(),
    )
    .fetch_one(conn)
    .await
}

pub(super) async fn answer(
    conn: &mut PgConnection,
    asked: &Asked<'_>,
    now: OffsetDateTime,
) -> Result<Option<Answer>, sqlx::Error> {
    sqlx::query_as!(
        Answer,
        r#"SELECT fingerprint, status, "contentType" AS content_type, body
           FROM "HttpIdempotency"
           WHERE principal = $1 AND route = $2 AND key = $3 AND "expiresAt" > $4"#,
        asked.principal,
        asked.route,
        asked.key.as_str(),
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Keeps an answer in the place of one that has expired.
pub(super) async fn keep(
    conn: &mut PgConnection,
    asked: &Asked<'_>,
    answer: &Answer,
    now: OffsetDateTime,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "HttpIdempotency" (principal, route, key, fingerprint, status,
               "contentType", body, "createdAt", "expiresAt")
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
           ON CONFLICT (principal, route, key) DO UPDATE
           SET fingerprint = excluded.fingerprint, status = excluded.status,
               "contentType" = excluded."contentType", body = excluded.body,
               "createdAt" = excluded."createdAt", "expiresAt" = excluded."expiresAt""#,
        asked.principal,
        asked.route,
        asked.key.as_str(),
        answer.fingerprint,
        answer.status,
        answer.content_type,
        answer.body,
        now,
        expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Clears away a few answers that nobody may ask for any more, so that the table stays as
/// large as a day's requests.
pub(super) async fn forget_expired(
    conn: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"DELETE FROM "HttpIdempotency" WHERE (principal, route, key) IN (
               SELECT principal, route, key FROM "HttpIdempotency" WHERE "expiresAt" <= $1
               ORDER BY "expiresAt" LIMIT $2 FOR UPDATE SKIP LOCKED)"#,
        now,
        CLEARED_AT_ONCE,
    )
    .execute(conn)
    .await?;
    Ok(())
}
