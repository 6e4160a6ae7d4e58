//! SQL of the removal of expired rows. Each statement reads a part of an index in its order.

use gx_db::PgConnection;
use time::OffsetDateTime;

use super::SweptTable;

/// Returns whether this transaction got the lock of the sweepers.
pub(super) async fn try_lock(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock(hashtextextended('gx retention', 0)) AS "is_ours!""#
    )
    .fetch_one(conn)
    .await
}

/// Waits for the lock of the sweepers, no longer than for any lock.
pub(super) async fn lock(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(r#"SELECT pg_advisory_xact_lock(hashtextextended('gx retention', 0))"#)
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes the oldest rows that expired from `cursor` to `until`, and returns the times at which
/// they expired. Rows that another session has locked stay, and so do sessions and devices of an
/// account on legal hold.
#[expect(clippy::too_many_lines, reason = "one statement for each table, which the macro checks")]
pub(super) async fn remove(
    conn: &mut PgConnection,
    table: SweptTable,
    cursor: OffsetDateTime,
    until: OffsetDateTime,
    limit: i64,
) -> Result<Vec<OffsetDateTime>, sqlx::Error> {
    match table {
        SweptTable::HttpIdempotency => {
            sqlx::query_scalar!(
                r#"DELETE FROM "HttpIdempotency" WHERE (principal, route, key) IN (
               SELECT principal, route, key FROM "HttpIdempotency" WHERE "expiresAt" >= $1 AND "expiresAt" <= $2
               ORDER BY "expiresAt" LIMIT $3 FOR UPDATE SKIP LOCKED)
           RETURNING "expiresAt""#,
                cursor,
                until,
                limit
            )
            .fetch_all(conn)
            .await
        }
        SweptTable::UserSession => {
            sqlx::query_scalar!(
                r#"DELETE FROM "UserSession" WHERE "sessionId" IN (
               SELECT "sessionId" FROM "UserSession" AS one
               WHERE "expiresAt" >= $1 AND "expiresAt" <= $2
                 AND NOT EXISTS (SELECT FROM "UserProfile" AS person
                                 WHERE person."profileId" = one."profileId"
                                   AND person."legalHoldAt" IS NOT NULL)
               ORDER BY "expiresAt" LIMIT $3 FOR UPDATE SKIP LOCKED)
           RETURNING "expiresAt""#,
                cursor,
                until,
                limit
            )
            .fetch_all(conn)
            .await
        }
        SweptTable::AdminSession => {
            sqlx::query_scalar!(
                r#"DELETE FROM "AdminSession" WHERE "sessionId" IN (
               SELECT "sessionId" FROM "AdminSession" WHERE "expiresAt" >= $1 AND "expiresAt" <= $2
               ORDER BY "expiresAt" LIMIT $3 FOR UPDATE SKIP LOCKED)
           RETURNING "expiresAt""#,
                cursor,
                until,
                limit
            )
            .fetch_all(conn)
            .await
        }
        SweptTable::SignInFailure => {
            sqlx::query_scalar!(
                r#"DELETE FROM "SignInFailure" WHERE "addressHash" IN (
               SELECT "addressHash" FROM "SignInFailure" WHERE "lastFailedAt" >= $1 AND "lastFailedAt" <= $2
               ORDER BY "lastFailedAt" LIMIT $3 FOR UPDATE SKIP LOCKED)
           RETURNING "lastFailedAt""#,
                cursor,
                until,
                limit
            )
            .fetch_all(conn)
            .await
        }
        SweptTable::PasskeyChallenge => {
            sqlx::query_scalar!(
                r#"DELETE FROM "PasskeyChallenge" WHERE "challengeId" IN (
               SELECT "challengeId" FROM "PasskeyChallenge" WHERE "expiresAt" >= $1 AND "expiresAt" <= $2
               ORDER BY "expiresAt" LIMIT $3 FOR UPDATE SKIP LOCKED)
           RETURNING "expiresAt""#,
                cursor,
                until,
                limit
            )
            .fetch_all(conn)
            .await
        }
        SweptTable::QueuedMail => {
            sqlx::query_scalar!(
                r#"DELETE FROM "QueuedMail" WHERE "mailId" IN (
               SELECT "mailId" FROM "QueuedMail" WHERE "settledAt" >= $1 AND "settledAt" <= $2
               ORDER BY "settledAt" LIMIT $3 FOR UPDATE SKIP LOCKED)
           RETURNING "settledAt" AS "settled_at!""#,
                cursor,
                until,
                limit
            )
            .fetch_all(conn)
            .await
        }
        SweptTable::MailToken => {
            sqlx::query_scalar!(
                r#"DELETE FROM "MailToken" WHERE "tokenId" IN (
               SELECT "tokenId" FROM "MailToken" WHERE "expiresAt" >= $1 AND "expiresAt" <= $2
               ORDER BY "expiresAt" LIMIT $3 FOR UPDATE SKIP LOCKED)
           RETURNING "expiresAt""#,
                cursor,
                until,
                limit
            )
            .fetch_all(conn)
            .await
        }
        SweptTable::KnownDevice => {
            sqlx::query_scalar!(
                r#"DELETE FROM "KnownDevice" WHERE "deviceHash" IN (
               SELECT "deviceHash" FROM "KnownDevice" AS one
               WHERE "expiresAt" >= $1 AND "expiresAt" <= $2
                 AND NOT EXISTS (SELECT FROM "UserProfile" AS person
                                 WHERE person."profileId" = one."profileId"
                                   AND person."legalHoldAt" IS NOT NULL)
               ORDER BY "expiresAt" LIMIT $3 FOR UPDATE SKIP LOCKED)
           RETURNING "expiresAt""#,
                cursor,
                until,
                limit
            )
            .fetch_all(conn)
            .await
        }
        SweptTable::ReviewClaim => {
            sqlx::query_scalar!(
                r#"DELETE FROM "ReviewClaim" WHERE "profileId" IN (
               SELECT "profileId" FROM "ReviewClaim" WHERE "leaseUntil" >= $1 AND "leaseUntil" <= $2
               ORDER BY "leaseUntil" LIMIT $3 FOR UPDATE SKIP LOCKED)
           RETURNING "leaseUntil""#,
                cursor,
                until,
                limit
            )
            .fetch_all(conn)
            .await
        }
        SweptTable::AdminInvitation => {
            sqlx::query_scalar!(
                r#"DELETE FROM "AdminInvitation" WHERE "adminId" IN (
               SELECT "adminId" FROM "AdminInvitation" WHERE "expiresAt" >= $1 AND "expiresAt" <= $2
               ORDER BY "expiresAt" LIMIT $3 FOR UPDATE SKIP LOCKED)
           RETURNING "expiresAt""#,
                cursor,
                until,
                limit
            )
            .fetch_all(conn)
            .await
        }
    }
}

