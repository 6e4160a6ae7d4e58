//! SQL of documents.

pub(super) mod decisions;
pub(crate) mod objects;

use gx_db::{AdminId, Parsed, PgConnection, ProfileId};
use time::OffsetDateTime;

use crate::kinds::{DocumentSide, DocumentStatus, DocumentType};

use super::{Document, DocumentClaim, Fingerprints};

/// How much a person has stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Number of documents.
    pub documents: i64,
    /// Size of their files, in bytes.
    pub bytes: i64,
}

/// A document that is new.
pub(crate) struct NewDocument<'a> {
    pub(crate) document_id: &'a str,
    pub(crate) profile_id: &'a ProfileId,
    pub(crate) claim: &'a DocumentClaim,
    pub(crate) status: DocumentStatus,
    pub(crate) fingerprints: &'a Fingerprints,
    pub(crate) size: i64,
    pub(crate) mime_type: &'a str,
    pub(crate) page_count: i32,
    pub(crate) storage_key: &'a str,
    pub(crate) wrapped_key: &'a [u8],
    pub(crate) facts: &'a [u8],
    pub(crate) scanned_at: Option<OffsetDateTime>,
    pub(crate) now: OffsetDateTime,
}

/// Fingerprints of an older key.
pub(crate) struct OldFingerprints {
    pub(crate) document_id: String,
    pub(crate) profile_id: ProfileId,
    pub(crate) facts: Vec<u8>,
}

/// A document of another person that has the same file or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The document.
    pub document_id: String,
    /// Its person.
    pub profile_id: ProfileId,
    /// Whether the files are the same.
    pub is_same_file: bool,
    /// Whether the numbers are the same.
    pub is_same_number: bool,
}

/// Locks the account until the transaction ends, against an erasure alone: it waits for this
/// transaction, or this one sees it.
pub(crate) async fn lock_against_erasure(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"SELECT "profileId" FROM "UserProfile" WHERE "profileId" = $1 FOR KEY SHARE"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(())
}

pub(crate) async fn insert(
    conn: &mut PgConnection,
    new: &NewDocument<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "KYCDocument" ("documentId", "profileId", type, side, status, sha256, size,
               "mimeType", "storageKey", "issuingCountry", "issuedDate", "expiryDate", "uploadedAt",
               "wrappedKey", facts, "numberFingerprint", "fingerprintKeyVersion", "pageCount",
               "scannedAt")
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
               $19)"#,
        new.document_id,
        new.profile_id.as_str(),
        new.claim.kind.name(),
        new.claim.side.map(DocumentSide::name),
        new.status.name(),
        new.fingerprints.content,
        new.size,
        new.mime_type,
        new.storage_key,
        new.claim.issuing_country,
        new.claim.issued_on,
        new.claim.expires_on,
        new.now,
        new.wrapped_key,
        new.facts,
        new.fingerprints.number,
        new.fingerprints.key_version,
        new.page_count,
        new.scanned_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the names of all types and of all statuses, as a statement takes them.
fn known_names() -> (Vec<String>, Vec<String>) {
    let types = DocumentType::ALL.map(|kind| kind.name().to_owned());
    let statuses = DocumentStatus::ALL.map(|status| status.name().to_owned());
    (types.into(), statuses.into())
}

