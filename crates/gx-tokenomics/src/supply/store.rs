//! SQL of supply and treasuries. Called by the parent module and its routes.

use gx_db::PgConnection;
use time::OffsetDateTime;

/// A pool and its balance.
pub(crate) struct PoolRow {
    pub(crate) pool_id: String,
    pub(crate) start_balance: i64,
    pub(crate) balance: i64,
}

/// A country's treasury.
pub(crate) struct TreasuryRow {
    pub(crate) account_id: String,
    pub(crate) balance: i64,
    pub(crate) is_locked: bool,
    pub(crate) updated_at: OffsetDateTime,
    pub(crate) as_of_block: i64,
}

/// The balances of the pools, and the sums of people and treasuries, all as of the same moment.
pub(crate) struct Holdings {
    pub(crate) pools: Vec<PoolRow>,
    pub(crate) users: i64,
    pub(crate) treasuries: i64,
    pub(crate) block_number: Option<i64>,
}

/// Returns the number of the last applied block, or `None` before the first.
pub(crate) async fn last_block(conn: &mut PgConnection) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT max("blockNumber") FROM "ProjectorState""#).fetch_one(conn).await
}

/// Returns all balances. Sets the caller's transaction to repeatable read, so that they are of the
/// same moment.
pub(crate) async fn holdings(conn: &mut PgConnection) -> Result<Holdings, sqlx::Error> {
    sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .execute(&mut *conn)
        .await?;
    let pools = sqlx::query_as!(
        PoolRow,
        r#"SELECT p."poolId" AS pool_id, p."startBalance" AS start_balance,
                  b.balance AS "balance!"
           FROM "LedgerPool" p JOIN "PoolBalance" b USING ("poolId") ORDER BY p."poolId""#,
    )
    .fetch_all(&mut *conn)
    .await?;
    let held = sqlx::query!(
        r#"SELECT coalesce(sum(balance) FILTER (WHERE kind = 'USER'), 0)::bigint AS "users!",
                  coalesce(sum(balance) FILTER (WHERE kind = 'TREASURY'), 0)::bigint
                      AS "treasuries!",
                  (SELECT max("blockNumber") FROM "ProjectorState") AS block_number
           FROM "Wallet""#,
    )
    .fetch_one(conn)
    .await?;
    let (users, treasuries, block_number) = (held.users, held.treasuries, held.block_number);
    Ok(Holdings { pools, users, treasuries, block_number })
}

/// Returns a treasury, or `None` if there is none yet.
pub(crate) async fn treasury(
    conn: &mut PgConnection,
    account_id: &str,
) -> Result<Option<TreasuryRow>, sqlx::Error> {
    sqlx::query_as!(
        TreasuryRow,
        r#"SELECT "accountId" AS account_id, balance, "isLocked" AS is_locked,
                  "updatedAt" AS updated_at, "asOfBlock" AS as_of_block
           FROM "Wallet" WHERE "accountId" = $1 AND kind = 'TREASURY'"#,
        account_id,
    )
    .fetch_optional(conn)
    .await
}
