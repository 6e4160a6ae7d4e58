//! SQL that reads the read model in the form in which the chain answers. Called by `fact_reader`
//! and the parent module; nothing is written.

use gx_db::PgConnection;
use sqlx::{query_as, query_scalar};

/// What the read model has under one Fabric User ID; `None` if a table has no row.
pub(crate) struct PersonRow {
    pub(crate) id: String,
    pub(crate) user_id: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) country_code: Option<String>,
    pub(crate) created_tx_id: Option<String>,
    pub(crate) genesis_tx_id: Option<String>,
    pub(crate) genesis_amount: Option<i64>,
    pub(crate) genesis_phase: Option<i16>,
    pub(crate) genesis_refusal: Option<String>,
    pub(crate) is_frozen: Option<bool>,
    pub(crate) frozen_reason: Option<String>,
    pub(crate) account_id: Option<String>,
    pub(crate) wallet_owner: Option<String>,
    pub(crate) wallet_user_id: Option<String>,
    pub(crate) balance: Option<i64>,
    pub(crate) as_of_block: Option<i64>,
    /// The id in the owner's profile.
    pub(crate) profile_user_id: Option<String>,
    pub(crate) is_registered: Option<bool>,
    /// The profile that has this id but owns no person.
    pub(crate) unfounded: Option<String>,
    /// The account that has a right to the person by a reservation.
    pub(crate) claimant: Option<String>,
    /// Whether the projector still has to set the owner.
    pub(crate) is_awaited: bool,
}

