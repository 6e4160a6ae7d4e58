//! SQL of erasures.

use gx_db::{PgConnection, ProfileId};
use time::OffsetDateTime;

use crate::store::{ErasureRecord, record_name};

/// Locks the account until the transaction ends and returns whether it is on legal hold, or `None`
/// if there is no such account. A transaction that adds a document has locked the account against
/// this, so that this one waits for its end.
pub(super) async fn lock_person(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT "legalHoldAt" IS NOT NULL AS "is_on_hold!" FROM "UserProfile"
           WHERE "profileId" = $1 FOR UPDATE"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Removes from the rows of a person's documents what is about the person, and announces that the
/// files are to be removed. Returns the number of documents.
pub(super) async fn erase_documents(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "DocumentObject" ("storageKey", "profileId", state, since)
           SELECT "storageKey", "profileId", 'REMOVAL', $2 FROM "KYCDocument"
           WHERE "profileId" = $1 AND "erasedAt" IS NULL AND "wrappedKey" IS NOT NULL
           ON CONFLICT ("storageKey") DO NOTHING"#,
        profile_id.as_str(),
        now,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"UPDATE "DocumentObject" SET state = 'REMOVAL', since = $2
           WHERE "profileId" = $1 AND state = 'UPLOAD'"#,
        profile_id.as_str(),
        now,
    )
    .execute(&mut *conn)
    .await?;
    let done = sqlx::query!(
        r#"UPDATE "KYCDocument"
           SET "erasedAt" = $2, sha256 = repeat('0', 64), "wrappedKey" = NULL, facts = NULL,
               "numberFingerprint" = NULL, "fingerprintKeyVersion" = NULL,
               "documentNumber" = NULL, "issuingCountry" = NULL, "issuedDate" = NULL,
               "expiryDate" = NULL, "publicComment" = NULL
           WHERE "profileId" = $1 AND "erasedAt" IS NULL"#,
        profile_id.as_str(),
        now,
    )
    .execute(&mut *conn)
    .await?;
    crate::requests::end(conn, profile_id).await?;
    Ok(done.rows_affected())
}

/// Records that this database knows an erasure, unless it does already.
pub(super) async fn insert(
    conn: &mut PgConnection,
    record: &ErasureRecord,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "PersonErasure" ("recordName", "profileId", "reasonCode", "erasedAt",
               "appliedAt")
           VALUES ($1, $2, $3, $4, $5) ON CONFLICT ("recordName") DO NOTHING"#,
        record_name(&record.profile_id),
        record.profile_id.as_str(),
        record.reason_code,
        record.erased_at,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns those of the names that this database does not know.
pub(super) async fn unknown(
    conn: &mut PgConnection,
    names: &[String],
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT name AS "name!" FROM unnest($1::text[]) AS name
           WHERE NOT EXISTS (SELECT FROM "PersonErasure" WHERE "recordName" = name)"#,
        names,
    )
    .fetch_all(conn)
    .await
}

/// Returns whether a person was erased.
pub(super) async fn is_erased(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM "PersonErasure" WHERE "profileId" = $1) AS "erased!""#,
        profile_id.as_str(),
    )
    .fetch_one(conn)
    .await
}
