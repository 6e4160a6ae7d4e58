//! SQL of notes. Called by the parent module and its routes.

use gx_db::{PgConnection, ProfileId};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A note about a person.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NoteItem {
    /// Number of the note: that of its entry in the audit log.
    pub(crate) note_id: i64,
    #[serde(with = "gx_serve::moment")]
    pub(crate) at: OffsetDateTime,
    /// adminId of the author.
    #[schema(required, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    pub(crate) by: Option<String>,
    /// The text, or `null` if it was erased.
    #[schema(required, example = "Asked for a sharper photo by phone")]
    pub(crate) text: Option<String>,
}

pub(super) async fn person_exists(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM "UserProfile" WHERE "profileId" = $1) AS "exists!""#,
        profile_id.as_str(),
    )
    .fetch_one(conn)
    .await
}

/// Returns notes about a person with numbers below `below`, the newest first.
pub(super) async fn notes(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    below: Option<i64>,
    limit: i64,
) -> Result<Vec<NoteItem>, sqlx::Error> {
    sqlx::query_as!(
        NoteItem,
        r#"SELECT e.seq AS note_id, e.at, e."actorId" AS by, t.text AS "text?"
           FROM "AuditEntry" e LEFT JOIN "AuditText" t ON t.seq = e.seq AND t.field = 'note'
           WHERE e."targetType" = 'UserProfile' AND e."targetId" = $1
             AND e.seq < coalesce($2, 9223372036854775807)
             AND e.action = 'user.note_added'
           ORDER BY e.seq DESC LIMIT $3"#,
        profile_id.as_str(),
        below,
        limit,
    )
    .fetch_all(conn)
    .await
}
