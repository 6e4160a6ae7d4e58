//! SQL of sessions and of the audit log, for [`crate::sessions`], [`crate::authorization`] and
//! [`crate::audit`].

use gx_db::PgConnection;
use serde_json::Value;
use sqlx::postgres::PgQueryResult;
use time::OffsetDateTime;

use crate::realm::Realm;

/// A session to be inserted.
pub(crate) struct NewSession<'a> {
    pub(crate) session_id: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) refresh_hash: &'a [u8],
    pub(crate) refresh_id: &'a str,
    pub(crate) now: OffsetDateTime,
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) agent: Option<&'a str>,
    pub(crate) address: Option<String>,
}

/// The columns of a session that a refresh reads.
pub(crate) struct SessionRow {
    pub(crate) refresh_hash: Vec<u8>,
    pub(crate) refresh_id: String,
    pub(crate) rotated_at: OffsetDateTime,
    pub(crate) previous_refresh_hash: Option<Vec<u8>>,
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) is_revoked: bool,
}

/// The columns of a person's session and account that authorization reads.
pub(crate) struct PersonRow {
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) is_revoked: bool,
    pub(crate) status: String,
    pub(crate) denial_finality: Option<String>,
    pub(crate) is_locked: bool,
    pub(crate) is_deleted: bool,
}

/// The columns of an administrator's session and account that authorization reads.
pub(crate) struct AdministratorRow {
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) is_revoked: bool,
    pub(crate) role: String,
    pub(crate) is_locked: bool,
}

pub(crate) async fn insert_session(
    conn: &mut PgConnection,
    realm: Realm,
    new: &NewSession<'_>,
) -> Result<PgQueryResult, sqlx::Error> {
    match realm {
        Realm::User => {
            sqlx::query!(
                r#"INSERT INTO "UserSession" ("sessionId", "profileId", "refreshHash", "refreshId",
               "rotatedAt", "createdAt", "lastUsedAt", "expiresAt", "userAgent", "clientAddress")
           VALUES ($1, $2, $3, $4, $5, $5, $5, $6, $7, $8)"#,
                new.session_id,
                new.subject,
                new.refresh_hash,
                new.refresh_id,
                new.now,
                new.expires_at,
                new.agent,
                new.address
            )
            .execute(conn)
            .await
        }
        Realm::Admin => {
            sqlx::query!(
                r#"INSERT INTO "AdminSession" ("sessionId", "adminId", "refreshHash", "refreshId",
               "rotatedAt", "createdAt", "lastUsedAt", "expiresAt", "userAgent", "clientAddress")
           VALUES ($1, $2, $3, $4, $5, $5, $5, $6, $7, $8)"#,
                new.session_id,
                new.subject,
                new.refresh_hash,
                new.refresh_id,
                new.now,
                new.expires_at,
                new.agent,
                new.address
            )
            .execute(conn)
            .await
        }
    }
}

/// Locks a session of a subject and returns it, or `None` if there is no such session.
pub(crate) async fn lock_session(
    conn: &mut PgConnection,
    realm: Realm,
    session_id: &str,
    subject: &str,
) -> Result<Option<SessionRow>, sqlx::Error> {
    match realm {
        Realm::User => {
            sqlx::query_as!(
                SessionRow,
                r#"SELECT "refreshHash" AS refresh_hash, "refreshId" AS refresh_id,
                  "rotatedAt" AS rotated_at, "previousRefreshHash" AS previous_refresh_hash,
                  "expiresAt" AS expires_at, "revokedAt" IS NOT NULL AS "is_revoked!"
           FROM "UserSession" WHERE "sessionId" = $1 AND "profileId" = $2 FOR UPDATE"#,
                session_id,
                subject
            )
            .fetch_optional(conn)
            .await
        }
        Realm::Admin => {
            sqlx::query_as!(
                SessionRow,
                r#"SELECT "refreshHash" AS refresh_hash, "refreshId" AS refresh_id,
                  "rotatedAt" AS rotated_at, "previousRefreshHash" AS previous_refresh_hash,
                  "expiresAt" AS expires_at, "revokedAt" IS NOT NULL AS "is_revoked!"
           FROM "AdminSession" WHERE "sessionId" = $1 AND "adminId" = $2 FOR UPDATE"#,
                session_id,
                subject
            )
            .fetch_optional(conn)
            .await
        }
    }
}

/// Replaces the refresh token of a session, and keeps the hash of the previous one.
pub(crate) async fn rotate_session(
    conn: &mut PgConnection,
    realm: Realm,
    session_id: &str,
    refresh_hash: &[u8],
    refresh_id: &str,
    now: OffsetDateTime,
) -> Result<PgQueryResult, sqlx::Error> {
    match realm {
        Realm::User => sqlx::query!(
            r#"UPDATE "UserSession" SET "previousRefreshHash" = "refreshHash", "refreshHash" = $2,
               "refreshId" = $3, "rotatedAt" = $4, "lastUsedAt" = $4
           WHERE "sessionId" = $1"#,
            session_id,
            refresh_hash,
            refresh_id,
            now
        )
        .execute(conn)
        .await,
        Realm::Admin => sqlx::query!(
            r#"UPDATE "AdminSession" SET "previousRefreshHash" = "refreshHash", "refreshHash" = $2,
               "refreshId" = $3, "rotatedAt" = $4, "lastUsedAt" = $4
           WHERE "sessionId" = $1"#,
            session_id,
            refresh_hash,
            refresh_id,
            now
        )
        .execute(conn)
        .await,
    }
}

