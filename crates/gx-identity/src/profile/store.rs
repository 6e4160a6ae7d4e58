//! SQL of a person's own profile. Called by the parent module and `onchain`.

use gx_db::{Named, Parsed, PgConnection, ProfileId};
use gx_model::{AccountStatus, CommandStatus, OnchainStatus};
use serde::Serialize;
use serde_json::Value;
use time::{Date, OffsetDateTime};
use utoipa::ToSchema;

use super::changes::ProfileChanges;

time::serde::format_description!(day, Date, "[year]-[month]-[day]");

/// The profile that the person sees.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Profile {
    #[schema(value_type = String, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    pub(crate) profile_id: ProfileId,
    #[schema(example = "sarah.johnson@gxtest.com")]
    pub(crate) email: String,
    /// Whether the address was confirmed by mail.
    #[schema(example = true)]
    pub(crate) email_verified: bool,
    #[schema(example = "Sarah")]
    pub(crate) first_name: String,
    /// `null` for people who have one name.
    #[schema(required, example = "Johnson")]
    pub(crate) last_name: Option<String>,
    #[schema(value_type = String, example = "ACTIVE")]
    pub(crate) status: Named<AccountStatus>,
    #[serde(with = "gx_serve::moment")]
    pub(crate) created_at: OffsetDateTime,
    #[schema(required, example = "+60123456790")]
    pub(crate) phone_num: Option<String>,
    #[schema(required, example = "MY")]
    pub(crate) nationality_country_code: Option<String>,
    #[serde(with = "day")]
    #[schema(value_type = String, format = "date", example = "1992-08-20")]
    pub(crate) date_of_birth: Date,
    #[schema(example = "female")]
    pub(crate) gender: String,
    /// `null` until the ledger has confirmed the id.
    #[schema(required, example = "MY 463 AUN834 0QKZB 5821")]
    pub(crate) fabric_user_id: Option<String>,
    #[schema(value_type = String, example = "REGISTERED")]
    pub(crate) onchain_status: Named<OnchainStatus>,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    pub(crate) onchain_registered_at: Option<OffsetDateTime>,
    pub(crate) is_locked: bool,
    #[serde(with = "gx_serve::moment")]
    pub(crate) updated_at: OffsetDateTime,
}

/// A command that creates or grants a person, as a step shows it.
pub(crate) struct CommandRow {
    pub(crate) kind: String,
    pub(crate) status: Named<CommandStatus>,
    pub(crate) outcome: Option<Value>,
    pub(crate) updated_at: OffsetDateTime,
}

/// Returns the profile.
pub(crate) async fn get(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Profile, sqlx::Error> {
    sqlx::query_as!(
        Profile,
        r#"SELECT "profileId" AS profile_id, email,
                  "emailVerifiedAt" IS NOT NULL AS "email_verified!", "firstName" AS first_name,
                  nullif("lastName", '') AS last_name, status AS "status: Named<AccountStatus>",
                  "createdAt" AS created_at,
                  "phoneNum" AS phone_num, "nationalityCountryCode" AS nationality_country_code,
                  "dateOfBirth" AS date_of_birth, gender, "fabricUserId" AS fabric_user_id,
                  "onchainStatus" AS "onchain_status: Named<OnchainStatus>",
                  "onchainRegisteredAt" AS onchain_registered_at, "isLocked" AS is_locked,
                  "updatedAt" AS updated_at
           FROM "UserProfile" WHERE "profileId" = $1"#,
        profile_id.as_str(),
    )
    .fetch_one(conn)
    .await
}

/// Returns the account's status and locks its row until the transaction ends.
pub(crate) async fn lock_status(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<AccountStatus, sqlx::Error> {
    let status = sqlx::query_scalar!(
        r#"SELECT status AS "status: Parsed<AccountStatus>" FROM "UserProfile"
           WHERE "profileId" = $1 FOR UPDATE"#,
        profile_id.as_str(),
    );
    status.fetch_one(conn).await.map(|Parsed(status)| status)
}

/// Changes the fields that are given. A violated unique constraint means that the phone number is
/// taken.
pub(crate) async fn change(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    changes: &ProfileChanges,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "UserProfile" SET
               "firstName" = coalesce($2, "firstName"),
               "lastName" = CASE WHEN $3 THEN '' ELSE coalesce($4, "lastName") END,
               "phoneNum" = CASE WHEN $5 THEN NULL ELSE coalesce($6, "phoneNum") END,
               "nationalityCountryCode" =
                   CASE WHEN $7 THEN NULL ELSE coalesce($8, "nationalityCountryCode") END,
               "identityNum" = CASE WHEN $9 THEN NULL ELSE coalesce($10, "identityNum") END,
               "updatedAt" = $11
           WHERE "profileId" = $1"#,
        profile_id.as_str(),
        changes.first_name.as_ref().map(|name| &name.0),
        changes.last_name.clears(),
        changes.last_name.value().map(|name| &name.0),
        changes.phone_num.clears(),
        changes.phone_num.value().map(|phone| &phone.0),
        changes.nationality_country_code.clears(),
        changes.nationality_country_code.value().map(|country| country.0.to_string()),
        changes.identity_num.clears(),
        changes.identity_num.value().map(|number| &number.0),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the person's newest CREATE_USER and DISTRIBUTE_GENESIS, in this order.
pub(crate) async fn commands(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Vec<CommandRow>, sqlx::Error> {
    sqlx::query_as!(
        CommandRow,
        r#"SELECT DISTINCT ON (kind) kind AS "kind!",
                  status AS "status!: Named<CommandStatus>", outcome,
                  "updatedAt" AS "updated_at!"
           FROM "OutboxHistory"
           WHERE "profileId" = $1 AND kind IN ('CREATE_USER', 'DISTRIBUTE_GENESIS')
           ORDER BY kind, number DESC"#,
        profile_id.as_str(),
    )
    .fetch_all(conn)
    .await
}
