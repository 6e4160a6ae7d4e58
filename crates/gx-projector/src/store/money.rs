//! SQL of `Wallet`, `Transaction`, `LedgerCountry` counters and `LedgerPoolMove`.

use gx_db::PgConnection;
use sqlx::{query, query_scalar};
use time::OffsetDateTime;

use crate::effects::{Balance, Grant, HistoryRow};
use crate::place::Place;
use crate::store::rows::{self, Kind, Target};

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

/// Assigns balances of wallets; the accounts that have one.
pub(crate) async fn set_balances(
    conn: &mut PgConnection,
    balances: &[(&Balance, &Place)],
) -> Result<Vec<String>, sqlx::Error> {
    let accounts: Vec<&str> = balances.iter().map(|(new, _)| new.account_id.as_str()).collect();
    let amounts: Vec<i64> = balances.iter().map(|(new, _)| new.balance).collect();
    let tx_ids: Vec<&str> = balances.iter().map(|(_, place)| &*place.tx_id).collect();
    let blocks: Vec<i64> = balances.iter().map(|(_, place)| place.block_number).collect();
    let times: Vec<OffsetDateTime> = balances.iter().map(|(_, place)| place.ledger_at).collect();
    query_scalar!(
        r#"UPDATE "Wallet" w
           SET balance = new.balance, "lastTxId" = new."txId", "asOfBlock" = new.block,
               "updatedAt" = new.at
           FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::timestamptz[])
                AS new (account, balance, "txId", block, at)
           WHERE w."accountId" = new.account
           RETURNING w."accountId""#,
        &accounts as &[&str],
        &amounts,
        &tx_ids as &[&str],
        &blocks,
        &times,
    )
    .fetch_all(conn)
    .await
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

/// Assigns the countries' counters; the countries that there are.
pub(crate) async fn set_counters(
    conn: &mut PgConnection,
    counters: &[&Grant],
) -> Result<Vec<String>, sqlx::Error> {
    let codes: Vec<&str> = counters.iter().map(|new| new.country_code.as_str()).collect();
    let users: Vec<i64> = counters.iter().map(|new| new.users).collect();
    let user_totals: Vec<i64> = counters.iter().map(|new| new.user_total).collect();
    let treasury_totals: Vec<i64> = counters.iter().map(|new| new.treasury_total).collect();
    query_scalar!(
        r#"UPDATE "LedgerCountry" c
           SET users = new.users, "userTotal" = new."userTotal",
               "treasuryTotal" = new."treasuryTotal"
           FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
                AS new (code, users, "userTotal", "treasuryTotal")
           WHERE c."countryCode" = new.code
           RETURNING c."countryCode""#,
        &codes as &[&str],
        &users,
        &user_totals,
        &treasury_totals,
    )
    .fetch_all(conn)
    .await
}

/// Adds rows of people's history.
pub(crate) async fn add_history(
    conn: &mut PgConnection,
    history: &[(&HistoryRow, &Place)],
) -> Result<(), sqlx::Error> {
    const TRANSACTION: Target = Target {
        table: "Transaction",
        columns: &[
            ("id", Kind::Text),
            ("onChainTxId", Kind::Text),
            ("eventIndex", Kind::Integer),
            ("accountId", Kind::Text),
            ("blockNumber", Kind::BigInt),
            ("commandId", Kind::Text),
            ("type", Kind::Text),
            ("direction", Kind::Text),
            ("counterparty", Kind::Text),
            ("amount", Kind::BigInt),
            ("fee", Kind::BigInt),
            ("at", Kind::Time),
        ],
    };
    rows::add(conn, &TRANSACTION, history, |(new, place), row| {
        row.text(&new.id)
            .text(&place.tx_id)
            .integer(place.event_index)
            .text(&new.account_id)
            .bigint(place.block_number)
            .text(&place.command_id)
            .text(new.kind)
            .text(new.direction)
            .text(&new.counterparty)
            .bigint(new.amount)
            .bigint(new.fee)
            .time(place.ledger_at);
    })
    .await
}

/// What one transaction moved to a pool, or from it (negative), in one kind of movement.
pub(crate) struct NewMove<'a> {
    pub(crate) tx_id: &'a str,
    pub(crate) pool_id: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) amount: i64,
    pub(crate) at: OffsetDateTime,
}

/// Records what pools received and paid. A dead event that is applied later adds to what the
/// others of its transaction have moved.
pub(crate) async fn move_pools(
    conn: &mut PgConnection,
    moves: &[NewMove<'_>],
) -> Result<(), sqlx::Error> {
    let tx_ids: Vec<&str> = moves.iter().map(|new| new.tx_id).collect();
    let pool_ids: Vec<&str> = moves.iter().map(|new| new.pool_id).collect();
    let kinds: Vec<&str> = moves.iter().map(|new| new.kind).collect();
    let amounts: Vec<i64> = moves.iter().map(|new| new.amount).collect();
    let times: Vec<OffsetDateTime> = moves.iter().map(|new| new.at).collect();
    query!(
        r#"INSERT INTO "LedgerPoolMove" AS m ("txId", "poolId", kind, amount, at)
           SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[],
                                $5::timestamptz[])
           ON CONFLICT ("txId", "poolId", kind)
           DO UPDATE SET amount = m.amount + excluded.amount"#,
        &tx_ids as &[&str],
        &pool_ids as &[&str],
        &kinds as &[&str],
        &amounts,
        &times,
    )
    .execute(conn)
    .await?;
    Ok(())
}