/// Ends one session of a subject, or all of them, and returns their number.
pub(crate) async fn revoke_sessions(
    conn: &mut PgConnection,
    realm: Realm,
    subject: &str,
    session_id: Option<&str>,
    because: &str,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = match realm {
        Realm::User => {
            sqlx::query!(
                r#"UPDATE "UserSession" SET "revokedAt" = $4, "revokedBecause" = $3
           WHERE "profileId" = $1 AND "revokedAt" IS NULL
             AND ($2::text IS NULL OR "sessionId" = $2)"#,
                subject,
                session_id,
                because,
                now
            )
            .execute(conn)
            .await
        }
        Realm::Admin => {
            sqlx::query!(
                r#"UPDATE "AdminSession" SET "revokedAt" = $4, "revokedBecause" = $3
           WHERE "adminId" = $1 AND "revokedAt" IS NULL
             AND ($2::text IS NULL OR "sessionId" = $2)"#,
                subject,
                session_id,
                because,
                now
            )
            .execute(conn)
            .await
        }
    }?;
    Ok(done.rows_affected())
}

/// Returns a session of a person with the account, or `None` if there is no such session.
pub(crate) async fn person(
    conn: &mut PgConnection,
    session_id: &str,
    profile_id: &str,
) -> Result<Option<PersonRow>, sqlx::Error> {
    sqlx::query_as!(
        PersonRow,
        r#"SELECT s."expiresAt" AS expires_at, s."revokedAt" IS NOT NULL AS "is_revoked!",
                  p.status, p."denialFinality" AS denial_finality, p."isLocked" AS is_locked,
                  p."deletedAt" IS NOT NULL AS "is_deleted!"
           FROM "UserSession" s JOIN "UserProfile" p ON p."profileId" = s."profileId"
           WHERE s."sessionId" = $1 AND s."profileId" = $2"#,
        session_id,
        profile_id,
    )
    .fetch_optional(conn)
    .await
}

/// Returns a session of an administrator with the account, or `None` if there is no such session.
pub(crate) async fn administrator(
    conn: &mut PgConnection,
    session_id: &str,
    admin_id: &str,
) -> Result<Option<AdministratorRow>, sqlx::Error> {
    sqlx::query_as!(
        AdministratorRow,
        r#"SELECT s."expiresAt" AS expires_at, s."revokedAt" IS NOT NULL AS "is_revoked!",
                  a.role, a."isLocked" AS is_locked
           FROM "AdminSession" s JOIN "AdminUser" a ON a."adminId" = s."adminId"
           WHERE s."sessionId" = $1 AND s."adminId" = $2"#,
        session_id,
        admin_id,
    )
    .fetch_optional(conn)
    .await
}

/// Returns the role of an administrator who may enrol a second factor without a session: who is not
/// locked and has none in force.
pub(crate) async fn enrolling_administrator(
    conn: &mut PgConnection,
    admin_id: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT role FROM "AdminUser" a WHERE "adminId" = $1 AND NOT "isLocked"
             AND NOT EXISTS (SELECT FROM "TotpFactor" f
                             WHERE f."adminId" = a."adminId" AND f."confirmedAt" IS NOT NULL)"#,
        admin_id,
    )
    .fetch_optional(conn)
    .await
}

/// A row of the audit log.
pub(crate) struct AuditRow {
    pub(crate) seq: i64,
    pub(crate) at: OffsetDateTime,
    pub(crate) actor_type: String,
    pub(crate) actor_id: Option<String>,
    pub(crate) action: String,
    pub(crate) target_type: String,
    pub(crate) target_id: Option<String>,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
    pub(crate) request_id: Option<String>,
    pub(crate) previous_hash: Vec<u8>,
    pub(crate) hash: Vec<u8>,
}

/// Lets one writer of the audit log at a time continue, until it commits.
pub(crate) async fn lock_audit_log(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(r#"SELECT pg_advisory_xact_lock(hashtextextended('AuditLog', 0))"#)
        .fetch_one(conn)
        .await?;
    Ok(())
}

/// Returns number and hash of the last row, or `None` if the log is empty.
pub(crate) async fn last_audit_hash(
    conn: &mut PgConnection,
) -> Result<Option<(i64, Vec<u8>)>, sqlx::Error> {
    let last = sqlx::query!(r#"SELECT seq, hash FROM "AuditLog" ORDER BY seq DESC LIMIT 1"#)
        .fetch_optional(conn)
        .await?;
    Ok(last.map(|row| (row.seq, row.hash)))
}

pub(crate) async fn insert_audit_row(
    conn: &mut PgConnection,
    row: &AuditRow,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "AuditLog" (seq, at, "actorType", "actorId", action, "targetType",
               "targetId", before, after, "requestId", "previousHash", hash)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"#,
        row.seq,
        row.at,
        row.actor_type,
        row.actor_id,
        row.action,
        row.target_type,
        row.target_id,
        row.before,
        row.after,
        row.request_id,
        row.previous_hash,
        row.hash,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns rows after a sequence number, in order.
pub(crate) async fn audit_rows(
    conn: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Vec<AuditRow>, sqlx::Error> {
    sqlx::query_as!(
        AuditRow,
        r#"SELECT seq, at, "actorType" AS actor_type, "actorId" AS actor_id, action,
                  "targetType" AS target_type, "targetId" AS target_id, before, after,
                  "requestId" AS request_id, "previousHash" AS previous_hash, hash
           FROM "AuditLog" WHERE seq > $1 ORDER BY seq LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}
