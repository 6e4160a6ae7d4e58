//! SQL of adoption: which account owns a person of the ledger, by the reservations of accounts.
//!
//! The owner is the account that has reserved the person's id, or else the account that has
//! reserved another id for the command that created the person. A rebuild uses the same rule.
//! Called by `apply::adoption`, `operate::adoption` and the rebuild.

use gx_db::{Named, PgConnection, ProfileId, StoredCommandId};
use gx_model::AccountStatus;
use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;

/// A person of the ledger, and the account that has a right to the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnershipClaim {
    pub(crate) fabric_user_id: String,
    pub(crate) profile_id: ProfileId,
}

/// A person that a command created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Creation {
    pub(crate) command_id: StoredCommandId,
    /// `None` if a dead letter does not contain the id.
    pub(crate) fabric_user_id: Option<String>,
}

/// What became of an adoption. `owner` is `None` if nobody owns the person, `claimant` if no
/// account has a right to the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AdoptionState {
    pub(crate) fabric_user_id: String,
    pub(crate) is_created: bool,
    pub(crate) owner: Option<ProfileId>,
    pub(crate) claimant: Option<ProfileId>,
    /// Id of another person that the claimant owns.
    pub(crate) other_id: Option<String>,
    pub(crate) status: Option<Named<AccountStatus>>,
}

/// Returns the people that some commands created, including those whose creation is a dead letter.
/// A person that another account owns is left out.
pub(crate) async fn created_by(
    conn: &mut PgConnection,
    command_ids: &[StoredCommandId],
) -> Result<Vec<Creation>, sqlx::Error> {
    query_as!(
        Creation,
        r#"SELECT made."commandId" AS "command_id!", made.id AS fabric_user_id
           FROM (SELECT "commandId", payload #>> '{data,userId}' AS id FROM "EventLog"
                 WHERE "commandId" = ANY($1) AND "eventName" = 'UserCreated'
                 UNION ALL
                 SELECT "commandId", payload #>> '{data,userId}' FROM "EventDLQ"
                 WHERE "commandId" = ANY($1) AND "eventName" = 'UserCreated'
                   AND state = 'HELD') AS made
           LEFT JOIN "LedgerUser" u ON u."fabricUserId" = made.id
           LEFT JOIN "OutboxCommand" c ON c."commandId" = made."commandId"
           WHERE u."profileId" IS NULL OR u."profileId" = c."profileId""#,
        command_ids as &[StoredCommandId],
    )
    .fetch_all(conn)
    .await
}

/// Returns those of some commands whose account does not own the person that the command asked for.
pub(crate) async fn not_owned(
    conn: &mut PgConnection,
    command_ids: &[&StoredCommandId],
    wanted: &[&str],
    profile_ids: &[Option<&ProfileId>],
) -> Result<Vec<StoredCommandId>, sqlx::Error> {
    query_scalar!(
        r#"SELECT new."commandId" AS "command_id!: StoredCommandId"
           FROM unnest($1::text[], $2::text[], $3::text[]) AS new ("commandId", id, "profileId")
           WHERE NOT EXISTS (SELECT FROM "LedgerUser" u
                             WHERE u."fabricUserId" = new.id
                               AND u."profileId" = new."profileId")"#,
        command_ids as &[&StoredCommandId],
        wanted as &[&str],
        profile_ids as &[Option<&ProfileId>],
    )
    .fetch_all(conn)
    .await
}

/// Returns which accounts have a right to these people.
pub(crate) async fn claims(
    conn: &mut PgConnection,
    ids: &[String],
) -> Result<Vec<OwnershipClaim>, sqlx::Error> {
    query_as!(
        OwnershipClaim,
        r#"SELECT u."fabricUserId" AS fabric_user_id,
                  coalesce(i."profileId", c."profileId") AS "profile_id!"
           FROM "LedgerUser" u
           LEFT JOIN "FabricIdReservation" i ON i."fabricUserId" = u."fabricUserId"
           LEFT JOIN "FabricIdReservation" c ON c."commandId" = u."createdCommandId"
           WHERE u."fabricUserId" = ANY($1) AND u."createdTxId" IS NOT NULL
             AND coalesce(i."profileId", c."profileId") IS NOT NULL
           ORDER BY u."createdAt", u."fabricUserId""#,
        ids,
    )
    .fetch_all(conn)
    .await
}

/// Returns which accounts have a right to people who have no owner. It joins the reservations by
/// key; there are as many as approvals.
pub(crate) async fn open_claims(
    conn: &mut PgConnection,
) -> Result<Vec<OwnershipClaim>, sqlx::Error> {
    query_as!(
        OwnershipClaim,
        r#"SELECT u."fabricUserId" AS fabric_user_id,
                  coalesce(i."profileId", c."profileId") AS "profile_id!"
           FROM "LedgerUser" u
           LEFT JOIN "FabricIdReservation" i ON i."fabricUserId" = u."fabricUserId"
           LEFT JOIN "FabricIdReservation" c ON c."commandId" = u."createdCommandId"
           WHERE u."profileId" IS NULL AND u."createdTxId" IS NOT NULL
             AND coalesce(i."profileId", c."profileId") IS NOT NULL
           ORDER BY u."createdAt", u."fabricUserId""#
    )
    .fetch_all(conn)
    .await
}

