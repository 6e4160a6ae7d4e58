//! SQL of reviewers' decisions on documents.

use gx_db::{AdminId, PgConnection, ProfileId};
use time::OffsetDateTime;

use crate::repository::DocumentDecision;

/// Decides on a document that waits for a reviewer. Returns whether it did.
pub(in crate::repository) async fn decide(
    conn: &mut PgConnection,
    document_id: &str,
    decision: &DocumentDecision<'_>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "KYCDocument"
           SET status = $2, "reviewedBy" = $3, "reviewedAt" = $4, "reasonCode" = $5,
               "publicComment" = $6
           WHERE "documentId" = $1 AND status = 'STORED' AND "erasedAt" IS NULL"#,
        document_id,
        decision.status.name(),
        decision.by.as_str(),
        now,
        decision.reason_code,
        decision.public_comment,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Accepts all documents of a person that wait for a reviewer, and returns their ids.
pub(in crate::repository) async fn accept_stored(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    by: &AdminId,
    now: OffsetDateTime,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"UPDATE "KYCDocument" SET status = 'ACCEPTED', "reviewedBy" = $2, "reviewedAt" = $3
           WHERE "profileId" = $1 AND status = 'STORED' AND "erasedAt" IS NULL
           RETURNING "documentId""#,
        profile_id.as_str(),
        by.as_str(),
        now,
    )
    .fetch_all(conn)
    .await
}
