//! SQL that reads people. Called by the routes of the parent module.

use gx_db::{AdminId, Named, PgConnection, ProfileId};
use gx_model::{AccountStatus, DenialFinality, OnchainStatus, SubmissionStatus};
use serde::Serialize;
use time::{Date, OffsetDateTime};
use utoipa::ToSchema;

time::serde::format_description!(day, Date, "[year]-[month]-[day]");

/// Filters of a list of people; `None` matches all.
pub(crate) struct UserFilter<'a> {
    pub(crate) status: Option<AccountStatus>,
    pub(crate) country: Option<String>,
    pub(crate) assignee: Option<&'a AdminId>,
    pub(crate) search: Option<&'a Search>,
}

/// Part of a name or address, in the forms in which it is compared.
pub(crate) struct Search {
    /// The form that the SQL function `"SearchForm"` makes.
    pub(crate) name: String,
    /// The form of mailboxes.
    pub(crate) address: String,
}

/// A person in a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserItem {
    #[schema(value_type = String, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    pub(crate) profile_id: ProfileId,
    #[schema(example = "sarah.johnson@gxtest.com")]
    pub(crate) email: String,
    #[schema(example = "Sarah")]
    pub(crate) first_name: String,
    /// `null` for people who have one name.
    #[schema(required, example = "Johnson")]
    pub(crate) last_name: Option<String>,
    #[schema(value_type = String, example = "PENDING_ADMIN_APPROVAL")]
    pub(crate) status: Named<AccountStatus>,
    #[schema(value_type = String, example = "NOT_REGISTERED")]
    pub(crate) onchain_status: Named<OnchainStatus>,
    #[schema(required, example = "MY")]
    pub(crate) nationality_country_code: Option<String>,
    #[schema(required)]
    pub(crate) fabric_user_id: Option<String>,
    pub(crate) is_locked: bool,
    #[serde(with = "gx_serve::moment")]
    pub(crate) created_at: OffsetDateTime,
}

/// The facts about a person that a reviewer may see.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserDetail {
    #[schema(value_type = String, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    pub(crate) profile_id: ProfileId,
    #[schema(example = "sarah.johnson@gxtest.com")]
    pub(crate) email: String,
    #[schema(example = "Sarah")]
    pub(crate) first_name: String,
    /// `null` for people who have one name.
    #[schema(required, example = "Johnson")]
    pub(crate) last_name: Option<String>,
    #[schema(required, example = "+60123456790")]
    pub(crate) phone_num: Option<String>,
    #[schema(required, example = "920820-14-5678")]
    pub(crate) identity_num: Option<String>,
    #[serde(with = "day")]
    #[schema(value_type = String, format = "date", example = "1992-08-20")]
    pub(crate) date_of_birth: Date,
    #[schema(example = "female")]
    pub(crate) gender: String,
    #[schema(required, example = "MY")]
    pub(crate) nationality_country_code: Option<String>,
    #[schema(value_type = String, example = "PENDING_ADMIN_APPROVAL")]
    pub(crate) status: Named<AccountStatus>,
    #[schema(value_type = String, example = "NOT_REGISTERED")]
    pub(crate) onchain_status: Named<OnchainStatus>,
    #[schema(required)]
    pub(crate) fabric_user_id: Option<String>,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    pub(crate) onchain_registered_at: Option<OffsetDateTime>,
    pub(crate) is_locked: bool,
    #[schema(required)]
    pub(crate) lock_reason: Option<String>,
    #[schema(required, value_type = Option<String>)]
    pub(crate) locked_by: Option<AdminId>,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    pub(crate) locked_at: Option<OffsetDateTime>,
    #[schema(required)]
    pub(crate) lock_notes: Option<String>,
    #[schema(required, value_type = Option<String>)]
    pub(crate) reviewed_by: Option<AdminId>,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    pub(crate) reviewed_at: Option<OffsetDateTime>,
    #[schema(required)]
    pub(crate) denial_reason: Option<String>,
    #[schema(required, value_type = Option<String>)]
    pub(crate) denial_finality: Option<Named<DenialFinality>>,
    /// Begin of the legal hold, or `null` if the account is not on hold.
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    pub(crate) legal_hold_at: Option<OffsetDateTime>,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    pub(crate) closed_at: Option<OffsetDateTime>,
    #[serde(with = "gx_serve::moment")]
    pub(crate) created_at: OffsetDateTime,
    #[serde(with = "gx_serve::moment")]
    pub(crate) updated_at: OffsetDateTime,
}

/// Whether a person's wallet is frozen, and the freeze or unfreeze that is not settled.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Freeze {
    is_frozen: bool,
    /// `FREEZE_WALLET` or `UNFREEZE_WALLET` while that command is not settled.
    #[schema(required)]
    pending: Option<String>,
    /// Code of the rule that refused the last freeze or unfreeze, if it was refused.
    #[schema(required)]
    last_refusal: Option<String>,
}

/// Who reviews a person, and until when.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClaimItem {
    #[schema(value_type = String, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    assignee: AdminId,
    #[serde(with = "gx_serve::moment")]
    lease_until: OffsetDateTime,
}

/// One submission for review, and its decision.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VerificationItem {
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    verification_id: String,
    submission: i32,
    #[schema(value_type = String, example = "PENDING")]
    status: Named<SubmissionStatus>,
    #[serde(with = "gx_serve::moment")]
    submitted_at: OffsetDateTime,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    decided_at: Option<OffsetDateTime>,
    #[schema(required, value_type = Option<String>)]
    decided_by: Option<AdminId>,
    #[schema(required)]
    reason_code: Option<String>,
    #[schema(required, value_type = Option<String>)]
    finality: Option<Named<DenialFinality>>,
    #[schema(required)]
    public_comment: Option<String>,
    #[schema(required)]
    private_comment: Option<String>,
}

