//! SQL of people, for reading.

use gx_db::PgConnection;
use serde::Serialize;
use time::{Date, OffsetDateTime};
use utoipa::ToSchema;

time::serde::format_description!(day, Date, "[year]-[month]-[day]");

/// What a list is narrowed to; `None` is everything.
pub(crate) struct Filter<'a> {
    pub(crate) status: Option<&'a str>,
    pub(crate) country: Option<String>,
    pub(crate) text: Option<&'a str>,
}

/// A person in a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserItem {
    pub(crate) profile_id: String,
    pub(crate) email: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) status: String,
    pub(crate) onchain_status: String,
    #[schema(required)]
    pub(crate) nationality_country_code: Option<String>,
    #[schema(required)]
    pub(crate) fabric_user_id: Option<String>,
    pub(crate) is_locked: bool,
    #[serde(with = "gx_serve::moment")]
    pub(crate) created_at: OffsetDateTime,
}

/// Everything a reviewer may know of a person.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserDetail {
    pub(crate) profile_id: String,
    pub(crate) email: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    #[schema(required)]
    pub(crate) phone_num: Option<String>,
    #[schema(required)]
    pub(crate) identity_num: Option<String>,
    #[serde(with = "day")]
    #[schema(value_type = String, format = "date")]
    pub(crate) date_of_birth: Date,
    pub(crate) gender: String,
    #[schema(required)]
    pub(crate) nationality_country_code: Option<String>,
    pub(crate) status: String,
    pub(crate) onchain_status: String,
    #[schema(required)]
    pub(crate) fabric_user_id: Option<String>,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    pub(crate) onchain_registered_at: Option<OffsetDateTime>,
    pub(crate) is_locked: bool,
    #[schema(required)]
    pub(crate) lock_reason: Option<String>,
    #[schema(required)]
    pub(crate) locked_by: Option<String>,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    pub(crate) locked_at: Option<OffsetDateTime>,
    #[schema(required)]
    pub(crate) lock_notes: Option<String>,
    #[schema(required)]
    pub(crate) reviewed_by: Option<String>,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    pub(crate) reviewed_at: Option<OffsetDateTime>,
    #[schema(required)]
    pub(crate) denial_reason: Option<String>,
    #[schema(required)]
    pub(crate) denial_finality: Option<String>,
    #[serde(with = "gx_serve::moment")]
    pub(crate) created_at: OffsetDateTime,
    #[serde(with = "gx_serve::moment")]
    pub(crate) updated_at: OffsetDateTime,
}

/// Whether a person may pay, as the ledger has it and as it may soon have it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Freeze {
    is_frozen: bool,
    /// `FREEZE_WALLET` or `UNFREEZE_WALLET` while it is on its way.
    #[schema(required)]
    pending: Option<String>,
    /// Why the ledger refused the last of them, if it did.
    #[schema(required)]
    last_refusal: Option<String>,
}

/// One submission and its decision.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VerificationItem {
    verification_id: String,
    submission: i32,
    status: String,
    #[serde(with = "gx_serve::moment")]
    submitted_at: OffsetDateTime,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    decided_at: Option<OffsetDateTime>,
    #[schema(required)]
    decided_by: Option<String>,
    #[schema(required)]
    reason_code: Option<String>,
    #[schema(required)]
    finality: Option<String>,
    #[schema(required)]
    public_comment: Option<String>,
    #[schema(required)]
    private_comment: Option<String>,
}

/// People in the order of their registration, from above a key on.
pub(crate) async fn list(
    conn: &mut PgConnection,
    filter: &Filter<'_>,
    above: Option<&(OffsetDateTime, String)>,
    limit: i64,
) -> Result<Vec<UserItem>, sqlx::Error> {
    let (created_at, profile_id) = above.map(|(at, id)| (*at, id.as_str())).unzip();
    sqlx::query_as!(
        UserItem,
        r#"SELECT "profileId" AS profile_id, email, "firstName" AS first_name,
                  "lastName" AS last_name, status, "onchainStatus" AS onchain_status,
                  "nationalityCountryCode" AS nationality_country_code,
                  "fabricUserId" AS fabric_user_id, "isLocked" AS is_locked,
                  "createdAt" AS created_at
           FROM "UserProfile"
           WHERE ($1::text IS NULL OR status = $1)
             AND ($2::text IS NULL OR "nationalityCountryCode" = $2)
             AND ($3::text IS NULL OR position(lower($3) IN
                  lower(email || ' ' || "firstName" || ' ' || "lastName")) > 0)
             AND ($4::timestamptz IS NULL OR ("createdAt", "profileId") > ($4, $5))
           ORDER BY "createdAt", "profileId"
           LIMIT $6"#,
        filter.status,
        filter.country,
        filter.text,
        created_at,
        profile_id,
        limit,
    )
    .fetch_all(conn)
    .await
}

pub(crate) async fn get(
    conn: &mut PgConnection,
    profile_id: &str,
) -> Result<Option<UserDetail>, sqlx::Error> {
    sqlx::query_as!(
        UserDetail,
        r#"SELECT "profileId" AS profile_id, email, "firstName" AS first_name,
                  "lastName" AS last_name, "phoneNum" AS phone_num,
                  "identityNum" AS identity_num, "dateOfBirth" AS date_of_birth, gender,
                  "nationalityCountryCode" AS nationality_country_code, status,
                  "onchainStatus" AS onchain_status, "fabricUserId" AS fabric_user_id,
                  "onchainRegisteredAt" AS onchain_registered_at, "isLocked" AS is_locked,
                  "lockReason" AS lock_reason, "lockedBy" AS locked_by, "lockedAt" AS locked_at,
                  "lockNotes" AS lock_notes, "reviewedBy" AS reviewed_by,
                  "reviewedAt" AS reviewed_at, "denialReason" AS denial_reason,
                  "denialFinality" AS denial_finality, "createdAt" AS created_at,
                  "updatedAt" AS updated_at
           FROM "UserProfile" WHERE "profileId" = $1"#,
        profile_id,
    )
    .fetch_optional(conn)
    .await
}

/// `None` for people whom the ledger does not know.
pub(crate) async fn freeze(
    conn: &mut PgConnection,
    profile_id: &str,
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
        profile_id,
    )
    .fetch_optional(conn)
    .await
}

pub(crate) async fn verifications(
    conn: &mut PgConnection,
    profile_id: &str,
) -> Result<Vec<VerificationItem>, sqlx::Error> {
    sqlx::query_as!(
        VerificationItem,
        r#"SELECT "verificationId" AS verification_id, submission, status,
                  "submittedAt" AS submitted_at, "decidedAt" AS decided_at,
                  "decidedBy" AS decided_by, "reasonCode" AS reason_code, finality,
                  "publicComment" AS public_comment, "privateComment" AS private_comment
           FROM "KYCVerification" WHERE "profileId" = $1 ORDER BY submission"#,
        profile_id,
    )
    .fetch_all(conn)
    .await
}
