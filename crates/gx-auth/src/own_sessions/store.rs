//! SQL of lists of sessions.

use gx_db::{PgConnection, SessionId};
use time::OffsetDateTime;

use crate::realm::Subject;

/// A session that can still be used.
pub(super) struct SessionRow {
    pub(super) session_id: String,
    pub(super) created_at: OffsetDateTime,
    pub(super) last_used_at: OffsetDateTime,
    pub(super) user_agent: Option<String>,
    pub(super) client_address: Option<String>,
}

/// The sessions of a subject that can still be used, and a part of their list.
pub(super) struct LiveSessions<'a> {
    pub(super) subject: &'a Subject,
    pub(super) now: OffsetDateTime,
    /// Tokens that were issued before have expired.
    pub(super) rotated_after: OffsetDateTime,
    /// A session of an administrator that was last used before has ended.
    pub(super) used_after: OffsetDateTime,
    /// The last id of the page before.
    pub(super) below: Option<&'a str>,
    pub(super) limit: i64,
}

/// Returns sessions, the newest first: their ids sort by time.
pub(super) async fn list(
    conn: &mut PgConnection,
    of: &LiveSessions<'_>,
) -> Result<Vec<SessionRow>, sqlx::Error> {
    match of.subject {
        Subject::User(profile_id) => {
            sqlx::query_as!(
                SessionRow,
                r#"SELECT "sessionId" AS session_id, "createdAt" AS created_at,
                  "lastUsedAt" AS last_used_at, "userAgent" AS user_agent,
                  "clientAddress" AS client_address
           FROM "UserSession"
           WHERE "profileId" = $1 AND "revokedAt" IS NULL AND "expiresAt" > $2
             AND "rotatedAt" > $3 AND ($4::text IS NULL OR "sessionId" < $4)
           ORDER BY "sessionId" DESC LIMIT $5"#,
                profile_id.as_str(),
                of.now,
                of.rotated_after,
                of.below,
                of.limit
            )
            .fetch_all(conn)
            .await
        }
        Subject::Admin(admin_id) => {
            sqlx::query_as!(
                SessionRow,
                r#"SELECT "sessionId" AS session_id, "createdAt" AS created_at,
                  "lastUsedAt" AS last_used_at, "userAgent" AS user_agent,
                  "clientAddress" AS client_address
           FROM "AdminSession"
           WHERE "adminId" = $1 AND "revokedAt" IS NULL AND "expiresAt" > $2
             AND "rotatedAt" > $3 AND ($4::text IS NULL OR "sessionId" < $4)
             AND "lastUsedAt" > $6
           ORDER BY "sessionId" DESC LIMIT $5"#,
                admin_id.as_str(),
                of.now,
                of.rotated_after,
                of.below,
                of.limit,
                of.used_after
            )
            .fetch_all(conn)
            .await
        }
    }
}

/// Returns whether the subject has or had a session.
pub(super) async fn exists(
    conn: &mut PgConnection,
    subject: &Subject,
    session_id: &SessionId,
) -> Result<bool, sqlx::Error> {
    match subject {
        Subject::User(profile_id) => {
            sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT FROM "UserSession"
                   WHERE "sessionId" = $1 AND "profileId" = $2) AS "exists!""#,
                session_id.as_str(),
                profile_id.as_str()
            )
            .fetch_one(conn)
            .await
        }
        Subject::Admin(admin_id) => {
            sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT FROM "AdminSession"
                   WHERE "sessionId" = $1 AND "adminId" = $2) AS "exists!""#,
                session_id.as_str(),
                admin_id.as_str()
            )
            .fetch_one(conn)
            .await
        }
    }
}
