//! SQL of responses that are kept for repetition, for the parent module.

use gx_db::PgConnection;
use time::OffsetDateTime;

use super::KeyedRequest;

/// A response as it was sent.
pub(super) struct StoredResponse {
    pub(super) fingerprint: Vec<u8>,
    /// Version of the key of the fingerprint. `None` if no key was used.
    pub(super) key_version: Option<i32>,
    pub(super) status: i16,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
    /// The response had secrets, so `body` is empty and the handler answers a repetition.
    pub(super) is_withheld: bool,
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
        r#"SELECT fingerprint, status, "contentType" AS content_type, body,
                  "isWithheld" AS is_withheld, "fingerprintKeyVersion" AS key_version
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
               "contentType", body, "createdAt", "expiresAt", "isWithheld",
               "fingerprintKeyVersion")
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
           ON CONFLICT (principal, route, key) DO UPDATE
           SET fingerprint = excluded.fingerprint, status = excluded.status,
               "contentType" = excluded."contentType", body = excluded.body,
               "createdAt" = excluded."createdAt", "expiresAt" = excluded."expiresAt",
               "isWithheld" = excluded."isWithheld",
               "fingerprintKeyVersion" = excluded."fingerprintKeyVersion""#,
        request.principal,
        request.route,
        request.key.as_str(),
        stored.fingerprint,
        stored.status,
        stored.content_type,
        stored.body,
        now,
        expires_at,
        stored.is_withheld,
        stored.key_version,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks the beginning of the handler's work.
pub(super) async fn set_savepoint(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("SAVEPOINT idempotency").execute(conn).await?;
    Ok(())
}

/// Undoes the handler's work and keeps the lock of the key, also after a failed statement.
pub(super) async fn undo_to_savepoint(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("ROLLBACK TO SAVEPOINT idempotency").execute(conn).await?;
    Ok(())
}
