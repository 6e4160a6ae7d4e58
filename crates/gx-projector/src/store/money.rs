//! SQL of `Wallet`, `Transaction`, `LedgerCountry` counters and `LedgerPoolMove`.

use gx_db::PgConnection;
use sqlx::query;
use time::OffsetDateTime;

/// A person's wallet about to exist.
pub(crate) struct NewWallet<'a> {
    pub(crate) wallet_id: &'a str,
    pub(crate) account_id: &'a str,
    pub(crate) profile_id: &'a str,
}

/// Adds a person's empty wallet.
pub(crate) async fn create_wallet(
    conn: &mut PgConnection,
    new: &NewWallet<'_>,
    tx_id: &str,
    block_number: i64,
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"INSERT INTO "Wallet" ("walletId", "accountId", kind, "profileId", "fabricUserId",
                                 balance, "lastTxId", "asOfBlock", "createdAt", "updatedAt")
           VALUES ($1, $2, 'USER', $3, $2, 0, $4, $5, $6, $6)"#,
        new.wallet_id,
        new.account_id,
        new.profile_id,
        tx_id,
        block_number,
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds locked, empty treasuries.
pub(crate) async fn create_treasuries(
    conn: &mut PgConnection,
    wallet_ids: &[String],
    account_ids: &[String],
    tx_id: &str,
    block_number: i64,
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"INSERT INTO "Wallet" ("walletId", "accountId", kind, balance, "isLocked", "lastTxId",
                                 "asOfBlock", "createdAt", "updatedAt")
           SELECT new."walletId", new."accountId", 'TREASURY', 0, true, $3, $4, $5, $5
           FROM unnest($1::text[], $2::text[]) AS new ("walletId", "accountId")"#,
        wallet_ids,
        account_ids,
        tx_id,
        block_number,
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Assigns a wallet's balance; `false` without such a wallet.
pub(crate) async fn set_balance(
    conn: &mut PgConnection,
    account_id: &str,
    balance: i64,
    tx_id: &str,
    block_number: i64,
    at: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        r#"UPDATE "Wallet"
           SET balance = $2, "lastTxId" = $3, "asOfBlock" = $4, "updatedAt" = $5
           WHERE "accountId" = $1"#,
        account_id,
        balance,
        tx_id,
        block_number,
        at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Unlocks a treasury; `false` without such a wallet.
pub(crate) async fn unlock(
    conn: &mut PgConnection,
    account_id: &str,
    tx_id: &str,
    block_number: i64,
    at: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        r#"UPDATE "Wallet"
           SET "isLocked" = false, "lastTxId" = $2, "asOfBlock" = $3, "updatedAt" = $4
           WHERE "accountId" = $1 AND kind = 'TREASURY'"#,
        account_id,
        tx_id,
        block_number,
        at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A row of a person's history.
pub(crate) struct NewTransaction<'a> {
    pub(crate) id: &'a str,
    pub(crate) tx_id: &'a str,
    pub(crate) event_index: i32,
    pub(crate) account_id: &'a str,
    pub(crate) block_number: i64,
    pub(crate) command_id: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) direction: &'a str,
    pub(crate) counterparty: &'a str,
    pub(crate) amount: i64,
    pub(crate) fee: i64,
    pub(crate) at: OffsetDateTime,
}

/// Adds a row of history.
pub(crate) async fn add_transaction(
    conn: &mut PgConnection,
    new: &NewTransaction<'_>,
) -> Result<(), sqlx::Error> {
    query!(
        r#"INSERT INTO "Transaction" (id, "onChainTxId", "eventIndex", "accountId", "blockNumber",
                                      "commandId", type, direction, counterparty, amount, fee, at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"#,
        new.id,
        new.tx_id,
        new.event_index,
        new.account_id,
        new.block_number,
        new.command_id,
        new.kind,
        new.direction,
        new.counterparty,
        new.amount,
        new.fee,
        new.at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Assigns a country's counters; `false` without such a country.
pub(crate) async fn set_counters(
    conn: &mut PgConnection,
    country_code: &str,
    users: i64,
    user_total: i64,
    treasury_total: i64,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        r#"UPDATE "LedgerCountry" SET users = $2, "userTotal" = $3, "treasuryTotal" = $4
           WHERE "countryCode" = $1"#,
        country_code,
        users,
        user_total,
        treasury_total,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Records what a pool received, or paid (negative).
pub(crate) async fn move_pool(
    conn: &mut PgConnection,
    tx_id: &str,
    event_index: i32,
    pool_id: &str,
    kind: &str,
    amount: i64,
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"INSERT INTO "LedgerPoolMove" ("txId", "eventIndex", "poolId", kind, amount, at)
           VALUES ($1, $2, $3, $4, $5, $6)"#,
        tx_id,
        event_index,
        pool_id,
        kind,
        amount,
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}
