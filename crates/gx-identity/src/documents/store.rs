//! SQL of the account whose documents change. Called by the parent module.

use gx_db::{Parsed, PgConnection, ProfileId};
use gx_model::AccountStatus;

/// What of an account decides about changes of its documents.
pub(super) struct Account {
    /// The status.
    pub(super) status: AccountStatus,
    /// Nothing of the account may be lost.
    pub(super) is_on_hold: bool,
}

/// Returns the account of a person.
pub(super) async fn account(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Account, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT status AS "status: Parsed<AccountStatus>",
                  "legalHoldAt" IS NOT NULL AS "is_on_hold!"
           FROM "UserProfile" WHERE "profileId" = $1"#,
        profile_id.as_str(),
    );
    let row = row.fetch_one(conn).await?;
    Ok(Account { status: row.status.0, is_on_hold: row.is_on_hold })
}

/// Returns the account of a person and locks its row until the transaction ends.
pub(super) async fn lock_account(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Account, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT status AS "status: Parsed<AccountStatus>",
                  "legalHoldAt" IS NOT NULL AS "is_on_hold!"
           FROM "UserProfile" WHERE "profileId" = $1 FOR UPDATE"#,
        profile_id.as_str(),
    );
    let row = row.fetch_one(conn).await?;
    Ok(Account { status: row.status.0, is_on_hold: row.is_on_hold })
}