/// Gives people to their accounts, unless the person has an owner or the account has a person.
pub(crate) async fn set_owner(
    conn: &mut PgConnection,
    ids: &[&str],
    profile_ids: &[&ProfileId],
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "LedgerUser" u SET "profileId" = new."profileId"
           FROM unnest($1::text[], $2::text[]) AS new (id, "profileId")
           WHERE u."fabricUserId" = new.id AND u."profileId" IS NULL
             AND u."createdTxId" IS NOT NULL
             AND NOT EXISTS (SELECT FROM "LedgerUser" o WHERE o."profileId" = new."profileId")"#,
        ids as &[&str],
        profile_ids as &[&ProfileId],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives the wallets of people to the people's owners.
pub(crate) async fn set_wallet_owner(
    conn: &mut PgConnection,
    ids: &[&str],
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "Wallet" w SET "profileId" = u."profileId"
           FROM unnest($1::text[]) AS new (id)
           JOIN "LedgerUser" u ON u."fabricUserId" = new.id
           WHERE w."accountId" = new.id AND w."profileId" IS NULL AND u."profileId" IS NOT NULL
             AND NOT EXISTS (SELECT FROM "Wallet" o WHERE o."profileId" = u."profileId")"#,
        ids as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks the owners of people as registered on the ledger. An account becomes ACTIVE only from
/// APPROVED_PENDING_ONCHAIN, as it does when its person is created.
pub(crate) async fn register_owners(
    conn: &mut PgConnection,
    ids: &[&str],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "UserProfile" p
           SET "fabricUserId" = u."fabricUserId", "onchainStatus" = 'REGISTERED',
               "onchainRegisteredAt" = u."createdAt",
               "lastSyncedAt" = greatest(p."lastSyncedAt", u."createdAt", u."freezeSeenAt"),
               status = CASE p.status WHEN 'APPROVED_PENDING_ONCHAIN' THEN 'ACTIVE'
                        ELSE p.status END,
               "updatedAt" = greatest(p."updatedAt", $2)
           FROM unnest($1::text[]) AS new (id)
           JOIN "LedgerUser" u ON u."fabricUserId" = new.id
           WHERE p."profileId" = u."profileId"
             AND NOT EXISTS (SELECT FROM "UserProfile" o
                             WHERE o."fabricUserId" = u."fabricUserId"
                               AND o."profileId" <> u."profileId")"#,
        ids as &[&str],
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Freezes the ACTIVE accounts of people who are frozen.
pub(crate) async fn freeze_owners(
    conn: &mut PgConnection,
    ids: &[&str],
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "UserProfile" p SET status = 'FROZEN'
           FROM unnest($1::text[]) AS new (id)
           JOIN "LedgerUser" u ON u."fabricUserId" = new.id
           WHERE p."profileId" = u."profileId" AND p.status = 'ACTIVE' AND u."isFrozen""#,
        ids as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the state of each person that was to be adopted.
pub(crate) async fn adoption_states(
    conn: &mut PgConnection,
    ids: &[String],
) -> Result<Vec<AdoptionState>, sqlx::Error> {
    query_as!(
        AdoptionState,
        r#"SELECT asked.id AS "fabric_user_id!", u."createdTxId" IS NOT NULL AS "is_created!",
                  u."profileId" AS "owner?: ProfileId",
                  claim."profileId" AS "claimant?: ProfileId",
                  o."fabricUserId" AS "other_id?", p.status AS "status?: Named<AccountStatus>"
           FROM unnest($1::text[]) AS asked (id)
           LEFT JOIN "LedgerUser" u ON u."fabricUserId" = asked.id
           LEFT JOIN LATERAL (
               SELECT coalesce(
                   (SELECT r."profileId" FROM "FabricIdReservation" r
                    WHERE r."fabricUserId" = asked.id),
                   (SELECT r."profileId" FROM "FabricIdReservation" r
                    WHERE r."commandId" = u."createdCommandId")) AS "profileId") claim ON true
           LEFT JOIN "LedgerUser" o
               ON o."profileId" = claim."profileId" AND o."fabricUserId" <> asked.id
           LEFT JOIN "UserProfile" p ON p."profileId" = u."profileId""#,
        ids,
    )
    .fetch_all(conn)
    .await
}

/// Returns the people of some accounts that have no grant.
pub(crate) async fn ungranted(
    conn: &mut PgConnection,
    profile_ids: &[ProfileId],
) -> Result<Vec<OwnershipClaim>, sqlx::Error> {
    query_as!(
        OwnershipClaim,
        r#"SELECT "fabricUserId" AS fabric_user_id, "profileId" AS "profile_id!"
           FROM "LedgerUser" WHERE "profileId" = ANY($1) AND "genesisTxId" IS NULL"#,
        profile_ids as &[ProfileId],
    )
    .fetch_all(conn)
    .await
}