/// Returns the next ids after `after` under which there are rows or reservations. Each source is
/// read in the order of its key and limited, however many rows it has.
pub(crate) async fn ids_after(
    conn: &mut PgConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    query_scalar!(
        r#"SELECT id AS "id!"
           FROM ((SELECT "fabricUserId" AS id FROM "LedgerUser"
                  WHERE "fabricUserId" > $1 ORDER BY "fabricUserId" LIMIT $2)
                 UNION
                 (SELECT "accountId" FROM "Wallet"
                  WHERE "accountId" > $1 AND kind = 'USER' ORDER BY "accountId" LIMIT $2)
                 UNION
                 (SELECT "fabricUserId" FROM "UserProfile"
                  WHERE "fabricUserId" > $1 ORDER BY "fabricUserId" LIMIT $2)
                 UNION
                 (SELECT "fabricUserId" FROM "FabricIdReservation"
                  WHERE "fabricUserId" > $1 ORDER BY "fabricUserId" LIMIT $2)) AS page
           ORDER BY id LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns what the read model has of some people, also if it has nothing.
pub(crate) async fn people(
    conn: &mut PgConnection,
    ids: &[String],
) -> Result<Vec<PersonRow>, sqlx::Error> {
    query_as!(
        PersonRow,
        r#"SELECT asked.id AS "id!", u."fabricUserId" AS "user_id?", u."profileId" AS "owner?",
                  u."countryCode" AS country_code, u."createdTxId" AS created_tx_id,
                  u."genesisTxId" AS genesis_tx_id, u."genesisAmount" AS genesis_amount,
                  u."genesisPhase" AS genesis_phase, u."genesisRefusal" AS genesis_refusal,
                  u."isFrozen" AS "is_frozen?", u."frozenReason" AS frozen_reason,
                  w."accountId" AS "account_id?", w."profileId" AS "wallet_owner?",
                  w."fabricUserId" AS wallet_user_id, w.balance AS "balance?",
                  w."asOfBlock" AS "as_of_block?",
                  p."fabricUserId" AS profile_user_id,
                  p."onchainStatus" = 'REGISTERED' AS is_registered,
                  other."profileId" AS "unfounded?",
                  coalesce(named."profileId", asking."profileId") AS claimant,
                  (EXISTS (SELECT FROM "OutboxCommand" c
                           WHERE c."commandId" = u."createdCommandId" AND c."settledAt" IS NULL)
                   OR EXISTS (SELECT FROM "ProjectorTask" t
                              WHERE t.state = 'WAITING' AND t.kind = 'ADOPT_PERSON'
                                AND t.arguments ->> 'fabricUserId' = asked.id)
                  ) AS "is_awaited!"
           FROM unnest($1::text[]) AS asked (id)
           LEFT JOIN "LedgerUser" u ON u."fabricUserId" = asked.id
           LEFT JOIN "Wallet" w ON w."accountId" = asked.id
           LEFT JOIN "FabricIdReservation" named ON named."fabricUserId" = asked.id
           LEFT JOIN "FabricIdReservation" asking ON asking."commandId" = u."createdCommandId"
           LEFT JOIN "UserProfile" p
               ON p."profileId" = coalesce(u."profileId", named."profileId", asking."profileId")
                  AND u."fabricUserId" IS NOT NULL
           LEFT JOIN "UserProfile" other
               ON other."fabricUserId" = asked.id
                  AND NOT EXISTS (SELECT FROM "LedgerUser" o
                                  WHERE o."profileId" = other."profileId")"#,
        ids,
    )
    .fetch_all(conn)
    .await
}

/// What the read model has of one country and its treasury.
pub(crate) struct CountryRow {
    pub(crate) country_code: String,
    pub(crate) name: Option<String>,
    pub(crate) share_ppb: Option<i64>,
    pub(crate) users: Option<i64>,
    pub(crate) user_total: Option<i64>,
    pub(crate) treasury_total: Option<i64>,
    pub(crate) treasury_balance: Option<i64>,
    pub(crate) treasury_is_locked: Option<bool>,
}

/// Returns the named countries, also if the read model does not have them.
pub(crate) async fn countries(
    conn: &mut PgConnection,
    codes: &[String],
) -> Result<Vec<CountryRow>, sqlx::Error> {
    query_as!(
        CountryRow,
        r#"SELECT code AS "country_code!", c.name AS "name?", c."sharePpb" AS "share_ppb?",
                  c.users AS "users?", c."userTotal" AS "user_total?",
                  c."treasuryTotal" AS "treasury_total?", w.balance AS "treasury_balance?",
                  w."isLocked" AS "treasury_is_locked?"
           FROM unnest($1::text[]) AS code
           LEFT JOIN "LedgerCountry" c ON c."countryCode" = code
           LEFT JOIN "Wallet" w ON w."accountId" = 'treasury_' || code"#,
        codes,
    )
    .fetch_all(conn)
    .await
}

/// Returns the codes of all countries that have a row or a treasury.
pub(crate) async fn country_codes(conn: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    query_scalar!(
        r#"SELECT "countryCode" AS "code!" FROM "LedgerCountry"
           UNION SELECT substr("accountId", length('treasury_') + 1) FROM "Wallet"
                 WHERE kind = 'TREASURY'"#
    )
    .fetch_all(conn)
    .await
}

/// What the read model has of the system.
pub(crate) struct SystemRow {
    pub(crate) is_bootstrapped: bool,
    pub(crate) is_paused: bool,
    pub(crate) pause_reason: Option<String>,
}

/// Returns the row of the system, or `None` before the bootstrap and the first pause.
pub(crate) async fn system(
    conn: &mut PgConnection,
    channel: &str,
) -> Result<Option<SystemRow>, sqlx::Error> {
    query_as!(
        SystemRow,
        r#"SELECT "bootstrappedAt" IS NOT NULL AS "is_bootstrapped!",
                  "isPaused" AS is_paused, "pauseReason" AS pause_reason
           FROM "LedgerSystem" WHERE channel = $1"#,
        channel,
    )
    .fetch_optional(conn)
    .await
}

/// A pool from its own rows: start, fees and transfers. What it paid to countries is in their rows.
pub(crate) struct PoolRow {
    pub(crate) pool_id: String,
    pub(crate) before_grants: i64,
}

/// Returns every pool.
pub(crate) async fn pools(conn: &mut PgConnection) -> Result<Vec<PoolRow>, sqlx::Error> {
    query_as!(
        PoolRow,
        r#"SELECT p."poolId" AS pool_id,
                  (p."startBalance" + coalesce(sum(m.amount), 0))::bigint AS "before_grants!"
           FROM "LedgerPool" p LEFT JOIN "LedgerPoolMove" m ON m."poolId" = p."poolId"
           GROUP BY p."poolId""#
    )
    .fetch_all(conn)
    .await
}

/// Sums over the whole read model, at one checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SumsRow {
    pub(crate) wallets: i64,
    pub(crate) pools: i64,
    pub(crate) users: i64,
    pub(crate) share_ppb: i64,
}

/// Returns the sums.
pub(crate) async fn sums(conn: &mut PgConnection) -> Result<SumsRow, sqlx::Error> {
    query_as!(
        SumsRow,
        r#"SELECT (SELECT coalesce(sum(balance), 0)::bigint FROM "Wallet") AS "wallets!",
                  (SELECT coalesce(sum(balance), 0)::bigint FROM "PoolBalance") AS "pools!",
                  (SELECT coalesce(sum(users), 0)::bigint FROM "LedgerCountry") AS "users!",
                  (SELECT coalesce(sum("sharePpb"), 0)::bigint FROM "LedgerCountry")
                      AS "share_ppb!""#
    )
    .fetch_one(conn)
    .await
}

/// Returns what the two genesis pools have paid in grants.
pub(crate) async fn granted(conn: &mut PgConnection) -> Result<(i64, i64), sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT coalesce(sum("userTotal"), 0)::bigint AS "user_total!",
                  coalesce(sum("treasuryTotal"), 0)::bigint AS "treasury_total!"
           FROM "LedgerCountry""#
    )
    .fetch_one(conn)
    .await?;
    Ok((row.user_total, row.treasury_total))
}
