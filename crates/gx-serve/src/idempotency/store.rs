//! SQL of responses that are kept for repetition, for the parent module.

use gx_db::PgConnection;
use time::OffsetDateTime;

use super::KeyedRequest;

/// Limit of expired responses that one request deletes.
const CLEARED_AT_ONCE: i64 = 16;

/// A response as it was sent.
pub(super) struct StoredResponse {
    pub(super) fingerprint: Vec<u8>,
    pub(super) status: i16,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

/// Returns whether this transaction got the lock of the key. If not, another request with the key
/// is in progress.
pub(super) async fn try_lock(
    conn: &mut PgConnection,
    request: &KeyedRequest<'_>,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock(
               hashtextextended(jsonb_build_array($1::text, $2::text, $3::text)::text, 0)
           ) AS "is_ours!""#,
        request.principal,
        request.route,
        request.key.as_str(),
    )
    .fetch_one(conn)
    .await
}

pub(super) async fn response(
    conn: &mut PgConnection,
    request: &KeyedRequest<'_>,
    now: OffsetDateTime,
) -> Result<Option<StoredResponse>, sqlx::Error> {
    sqlx::query_as!(
        StoredResponse,
        r#"SELECT fingerprint, status, "contentType" AS content_type, body
           FROM "HttpIdempotency"
           WHERE principal = $1 AND route = $2 AND key = $3 AND "expiresAt" > $4"#,
        request.principal,
        request.route,
        request.key.as_str(),
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Stores a response, replacing an expired one.
pub(super) async fn keep(
    conn: &mut PgConnection,
    request: &KeyedRequest<'_>,
    stored: &StoredResponse,
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
        request.principal,
        request.route,
        request.key.as_str(),
        stored.fingerprint,
        stored.status,
        stored.content_type,
        stored.body,
        now,
        expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes some expired responses, so that the table holds about one day of requests.
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
