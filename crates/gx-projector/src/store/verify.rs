//! SQL that reads the read model in the shape in which the chain answers.

use gx_db::PgConnection;
use sqlx::{query_as, query_scalar};

/// What the read model has of one account's owner; `None` where a table has no row.
pub(crate) struct PersonRow {
    pub(crate) profile_id: String,
    pub(crate) profile_user_id: Option<String>,
    pub(crate) is_registered: bool,
    /// Every id that was ever reserved for the account.
    pub(crate) reserved: Vec<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) country_code: Option<String>,
    pub(crate) created_tx_id: Option<String>,
    pub(crate) genesis_tx_id: Option<String>,
    pub(crate) genesis_amount: Option<i64>,
    pub(crate) genesis_phase: Option<i16>,
    pub(crate) genesis_refusal: Option<String>,
    pub(crate) is_frozen: Option<bool>,
    pub(crate) frozen_reason: Option<String>,
    pub(crate) account_id: Option<String>,
    pub(crate) wallet_user_id: Option<String>,
    pub(crate) balance: Option<i64>,
    pub(crate) as_of_block: Option<i64>,
}

/// People whom the chain may know, by profile id: the next page after one, or the named ones.
pub(crate) async fn people(
    conn: &mut PgConnection,
    after: &str,
    named: Option<&[String]>,
    limit: i64,
) -> Result<Vec<PersonRow>, sqlx::Error> {
    query_as!(
        PersonRow,
        r#"SELECT p."profileId" AS profile_id, p."fabricUserId" AS profile_user_id,
                  p."onchainStatus" = 'REGISTERED' AS "is_registered!",
                  ARRAY(SELECT r."fabricUserId" FROM "FabricIdReservation" r
                        WHERE r."profileId" = p."profileId"
                        ORDER BY r."reservedAt" DESC, r."fabricUserId") AS "reserved!",
                  u."fabricUserId" AS "user_id?", u."countryCode" AS "country_code?",
                  u."createdTxId" AS "created_tx_id?", u."genesisTxId" AS genesis_tx_id,
                  u."genesisAmount" AS genesis_amount, u."genesisPhase" AS genesis_phase,
                  u."genesisRefusal" AS genesis_refusal, u."isFrozen" AS "is_frozen?",
                  u."frozenReason" AS frozen_reason,
                  w."accountId" AS "account_id?", w."fabricUserId" AS wallet_user_id,
                  w.balance AS "balance?", w."asOfBlock" AS "as_of_block?"
           FROM "UserProfile" p
           LEFT JOIN "LedgerUser" u ON u."profileId" = p."profileId"
           LEFT JOIN "Wallet" w ON w."profileId" = p."profileId"
           WHERE p."profileId" > $1 AND ($2::text[] IS NULL OR p."profileId" = ANY($2))
             AND (p."fabricUserId" IS NOT NULL OR u."profileId" IS NOT NULL
                  OR w."profileId" IS NOT NULL
                  OR EXISTS (SELECT FROM "FabricIdReservation" r
                             WHERE r."profileId" = p."profileId"))
           ORDER BY p."profileId" LIMIT $3"#,
        after,
        named,
        limit,
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

/// The named countries, whether or not the read model has them.
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

/// Codes of all countries that have a row or a treasury here.
pub(crate) async fn country_codes(conn: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    query_scalar!(
        r#"SELECT "countryCode" AS "code!" FROM "LedgerCountry"
           UNION SELECT substr("accountId", length('treasury_') + 1) FROM "Wallet"
                 WHERE kind = 'TREASURY'"#
    )
    .fetch_all(conn)
    .await
}

/// What the read model has of the system as a whole.
pub(crate) struct SystemRow {
    pub(crate) is_bootstrapped: bool,
    pub(crate) is_paused: bool,
    pub(crate) pause_reason: Option<String>,
}

/// The system's one row.
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

/// A pool by its own rows: its start, fees and transfers. What countries were paid from it
/// stands in their rows.
pub(crate) struct PoolRow {
    pub(crate) pool_id: String,
    pub(crate) before_grants: i64,
}

/// Every pool.
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

/// The sums.
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

/// What countries were paid from the two genesis pools.
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
