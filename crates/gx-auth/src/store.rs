//! SQL of sessions, for [`crate::sessions`] and [`crate::authorization`].

use gx_db::{AdminId, Parsed, PgConnection, ProfileId, SessionId};
use gx_model::{AccountStatus, DenialFinality};
use sqlx::postgres::PgQueryResult;
use time::OffsetDateTime;

use crate::realm::{Realm, Subject};

/// A session to be inserted.
pub(crate) struct NewSession<'a> {
    pub(crate) session_id: &'a SessionId,
    pub(crate) subject: &'a Subject,
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
    pub(crate) last_used_at: OffsetDateTime,
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) is_revoked: bool,
}

/// The columns of a person's session and account that authorization reads.
pub(crate) struct PersonRow {
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) last_used_at: OffsetDateTime,
    pub(crate) is_revoked: bool,
    pub(crate) status: AccountStatus,
    pub(crate) denial_finality: Option<Parsed<DenialFinality>>,
    pub(crate) is_locked: bool,
    pub(crate) is_deleted: bool,
}

/// The columns of an administrator's session and account that authorization reads.
pub(crate) struct AdministratorRow {
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) last_used_at: OffsetDateTime,
    pub(crate) is_revoked: bool,
    pub(crate) role: String,
    pub(crate) is_locked: bool,
}

/// The columns of an administrator who enrols a second factor.
pub(crate) struct EnrollingAdministratorRow {
    pub(crate) role: String,
    pub(crate) password_hash: String,
}