/// Returns the documents of a person. Rows of imported databases may have types and statuses that
/// no document has; they are left out.
pub(super) async fn documents(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Vec<Document>, sqlx::Error> {
    let (types, statuses) = known_names();
    sqlx::query_as!(
        Document,
        r#"SELECT "documentId" AS document_id, "profileId" AS profile_id,
               type AS "kind: Parsed<DocumentType>", side AS "side: Parsed<DocumentSide>",
               status AS "status: Parsed<DocumentStatus>", size, "mimeType" AS mime_type,
               "pageCount" AS page_count, "issuingCountry" AS issuing_country,
               "issuedDate" AS issued_on, "expiryDate" AS expires_on, "uploadedAt" AS uploaded_at,
               "isInfected" AS is_infected, "erasedAt" AS erased_at,
               "reviewedBy" AS "reviewed_by: AdminId", "reviewedAt" AS reviewed_at,
               "reasonCode" AS reason_code, "publicComment" AS public_comment,
               "storageKey" AS storage_key, "wrappedKey" AS wrapped_key, facts
           FROM "KYCDocument"
           WHERE "profileId" = $1 AND type = ANY($2) AND status = ANY($3)
           ORDER BY "uploadedAt", "documentId""#,
        profile_id.as_str(),
        &types,
        &statuses,
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn document(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    document_id: &str,
) -> Result<Option<Document>, sqlx::Error> {
    let (types, statuses) = known_names();
    sqlx::query_as!(
        Document,
        r#"SELECT "documentId" AS document_id, "profileId" AS profile_id,
               type AS "kind: Parsed<DocumentType>", side AS "side: Parsed<DocumentSide>",
               status AS "status: Parsed<DocumentStatus>", size, "mimeType" AS mime_type,
               "pageCount" AS page_count, "issuingCountry" AS issuing_country,
               "issuedDate" AS issued_on, "expiryDate" AS expires_on, "uploadedAt" AS uploaded_at,
               "isInfected" AS is_infected, "erasedAt" AS erased_at,
               "reviewedBy" AS "reviewed_by: AdminId", "reviewedAt" AS reviewed_at,
               "reasonCode" AS reason_code, "publicComment" AS public_comment,
               "storageKey" AS storage_key, "wrappedKey" AS wrapped_key, facts
           FROM "KYCDocument"
           WHERE "profileId" = $1 AND "documentId" = $2 AND type = ANY($3) AND status = ANY($4)"#,
        profile_id.as_str(),
        document_id,
        &types,
        &statuses,
    )
    .fetch_optional(conn)
    .await
}

/// Returns documents that wait for the scanner, of those that came in after `after`.
pub(crate) async fn quarantined(
    conn: &mut PgConnection,
    after: (OffsetDateTime, &str),
    limit: i64,
) -> Result<Vec<Document>, sqlx::Error> {
    sqlx::query_as!(
        Document,
        r#"SELECT "documentId" AS document_id, "profileId" AS profile_id,
               type AS "kind: Parsed<DocumentType>", side AS "side: Parsed<DocumentSide>",
               status AS "status: Parsed<DocumentStatus>", size, "mimeType" AS mime_type,
               "pageCount" AS page_count, "issuingCountry" AS issuing_country,
               "issuedDate" AS issued_on, "expiryDate" AS expires_on, "uploadedAt" AS uploaded_at,
               "isInfected" AS is_infected, "erasedAt" AS erased_at,
               "reviewedBy" AS "reviewed_by: AdminId", "reviewedAt" AS reviewed_at,
               "reasonCode" AS reason_code, "publicComment" AS public_comment,
               "storageKey" AS storage_key, "wrappedKey" AS wrapped_key, facts
           FROM "KYCDocument"
           WHERE status = 'QUARANTINED' AND "wrappedKey" IS NOT NULL
             AND ("uploadedAt", "documentId") > ($1, $2)
           ORDER BY "uploadedAt", "documentId" LIMIT $3"#,
        after.0,
        after.1,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns the number of documents that wait for the scanner, counted up to `limit`.
pub(crate) async fn count_quarantined(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
               SELECT FROM "KYCDocument"
               WHERE status = 'QUARANTINED' AND "wrappedKey" IS NOT NULL LIMIT $1) AS held"#,
        limit,
    )
    .fetch_one(conn)
    .await
}

pub(super) async fn usage(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Usage, sqlx::Error> {
    sqlx::query_as!(
        Usage,
        r#"SELECT count(*) AS "documents!", coalesce(sum(size), 0)::bigint AS "bytes!"
           FROM "KYCDocument" WHERE "profileId" = $1 AND "erasedAt" IS NULL"#,
        profile_id.as_str(),
    )
    .fetch_one(conn)
    .await
}

pub(super) async fn set_status(
    conn: &mut PgConnection,
    document_id: &str,
    from: DocumentStatus,
    to: DocumentStatus,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "KYCDocument" SET status = $3
           WHERE "documentId" = $1 AND status = $2 AND "erasedAt" IS NULL"#,
        document_id,
        from.name(),
        to.name(),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Records the verdict of the scanner on a document that waits for it. Returns whether it waited.
pub(crate) async fn set_verdict(
    conn: &mut PgConnection,
    document_id: &str,
    is_infected: bool,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let status = if is_infected { DocumentStatus::Rejected } else { DocumentStatus::Stored };
    let done = sqlx::query!(
        r#"UPDATE "KYCDocument" SET status = $2, "isInfected" = $3, "scannedAt" = $4
           WHERE "documentId" = $1 AND status = 'QUARANTINED'"#,
        document_id,
        status.name(),
        is_infected,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes the row of a document and returns the name of its file, or `None` if the person has no
/// such document.
pub(super) async fn delete(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    document_id: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"DELETE FROM "KYCDocument"
           WHERE "profileId" = $1 AND "documentId" = $2 AND "erasedAt" IS NULL
           RETURNING "storageKey""#,
        profile_id.as_str(),
        document_id,
    )
    .fetch_optional(conn)
    .await
}

/// Returns documents of other people with one of these hashes.
pub(crate) async fn duplicates(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    fingerprints: &Fingerprints,
    limit: i64,
) -> Result<Vec<Duplicate>, sqlx::Error> {
    sqlx::query_as!(
        Duplicate,
        r#"SELECT "documentId" AS "document_id!", "profileId" AS "profile_id!: ProfileId",
               bool_or("isSameFile") AS "is_same_file!",
               bool_or(NOT "isSameFile") AS "is_same_number!"
           FROM (
               SELECT "documentId", "profileId", true AS "isSameFile" FROM "KYCDocument"
               WHERE sha256 = ANY($2) AND "erasedAt" IS NULL
               UNION ALL
               SELECT "documentId", "profileId", false FROM "KYCDocument"
               WHERE "numberFingerprint" = ANY($3)
           ) AS same
           WHERE "profileId" <> $1
           GROUP BY "documentId", "profileId" ORDER BY "documentId" LIMIT $4"#,
        profile_id.as_str(),
        &fingerprints.all_contents[..],
        &fingerprints.all_numbers[..],
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns documents after `after` whose hashes have another key than the current one.
pub(crate) async fn old_fingerprints(
    conn: &mut PgConnection,
    version: i32,
    after: &str,
    limit: i64,
) -> Result<Vec<OldFingerprints>, sqlx::Error> {
    sqlx::query_as!(
        OldFingerprints,
        r#"SELECT "documentId" AS document_id, "profileId" AS profile_id, facts AS "facts!"
           FROM "KYCDocument"
           WHERE "fingerprintKeyVersion" = $1 AND "documentId" > $2 AND facts IS NOT NULL
           ORDER BY "documentId" LIMIT $3"#,
        version,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Replaces the hashes of a document whose facts have not changed.
pub(crate) async fn set_fingerprints(
    conn: &mut PgConnection,
    old: &OldFingerprints,
    new: &Fingerprints,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "KYCDocument"
           SET sha256 = $3, "numberFingerprint" = $4, "fingerprintKeyVersion" = $5
           WHERE "documentId" = $1 AND facts = $2"#,
        old.document_id,
        old.facts,
        new.content,
        new.number,
        new.key_version,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Returns the number of documents for each key of their hashes.
pub(crate) async fn fingerprints_by_version(
    conn: &mut PgConnection,
) -> Result<Vec<(i32, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT "fingerprintKeyVersion" AS "version!", count(*) AS "count!"
           FROM "KYCDocument" WHERE "fingerprintKeyVersion" IS NOT NULL
           GROUP BY "fingerprintKeyVersion" ORDER BY 1"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.version, row.count)).collect())
}
