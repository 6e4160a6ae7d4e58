//! SQL of registrations. Called by the parent module.

use gx_db::{Named, PgConnection, ProfileId};
use gx_model::AccountStatus;
use time::{Date, OffsetDateTime};

use crate::profile::UserSummary;

/// A person to add.
pub(crate) struct NewProfile<'a> {
    pub(crate) profile_id: &'a ProfileId,
    pub(crate) first_name: &'a str,
    /// `None` for people who have one name.
    pub(crate) last_name: Option<&'a str>,
    pub(crate) email: &'a str,
    pub(crate) phone_num: Option<&'a str>,
    pub(crate) password_hash: &'a str,
    pub(crate) date_of_birth: Date,
    pub(crate) gender: &'a str,
    pub(crate) nationality: Option<String>,
    pub(crate) now: OffsetDateTime,
}

/// Adds a profile. A violated unique constraint means that the e-mail address or phone number is
/// taken.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    new: &NewProfile<'_>,
) -> Result<UserSummary, sqlx::Error> {
    sqlx::query_as!(
        UserSummary,
        r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email, "phoneNum",
               "passwordHash", "dateOfBirth", gender, "nationalityCountryCode", "createdAt",
               "updatedAt")
           VALUES ($1, $2, coalesce($3, ''), $4, $5, $6, $7, $8, $9, $10, $10)
           RETURNING "profileId" AS profile_id, email,
                     "emailVerifiedAt" IS NOT NULL AS "email_verified!", "firstName" AS first_name,
                     nullif("lastName", '') AS last_name,
                     status AS "status: Named<AccountStatus>", "createdAt" AS created_at"#,
        new.profile_id.as_str(),
        new.first_name,
        new.last_name,
        new.email,
        new.phone_num,
        new.password_hash,
        new.date_of_birth,
        new.gender,
        new.nationality,
        new.now,
    )
    .fetch_one(conn)
    .await
}

/// Adds a profile that must be confirmed by mail. Returns `false`, and adds nothing, if an account
/// has the address. A phone number of another account is left out, because the answer must not tell
/// that it is taken.
pub(crate) async fn insert_unverified(
    conn: &mut PgConnection,
    new: &NewProfile<'_>,
) -> Result<bool, sqlx::Error> {
    let is_added = insert_if_free(conn, new, new.phone_num).await?;
    // Another account may get the number while the first statement runs. The second one always
    // runs, so that the time of the answer tells nothing, and adds nothing if the first one has.
    let is_added_without = insert_if_free(conn, new, None).await?;
    Ok(is_added || is_added_without)
}

/// Adds a profile if no account has the address. A phone number that an account has is left out;
/// one that an account gets at the same time prevents the profile.
async fn insert_if_free(
    conn: &mut PgConnection,
    new: &NewProfile<'_>,
    phone_num: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email, "phoneNum",
               "passwordHash", "dateOfBirth", gender, "nationalityCountryCode", "mustVerifyEmail",
               "createdAt", "updatedAt")
           SELECT $1, $2, coalesce($3, ''), $4,
                  CASE WHEN NOT EXISTS (SELECT FROM "UserProfile" WHERE "phoneNum" = $5)
                      THEN $5 END,
                  $6, $7, $8, $9, true, $10, $10
           WHERE NOT EXISTS (SELECT FROM "UserProfile" WHERE coalesce(mailbox, email) = $4)
           ON CONFLICT DO NOTHING"#,
        new.profile_id.as_str(),
        new.first_name,
        new.last_name,
        new.email,
        phone_num,
        new.password_hash,
        new.date_of_birth,
        new.gender,
        new.nationality,
        new.now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