pub(crate) async fn insert_session(
    conn: &mut PgConnection,
    new: &NewSession<'_>,
) -> Result<PgQueryResult, sqlx::Error> {
    match new.subject {
        Subject::User(profile_id) => {
            sqlx::query!(
                r#"INSERT INTO "UserSession" ("sessionId", "profileId", "refreshHash", "refreshId",
               "rotatedAt", "createdAt", "lastUsedAt", "expiresAt", "userAgent", "clientAddress")
           VALUES ($1, $2, $3, $4, $5, $5, $5, $6, $7, $8)"#,
                new.session_id.as_str(),
                profile_id.as_str(),
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
        Subject::Admin(admin_id) => {
            sqlx::query!(
                r#"INSERT INTO "AdminSession" ("sessionId", "adminId", "refreshHash", "refreshId",
               "rotatedAt", "createdAt", "lastUsedAt", "expiresAt", "userAgent", "clientAddress")
           VALUES ($1, $2, $3, $4, $5, $5, $5, $6, $7, $8)"#,
                new.session_id.as_str(),
                admin_id.as_str(),
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
    session_id: &SessionId,
    subject: &Subject,
) -> Result<Option<SessionRow>, sqlx::Error> {
    match subject {
        Subject::User(profile_id) => {
            sqlx::query_as!(
                SessionRow,
                r#"SELECT "refreshHash" AS refresh_hash, "refreshId" AS refresh_id,
                  "rotatedAt" AS rotated_at, "previousRefreshHash" AS previous_refresh_hash,
                  "lastUsedAt" AS last_used_at, "expiresAt" AS expires_at, "revokedAt" IS NOT NULL AS "is_revoked!"
           FROM "UserSession" WHERE "sessionId" = $1 AND "profileId" = $2 FOR UPDATE"#,
                session_id.as_str(),
                profile_id.as_str()
            )
            .fetch_optional(conn)
            .await
        }
        Subject::Admin(admin_id) => {
            sqlx::query_as!(
                SessionRow,
                r#"SELECT "refreshHash" AS refresh_hash, "refreshId" AS refresh_id,
                  "rotatedAt" AS rotated_at, "previousRefreshHash" AS previous_refresh_hash,
                  "lastUsedAt" AS last_used_at, "expiresAt" AS expires_at, "revokedAt" IS NOT NULL AS "is_revoked!"
           FROM "AdminSession" WHERE "sessionId" = $1 AND "adminId" = $2 FOR UPDATE"#,
                session_id.as_str(),
                admin_id.as_str()
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
    session_id: &SessionId,
    refresh_hash: &[u8],
    refresh_id: &str,
    now: OffsetDateTime,
) -> Result<PgQueryResult, sqlx::Error> {
    match realm {
        Realm::User => sqlx::query!(
            r#"UPDATE "UserSession" SET "previousRefreshHash" = "refreshHash", "refreshHash" = $2,
               "refreshId" = $3, "rotatedAt" = $4, "lastUsedAt" = $4
           WHERE "sessionId" = $1"#,
            session_id.as_str(),
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
            session_id.as_str(),
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
    subject: &Subject,
    session_id: Option<&SessionId>,
    because: &str,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let session_id = session_id.map(SessionId::as_str);
    let done = match subject {
        Subject::User(profile_id) => {
            sqlx::query!(
                r#"UPDATE "UserSession" SET "revokedAt" = $4, "revokedBecause" = $3
           WHERE "profileId" = $1 AND "revokedAt" IS NULL
             AND ($2::text IS NULL OR "sessionId" = $2)"#,
                profile_id.as_str(),
                session_id,
                because,
                now
            )
            .execute(conn)
            .await
        }
        Subject::Admin(admin_id) => {
            sqlx::query!(
                r#"UPDATE "AdminSession" SET "revokedAt" = $4, "revokedBecause" = $3
           WHERE "adminId" = $1 AND "revokedAt" IS NULL
             AND ($2::text IS NULL OR "sessionId" = $2)"#,
                admin_id.as_str(),
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
    session_id: &SessionId,
    profile_id: &ProfileId,
) -> Result<Option<PersonRow>, sqlx::Error> {
    sqlx::query_as!(
        PersonRow,
        r#"SELECT s."expiresAt" AS expires_at, s."lastUsedAt" AS last_used_at,
                  s."revokedAt" IS NOT NULL AS "is_revoked!",
                  p.status AS "status: Parsed<AccountStatus>",
                  p."denialFinality" AS "denial_finality: Parsed<DenialFinality>",
                  p."isLocked" AS is_locked,
                  p."deletedAt" IS NOT NULL AS "is_deleted!"
           FROM "UserSession" s JOIN "UserProfile" p ON p."profileId" = s."profileId"
           WHERE s."sessionId" = $1 AND s."profileId" = $2"#,
        session_id.as_str(),
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Returns a session of an administrator with the account, or `None` if there is no such session.
pub(crate) async fn administrator(
    conn: &mut PgConnection,
    session_id: &SessionId,
    admin_id: &AdminId,
) -> Result<Option<AdministratorRow>, sqlx::Error> {
    sqlx::query_as!(
        AdministratorRow,
        r#"SELECT s."expiresAt" AS expires_at, s."lastUsedAt" AS last_used_at,
                  s."revokedAt" IS NOT NULL AS "is_revoked!",
                  a.role, a."isLocked" AS is_locked
           FROM "AdminSession" s JOIN "AdminUser" a ON a."adminId" = s."adminId"
           WHERE s."sessionId" = $1 AND s."adminId" = $2"#,
        session_id.as_str(),
        admin_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Stores the last use of a session, unless another request has done so or holds the row.
pub(crate) async fn set_last_used(
    conn: &mut PgConnection,
    realm: Realm,
    session_id: &SessionId,
    before: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<PgQueryResult, sqlx::Error> {
    match realm {
        Realm::User => {
            sqlx::query!(
                r#"UPDATE "UserSession" SET "lastUsedAt" = $3 WHERE "sessionId" IN (
               SELECT "sessionId" FROM "UserSession"
               WHERE "sessionId" = $1 AND "lastUsedAt" = $2 FOR UPDATE SKIP LOCKED)"#,
                session_id.as_str(),
                before,
                now
            )
            .execute(conn)
            .await
        }
        Realm::Admin => {
            sqlx::query!(
                r#"UPDATE "AdminSession" SET "lastUsedAt" = $3 WHERE "sessionId" IN (
               SELECT "sessionId" FROM "AdminSession"
               WHERE "sessionId" = $1 AND "lastUsedAt" = $2 FOR UPDATE SKIP LOCKED)"#,
                session_id.as_str(),
                before,
                now
            )
            .execute(conn)
            .await
        }
    }
}

/// Returns an administrator who may enrol a second factor without a session: who is not locked and
/// has neither a factor in force nor a passkey.
pub(crate) async fn enrolling_administrator(
    conn: &mut PgConnection,
    admin_id: &AdminId,
) -> Result<Option<EnrollingAdministratorRow>, sqlx::Error> {
    sqlx::query_as!(
        EnrollingAdministratorRow,
        r#"SELECT role, "passwordHash" AS password_hash FROM "AdminUser" a WHERE "adminId" = $1 AND NOT "isLocked"
             AND NOT EXISTS (SELECT FROM "TotpFactor" f
                             WHERE f."adminId" = a."adminId" AND f."confirmedAt" IS NOT NULL)
             AND NOT EXISTS (SELECT FROM "PasskeyUser" u JOIN "Passkey" k USING ("userHandle")
                             WHERE u."adminId" = a."adminId")"#,
        admin_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}