/// Returns people in the order of their registration, after the time and id in `above`.
pub(crate) async fn list(
    conn: &mut PgConnection,
    filter: &UserFilter<'_>,
    above: Option<&(OffsetDateTime, ProfileId)>,
    limit: i64,
) -> Result<Vec<UserItem>, sqlx::Error> {
    let (created_at, profile_id) = above.map(|(at, id)| (*at, id.as_str())).unzip();
    sqlx::query_as!(
        UserItem,
        r#"SELECT "profileId" AS profile_id, email, "firstName" AS first_name,
                  nullif("lastName", '') AS last_name, status AS "status: Named<AccountStatus>",
                  "onchainStatus" AS "onchain_status: Named<OnchainStatus>",
                  "nationalityCountryCode" AS nationality_country_code,
                  "fabricUserId" AS fabric_user_id, "isLocked" AS is_locked,
                  "createdAt" AS created_at
           FROM "UserProfile"
           WHERE ($1::text IS NULL OR status = $1)
             AND ($2::text IS NULL OR "nationalityCountryCode" = $2)
             AND ($3::text IS NULL
                  OR position($3 IN
                     "SearchForm"(email || ' ' || "firstName" || ' ' || "lastName")) > 0
                  OR position($7 IN coalesce(mailbox, email)) > 0)
             AND ($8::text IS NULL
                  OR "profileId" IN (SELECT c."profileId" FROM "ReviewClaim" c
                                     WHERE c."adminId" = $8
                                       AND c."leaseUntil" > clock_timestamp()))
             AND ($4::timestamptz IS NULL OR ("createdAt", "profileId") > ($4, $5))
           ORDER BY "createdAt", "profileId"
           LIMIT $6"#,
        filter.status.map(AccountStatus::name),
        filter.country,
        filter.search.map(|search| search.name.as_str()),
        created_at,
        profile_id,
        limit,
        filter.search.map(|search| search.address.as_str()),
        filter.assignee.map(AdminId::as_str),
    )
    .fetch_all(conn)
    .await
}

/// Returns a person, or `None` if there is none with this id.
pub(crate) async fn get(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<UserDetail>, sqlx::Error> {
    sqlx::query_as!(
        UserDetail,
        r#"SELECT "profileId" AS profile_id, email, "firstName" AS first_name,
                  nullif("lastName", '') AS last_name, "phoneNum" AS phone_num,
                  "identityNum" AS identity_num, "dateOfBirth" AS date_of_birth, gender,
                  "nationalityCountryCode" AS nationality_country_code,
                  status AS "status: Named<AccountStatus>",
                  "onchainStatus" AS "onchain_status: Named<OnchainStatus>",
                  "fabricUserId" AS fabric_user_id,
                  "onchainRegisteredAt" AS onchain_registered_at, "isLocked" AS is_locked,
                  "lockReason" AS lock_reason, "lockedBy" AS "locked_by: AdminId",
                  "lockedAt" AS locked_at, "lockNotes" AS lock_notes,
                  "reviewedBy" AS "reviewed_by: AdminId", "reviewedAt" AS reviewed_at,
                  "denialReason" AS denial_reason,
                  "denialFinality" AS "denial_finality: Named<DenialFinality>",
                  "legalHoldAt" AS legal_hold_at, "closedAt" AS closed_at,
                  "createdAt" AS created_at, "updatedAt" AS updated_at
           FROM "UserProfile" WHERE "profileId" = $1"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Returns the state of the person's wallet, or `None` if the person is not on the ledger.
pub(crate) async fn freeze(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<Freeze>, sqlx::Error> {
    sqlx::query_as!(
        Freeze,
        r#"SELECT u."isFrozen" AS is_frozen,
                  CASE WHEN last."settledAt" IS NULL THEN last.kind END AS pending,
                  CASE WHEN last.status = 'REFUSED'
                       THEN last.outcome #>> '{rejection,code}' END AS last_refusal
           FROM "LedgerUser" u LEFT JOIN LATERAL (
               SELECT kind, status, outcome, "settledAt" FROM "OutboxHistory" c
               WHERE c."profileId" = u."profileId"
                 AND c.kind IN ('FREEZE_WALLET', 'UNFREEZE_WALLET')
               ORDER BY c.number DESC LIMIT 1) last ON true
           WHERE u."profileId" = $1"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Returns the claim on a person, or `None` if no lease lasts.
pub(crate) async fn claim(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<ClaimItem>, sqlx::Error> {
    sqlx::query_as!(
        ClaimItem,
        r#"SELECT "adminId" AS assignee, "leaseUntil" AS lease_until FROM "ReviewClaim"
           WHERE "profileId" = $1 AND "leaseUntil" > clock_timestamp()"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Returns all submissions of a person with their decisions, the oldest first.
pub(crate) async fn verifications(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Vec<VerificationItem>, sqlx::Error> {
    sqlx::query_as!(
        VerificationItem,
        r#"SELECT "verificationId" AS verification_id, submission,
                  status AS "status: Named<SubmissionStatus>",
                  "submittedAt" AS submitted_at, "decidedAt" AS decided_at,
                  "decidedBy" AS "decided_by: AdminId", "reasonCode" AS reason_code,
                  finality AS "finality: Named<DenialFinality>",
                  "publicComment" AS public_comment, "privateComment" AS private_comment
           FROM "KYCVerification" WHERE "profileId" = $1 ORDER BY submission"#,
        profile_id.as_str(),
    )
    .fetch_all(conn)
    .await
}
