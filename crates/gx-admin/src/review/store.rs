//! SQL of reviews and their decisions. Called by `batch`, `reservation` and the parent module.

use gx_db::{AdminId, Parsed, PgConnection, ProfileId};
use gx_model::{AccountStatus, CommandId, DenialFinality, SubmissionStatus};
use time::{Date, OffsetDateTime};

use super::Denial;

/// A person under review.
pub(crate) struct Candidate {
    pub(crate) status: AccountStatus,
    pub(crate) is_locked: bool,
    pub(crate) email: String,
    pub(crate) phone_num: Option<String>,
    pub(crate) date_of_birth: Date,
    pub(crate) gender: String,
    pub(crate) nationality: Option<String>,
    pub(crate) approval_count: i32,
}

/// A reviewer's decision on a submission.
pub(crate) struct ReviewDecision<'a> {
    status: SubmissionStatus,
    by: &'a AdminId,
    at: OffsetDateTime,
    reason_code: Option<&'a str>,
    finality: Option<DenialFinality>,
    public_comment: Option<&'a str>,
    private_comment: Option<&'a str>,
}

impl<'a> ReviewDecision<'a> {
    pub(crate) fn approved(by: &'a AdminId, note: Option<&'a str>, at: OffsetDateTime) -> Self {
        Self {
            status: SubmissionStatus::Approved,
            by,
            at,
            reason_code: None,
            finality: None,
            public_comment: None,
            private_comment: note,
        }
    }

    pub(crate) fn denied(by: &'a AdminId, denial: &Denial<'a>, at: OffsetDateTime) -> Self {
        Self {
            status: SubmissionStatus::Denied,
            by,
            at,
            reason_code: Some(denial.reason_code),
            finality: Some(denial.finality),
            public_comment: denial.public_comment,
            private_comment: denial.private_comment,
        }
    }
}

/// Returns the account and locks its row until the transaction ends. `None` if there is no such
/// account.
pub(crate) async fn lock_candidate(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<Candidate>, sqlx::Error> {
    sqlx::query_as!(
        Candidate,
        r#"SELECT status AS "status: Parsed<AccountStatus>", "isLocked" AS is_locked, email,
                  "phoneNum" AS phone_num,
                  "dateOfBirth" AS date_of_birth, gender,
                  "nationalityCountryCode" AS nationality, "approvalCount" AS approval_count
           FROM "UserProfile" WHERE "profileId" = $1 FOR UPDATE"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Returns the number of approvals of a person whose last approval is in force, or `None` if no
/// approval is in force.
pub(crate) async fn number_in_force(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT "approvalCount" FROM "UserProfile"
           WHERE "profileId" = $1 AND status IN ('APPROVED_PENDING_ONCHAIN', 'ACTIVE', 'FROZEN')"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Returns the Fabric User ID that is reserved for a CREATE_USER command, or `None` if none is.
pub(crate) async fn reserved_for(
    conn: &mut PgConnection,
    command_id: CommandId,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT "fabricUserId" FROM "FabricIdReservation" WHERE "commandId" = $1"#,
        command_id.to_string(),
    )
    .fetch_optional(conn)
    .await
}

/// Reserves an id. Returns `false` if another account has or has reserved it.
pub(crate) async fn reserve(
    conn: &mut PgConnection,
    fabric_user_id: &str,
    profile_id: &ProfileId,
    command_id: CommandId,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"INSERT INTO "FabricIdReservation"
               ("fabricUserId", "profileId", "commandId", "reservedAt")
           SELECT $1, $2, $3, $4
           WHERE NOT EXISTS (SELECT 1 FROM "UserProfile" WHERE "fabricUserId" = $1)
             AND NOT EXISTS (SELECT 1 FROM "LedgerUser" WHERE "fabricUserId" = $1)
           ON CONFLICT ("fabricUserId") DO NOTHING"#,
        fabric_user_id,
        profile_id.as_str(),
        command_id.to_string(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Sets the account to approved. Keeps `REGISTERED`, which only the projector sets.
pub(crate) async fn set_approved(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    number: i32,
    by: &AdminId,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "UserProfile" SET status = 'APPROVED_PENDING_ONCHAIN',
               "onchainStatus" = CASE "onchainStatus" WHEN 'REGISTERED' THEN 'REGISTERED'
                                 ELSE 'PENDING' END,
               "approvalCount" = $4, "reviewedBy" = $2, "reviewedAt" = $3,
               "denialReason" = NULL, "denialFinality" = NULL, "updatedAt" = $3
           WHERE "profileId" = $1"#,
        profile_id.as_str(),
        by.as_str(),
        now,
        number,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Sets the account to denied.
pub(crate) async fn set_denied(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    by: &AdminId,
    denial: &Denial<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "UserProfile" SET status = 'DENIED', "reviewedBy" = $2, "reviewedAt" = $5,
               "denialReason" = $3, "denialFinality" = $4, "updatedAt" = $5
           WHERE "profileId" = $1"#,
        profile_id.as_str(),
        by.as_str(),
        denial.reason_code,
        DenialFinality::name(denial.finality),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Stores the decision on the pending submission. If the account came back to review without a new
/// submission, stores it as a row of its own.
pub(crate) async fn decide(
    conn: &mut PgConnection,
    verification_id: &str,
    profile_id: &ProfileId,
    decision: &ReviewDecision<'_>,
) -> Result<(), sqlx::Error> {
    let decided = sqlx::query!(
        r#"UPDATE "KYCVerification" SET status = $2, "decidedBy" = $3, "decidedAt" = $4,
               "reasonCode" = $5, finality = $6, "publicComment" = $7, "privateComment" = $8
           WHERE "profileId" = $1 AND status = 'PENDING'"#,
        profile_id.as_str(),
        decision.status.name(),
        decision.by.as_str(),
        decision.at,
        decision.reason_code,
        decision.finality.map(DenialFinality::name),
        decision.public_comment,
        decision.private_comment,
    )
    .execute(&mut *conn)
    .await?;
    if decided.rows_affected() > 0 {
        return Ok(());
    }
    sqlx::query!(
        r#"INSERT INTO "KYCVerification" ("verificationId", "profileId", submission, status,
               "submittedAt", "decidedBy", "decidedAt", "reasonCode", finality,
               "publicComment", "privateComment")
           SELECT $1, $2, coalesce(max(submission), 0) + 1, $3, $5, $4, $5, $6, $7, $8, $9
           FROM "KYCVerification" WHERE "profileId" = $2"#,
        verification_id,
        profile_id.as_str(),
        decision.status.name(),
        decision.by.as_str(),
        decision.at,
        decision.reason_code,
        decision.finality.map(DenialFinality::name),
        decision.public_comment,
        decision.private_comment,
    )
    .execute(conn)
    .await?;
    Ok(())
}
