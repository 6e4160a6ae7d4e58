//! SQL of `LedgerUser` and of the projector's columns in `UserProfile`.

use gx_db::PgConnection;
use sqlx::{query, query_scalar};
use time::OffsetDateTime;

/// Whose account holds a ledger id.
pub(crate) async fn reserved_by(
    conn: &mut PgConnection,
    fabric_user_id: &str,
) -> Result<Option<String>, sqlx::Error> {
    query_scalar!(
        r#"SELECT "profileId" FROM "FabricIdReservation" WHERE "fabricUserId" = $1"#,
        fabric_user_id,
    )
    .fetch_optional(conn)
    .await
}

/// Whose account a known ledger user is.
pub(crate) async fn profile_of(
    conn: &mut PgConnection,
    fabric_user_id: &str,
) -> Result<Option<String>, sqlx::Error> {
    query_scalar!(
        r#"SELECT "profileId" FROM "LedgerUser" WHERE "fabricUserId" = $1"#,
        fabric_user_id,
    )
    .fetch_optional(conn)
    .await
}

/// Adds a ledger user.
pub(crate) async fn create_user(
    conn: &mut PgConnection,
    fabric_user_id: &str,
    profile_id: &str,
    country_code: &str,
    tx_id: &str,
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"INSERT INTO "LedgerUser" ("fabricUserId", "profileId", "countryCode", "createdTxId",
                                     "createdAt")
           VALUES ($1, $2, $3, $4, $5)"#,
        fabric_user_id,
        profile_id,
        country_code,
        tx_id,
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks an account as registered on the ledger; it becomes ACTIVE only from
/// APPROVED_PENDING_ONCHAIN.
pub(crate) async fn register(
    conn: &mut PgConnection,
    profile_id: &str,
    fabric_user_id: &str,
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "UserProfile"
           SET "fabricUserId" = $2, "onchainStatus" = 'REGISTERED', "onchainRegisteredAt" = $3,
               "lastSyncedAt" = greatest("lastSyncedAt", $3),
               status = CASE status WHEN 'APPROVED_PENDING_ONCHAIN' THEN 'ACTIVE' ELSE status END,
               "updatedAt" = greatest("updatedAt", $3)
           WHERE "profileId" = $1"#,
        profile_id,
        fabric_user_id,
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Sends an account back to review because the ledger refused to create its user.
pub(crate) async fn return_to_review(
    conn: &mut PgConnection,
    profile_id: Option<&str>,
    command_id: &str,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = query!(
        r#"UPDATE "UserProfile"
           SET "onchainStatus" = 'FAILED', "updatedAt" = $3,
               status = CASE status
                   WHEN 'APPROVED_PENDING_ONCHAIN' THEN 'PENDING_ADMIN_APPROVAL'
                   ELSE status END
           WHERE "profileId" = coalesce($1, (SELECT "profileId" FROM "FabricIdReservation"
                                             WHERE "commandId" = $2))
             AND "onchainStatus" = 'PENDING'"#,
        profile_id,
        command_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Notes that an account was touched by the ledger.
pub(crate) async fn synced(
    conn: &mut PgConnection,
    profile_id: &str,
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "UserProfile" SET "lastSyncedAt" = greatest("lastSyncedAt", $2)
           WHERE "profileId" = $1"#,
        profile_id,
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a grant writes about its person.
pub(crate) struct Grant<'a> {
    pub(crate) tx_id: &'a str,
    pub(crate) amount: i64,
    pub(crate) phase: Option<i16>,
    pub(crate) refusal: Option<&'a str>,
}

/// Records a person's one grant; whose account it is.
pub(crate) async fn grant(
    conn: &mut PgConnection,
    fabric_user_id: &str,
    grant: &Grant<'_>,
) -> Result<Option<String>, sqlx::Error> {
    query_scalar!(
        r#"UPDATE "LedgerUser"
           SET "genesisTxId" = $2, "genesisAmount" = $3, "genesisPhase" = $4,
               "genesisRefusal" = $5
           WHERE "fabricUserId" = $1
           RETURNING "profileId""#,
        fabric_user_id,
        grant.tx_id,
        grant.amount,
        grant.phase,
        grant.refusal,
    )
    .fetch_optional(conn)
    .await
}

/// Freezes a ledger user, or ends it (no reason); whose account it is.
pub(crate) async fn set_frozen(
    conn: &mut PgConnection,
    fabric_user_id: &str,
    reason: Option<&str>,
) -> Result<Option<String>, sqlx::Error> {
    query_scalar!(
        r#"UPDATE "LedgerUser" SET "isFrozen" = $2::text IS NOT NULL, "frozenReason" = $2
           WHERE "fabricUserId" = $1
           RETURNING "profileId""#,
        fabric_user_id,
        reason,
    )
    .fetch_optional(conn)
    .await
}

/// Moves an account between ACTIVE and FROZEN; any other status stays.
pub(crate) async fn move_status(
    conn: &mut PgConnection,
    profile_id: &str,
    from: &str,
    to: &str,
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "UserProfile"
           SET "lastSyncedAt" = greatest("lastSyncedAt", $4),
               "updatedAt" = greatest("updatedAt", $4),
               status = CASE status WHEN $2 THEN $3 ELSE status END
           WHERE "profileId" = $1"#,
        profile_id,
        from,
        to,
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}
