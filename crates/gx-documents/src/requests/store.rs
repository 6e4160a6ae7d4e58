//! SQL of requests for documents. Called by the parent module.

use gx_db::{Parsed, PgConnection, ProfileId};
use time::OffsetDateTime;

use crate::kinds::{DocumentSide, DocumentType};

/// A document that a person is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentRequest {
    /// The type.
    pub kind: DocumentType,
    /// The side. Without one, any side is enough.
    pub side: Option<Parsed<DocumentSide>>,
    /// What the reviewer says to the person. `None` once it was erased.
    pub public_comment: Option<String>,
    /// When it was asked for.
    pub asked_at: OffsetDateTime,
}

/// Adds a request, or replaces the earlier one for the same document.
pub(super) async fn insert(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    (kind, side): (DocumentType, Option<DocumentSide>),
    (asked_by, public_comment): (&str, &str),
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "DocumentRequest" ("profileId", type, side, "publicComment", "askedBy",
               "askedAt")
           VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT ON CONSTRAINT "DocumentRequest_document_key" DO UPDATE
           SET "publicComment" = excluded."publicComment", "askedBy" = excluded."askedBy",
               "askedAt" = excluded."askedAt""#,
        profile_id.as_str(),
        kind.name(),
        side.map(DocumentSide::name),
        public_comment,
        asked_by,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the open requests of a person.
pub(super) async fn open_requests(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Vec<DocumentRequest>, sqlx::Error> {
    sqlx::query_as!(
        DocumentRequest,
        r#"SELECT type AS "kind: Parsed<DocumentType>", side AS "side: Parsed<DocumentSide>",
               "publicComment" AS public_comment, "askedAt" AS asked_at
           FROM "DocumentRequest" WHERE "profileId" = $1 ORDER BY type, side"#,
        profile_id.as_str(),
    )
    .fetch_all(conn)
    .await
}

/// Removes the requests that a document of this type and side meets.
pub(super) async fn remove_met(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    kind: DocumentType,
    side: Option<DocumentSide>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"DELETE FROM "DocumentRequest"
           WHERE "profileId" = $1 AND type = $2 AND (side IS NULL OR side = $3)"#,
        profile_id.as_str(),
        kind.name(),
        side.map(DocumentSide::name),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the number of open requests of a person.
pub(super) async fn count(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM "DocumentRequest" WHERE "profileId" = $1"#,
        profile_id.as_str(),
    )
    .fetch_one(conn)
    .await
}

/// Removes all requests of a person.
pub(super) async fn remove_all(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(r#"DELETE FROM "DocumentRequest" WHERE "profileId" = $1"#, profile_id.as_str())
        .execute(conn)
        .await?;
    Ok(())
}
