//! SQL of mailboxes, for the parent module.

use gx_db::{PgConnection, ProfileId};

/// An account whose address may not be normalised.
pub(super) struct Row {
    pub(super) profile_id: ProfileId,
    pub(super) email: String,
}

/// Returns accounts without a mailbox whose address is not plain ASCII, is quoted, or has an
/// encoded domain. All other addresses are normalised already.
pub(super) async fn unnormalised(
    conn: &mut PgConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"SELECT "profileId" AS profile_id, email FROM "UserProfile"
           WHERE "profileId" > $1 AND mailbox IS NULL
             AND (email COLLATE "C" !~ '^[!-~]*@[a-z0-9.-]*[.][a-z]{2,}$'
                  OR email LIKE '"%' OR email LIKE '%xn--%')
           ORDER BY "profileId" LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Sets the mailbox, unless the address has changed meanwhile, and returns the number of rows.
/// Fails with the unique index `UserProfile_mailbox_key` if another account owns the mailbox.
pub(super) async fn set(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    email: &str,
    mailbox: &str,
) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "UserProfile" SET mailbox = $3
           WHERE "profileId" = $1 AND email = $2 AND mailbox IS NULL"#,
        profile_id.as_str(),
        email,
        mailbox,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

/// Returns the account that owns the mailbox.
pub(super) async fn owner(
    conn: &mut PgConnection,
    mailbox: &str,
) -> Result<Option<ProfileId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT "profileId" AS "id: ProfileId" FROM "UserProfile"
           WHERE coalesce(mailbox, email) = $1"#,
        mailbox,
    )
    .fetch_optional(conn)
    .await
}