/// Returns the number of rows that expired until then and may be removed.
#[expect(clippy::too_many_lines, reason = "one statement for each table, which the macro checks")]
pub(super) async fn count(
    conn: &mut PgConnection,
    table: SweptTable,
    until: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    match table {
        SweptTable::HttpIdempotency => {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM "HttpIdempotency" WHERE "expiresAt" <= $1"#,
                until
            )
            .fetch_one(conn)
            .await
        }
        SweptTable::UserSession => {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM "UserSession" AS one
                   WHERE "expiresAt" <= $1
                     AND NOT EXISTS (SELECT FROM "UserProfile" AS person
                                     WHERE person."profileId" = one."profileId"
                                       AND person."legalHoldAt" IS NOT NULL)"#,
                until
            )
            .fetch_one(conn)
            .await
        }
        SweptTable::AdminSession => {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM "AdminSession" WHERE "expiresAt" <= $1"#,
                until
            )
            .fetch_one(conn)
            .await
        }
        SweptTable::SignInFailure => {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM "SignInFailure" WHERE "lastFailedAt" <= $1"#,
                until
            )
            .fetch_one(conn)
            .await
        }
        SweptTable::PasskeyChallenge => {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM "PasskeyChallenge" WHERE "expiresAt" <= $1"#,
                until
            )
            .fetch_one(conn)
            .await
        }
        SweptTable::QueuedMail => {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM "QueuedMail" WHERE "settledAt" <= $1"#,
                until
            )
            .fetch_one(conn)
            .await
        }
        SweptTable::MailToken => {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM "MailToken" WHERE "expiresAt" <= $1"#,
                until
            )
            .fetch_one(conn)
            .await
        }
        SweptTable::KnownDevice => {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM "KnownDevice" AS one
                   WHERE "expiresAt" <= $1
                     AND NOT EXISTS (SELECT FROM "UserProfile" AS person
                                     WHERE person."profileId" = one."profileId"
                                       AND person."legalHoldAt" IS NOT NULL)"#,
                until
            )
            .fetch_one(conn)
            .await
        }
        SweptTable::ReviewClaim => {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM "ReviewClaim" WHERE "leaseUntil" <= $1"#,
                until
            )
            .fetch_one(conn)
            .await
        }
        SweptTable::AdminInvitation => {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM "AdminInvitation" WHERE "expiresAt" <= $1"#,
                until
            )
            .fetch_one(conn)
            .await
        }
    }
}
