//! SQL of freezes. Called by `single_events` for each freeze and unfreeze.

use gx_db::{PgConnection, ProfileId};
use sqlx::{query, query_scalar};
use time::OffsetDateTime;

use crate::place::Place;

/// Adds a person who is not created here, so that a freeze need not wait for the creation.
pub(crate) async fn note_user(
    conn: &mut PgConnection,
    fabric_user_id: &str,
) -> Result<(), sqlx::Error> {
    query!(
        r#"INSERT INTO "LedgerUser" ("fabricUserId") VALUES ($1)
           ON CONFLICT ("fabricUserId") DO NOTHING"#,
        fabric_user_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Freezes a person, or unfreezes if there is no reason. Returns `false` if a newer fact is known.
pub(crate) async fn set_frozen(
    conn: &mut PgConnection,
    fabric_user_id: &str,
    reason: Option<&str>,
    place: &Place,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        r#"UPDATE "LedgerUser"
           SET "isFrozen" = $2::text IS NOT NULL, "frozenReason" = $2,
               "freezeBlock" = $3, "freezeTxIndex" = $4, "freezeEventIndex" = $5
           WHERE "fabricUserId" = $1
             AND ("freezeBlock", "freezeTxIndex", "freezeEventIndex") < ($3, $4, $5)"#,
        fabric_user_id,
        reason,
        place.block_number,
        place.tx_index,
        place.event_index,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Records when the ledger last changed a person's freeze, and returns the person's account, or
/// `None` if the person has no owner.
pub(crate) async fn see_freeze(
    conn: &mut PgConnection,
    fabric_user_id: &str,
    at: OffsetDateTime,
) -> Result<Option<ProfileId>, sqlx::Error> {
    query_scalar!(
        r#"UPDATE "LedgerUser" SET "freezeSeenAt" = greatest("freezeSeenAt", $2)
           WHERE "fabricUserId" = $1
           RETURNING "profileId" AS "id: ProfileId""#,
        fabric_user_id,
        at,
    )
    .fetch_one(conn)
    .await
}

/// Moves an account between ACTIVE and FROZEN if the freeze or unfreeze is the newest one. Any
/// other status stays.
pub(crate) async fn follow_freeze(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    is_frozen: bool,
    is_newest: bool,
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "UserProfile"
           SET "lastSyncedAt" = greatest("lastSyncedAt", $4),
               "updatedAt" = greatest("updatedAt", $4),
               status = CASE WHEN $3 AND $2 AND status = 'ACTIVE' THEN 'FROZEN'
                             WHEN $3 AND NOT $2 AND status = 'FROZEN' THEN 'ACTIVE'
                             ELSE status END
           WHERE "profileId" = $1"#,
        profile_id.as_str(),
        is_frozen,
        is_newest,
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}
