//! SQL of submissions for review. Called by the parent module and its routes.

use gx_db::{Named, Parsed, PgConnection, ProfileId};
use gx_model::{AccountStatus, DenialFinality, SubmissionStatus};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// The facts of an account that a submission checks.
pub(crate) struct Applicant {
    pub(crate) status: AccountStatus,
    pub(crate) phone_num: Option<String>,
    pub(crate) nationality: Option<String>,
    pub(crate) email_verified: bool,
    pub(crate) denial_finality: Option<Parsed<DenialFinality>>,
}

/// The result of a review, without what only reviewers see.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReviewResult {
    /// `APPROVED` or `DENIED`.
    #[schema(value_type = String, example = "DENIED")]
    outcome: Named<SubmissionStatus>,
    #[schema(required, example = "DOCUMENT_UNREADABLE")]
    reason_code: Option<String>,
    /// `RETRY` or `FINAL` for a denial.
    #[schema(required, value_type = Option<String>, example = "RETRY")]
    finality: Option<Named<DenialFinality>>,
    #[schema(required)]
    public_comment: Option<String>,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    decided_at: Option<OffsetDateTime>,
}

/// Returns the account and locks its row until the transaction ends.
pub(crate) async fn lock_applicant(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Applicant, sqlx::Error> {
    sqlx::query_as!(
        Applicant,
        r#"SELECT status AS "status: Parsed<AccountStatus>", "phoneNum" AS phone_num,
                  "nationalityCountryCode" AS nationality,
                  "emailVerifiedAt" IS NOT NULL AS "email_verified!",
                  "denialFinality" AS "denial_finality: Parsed<DenialFinality>"
           FROM "UserProfile" WHERE "profileId" = $1 FOR UPDATE"#,
        profile_id.as_str(),
    )
    .fetch_one(conn)
    .await
}

/// Adds a submission, with the next number of the account.
pub(crate) async fn insert_verification(
    conn: &mut PgConnection,
    verification_id: &str,
    profile_id: &ProfileId,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "KYCVerification" ("verificationId", "profileId", submission, "submittedAt")
           SELECT $1, $2, coalesce(max(submission), 0) + 1, $3
           FROM "KYCVerification" WHERE "profileId" = $2"#,
        verification_id,
        profile_id.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Sets the account's status to PENDING_ADMIN_APPROVAL.
pub(crate) async fn set_pending(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "UserProfile" SET status = 'PENDING_ADMIN_APPROVAL', "updatedAt" = $2
           WHERE "profileId" = $1"#,
        profile_id.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the last decision, or `None` if there is none yet.
pub(crate) async fn last_result(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<ReviewResult>, sqlx::Error> {
    sqlx::query_as!(
        ReviewResult,
        r#"SELECT status AS "outcome: Named<SubmissionStatus>", "reasonCode" AS reason_code,
                  finality AS "finality: Named<DenialFinality>",
                  "publicComment" AS public_comment, "decidedAt" AS decided_at
           FROM "KYCVerification" WHERE "profileId" = $1 AND status <> 'PENDING'
           ORDER BY submission DESC LIMIT 1"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}
