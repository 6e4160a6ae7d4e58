//! SQL of `Wallet`, `Transaction`, `LedgerCountry` counters and `LedgerPoolMove`. Called when
//! events are applied.

use gx_db::PgConnection;
use sqlx::{query, query_scalar};
use time::OffsetDateTime;

use super::rows::{self, ColumnType, InsertTarget};
use crate::apply::effects::{Balance, Grant, HistoryRow};
use crate::place::{Place, Places};

/// Adds locked, empty treasuries where there are none yet.
pub(crate) async fn create_treasuries(
    conn: &mut PgConnection,
    wallet_ids: &[String],
    account_ids: &[String],
    place: &Place,
) -> Result<(), sqlx::Error> {
    query!(
        r#"INSERT INTO "Wallet" ("walletId", "accountId", kind, balance, "isLocked", "lastTxId",
                                 "asOfBlock", "createdAt", "updatedAt",
                                 "balanceBlock", "balanceTxIndex", "balanceEventIndex",
                                 "lockBlock", "lockTxIndex", "lockEventIndex")
           SELECT new."walletId", new."accountId", 'TREASURY', 0, true, $3, $4, $5, $5,
                  $4, $6, $7, $4, $6, $7
           FROM unnest($1::text[], $2::text[]) AS new ("walletId", "accountId")
           ON CONFLICT ("walletId") DO NOTHING"#,
        wallet_ids,
        account_ids,
        &*place.tx_id,
        place.block_number,
        place.ledger_at,
        place.tx_index,
        place.event_index,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Sets the balances of wallets whose balance is older, and returns their accounts.
pub(crate) async fn set_balances(
    conn: &mut PgConnection,
    balances: &[(&Balance, &Place)],
) -> Result<Vec<String>, sqlx::Error> {
    let accounts: Vec<&str> = balances.iter().map(|(new, _)| new.account_id.as_str()).collect();
    let amounts: Vec<i64> = balances.iter().map(|(new, _)| new.balance).collect();
    let tx_ids: Vec<&str> = balances.iter().map(|(_, place)| &*place.tx_id).collect();
    let times: Vec<OffsetDateTime> = balances.iter().map(|(_, place)| place.ledger_at).collect();
    let Places { blocks, tx_indexes, event_indexes } =
        Places::of(balances.iter().map(|(_, place)| *place));
    // The three columns of the newest change belong to the lock if that is newer. Only treasuries
    // have a lock.
    query_scalar!(
        r#"UPDATE "Wallet" w
           SET balance = new.balance, "balanceBlock" = new.block,
               "balanceTxIndex" = new."txIndex", "balanceEventIndex" = new."eventIndex",
               "lastTxId" = CASE WHEN (w."lockBlock", w."lockTxIndex", w."lockEventIndex")
                                      < (new.block, new."txIndex", new."eventIndex")
                                 THEN new."txId" ELSE w."lastTxId" END,
               "asOfBlock" = greatest(w."lockBlock", new.block),
               "updatedAt" = CASE WHEN (w."lockBlock", w."lockTxIndex", w."lockEventIndex")
                                       < (new.block, new."txIndex", new."eventIndex")
                                  THEN new.at ELSE w."updatedAt" END
           FROM unnest($1::text[], $2::bigint[], $3::text[], $4::timestamptz[], $5::bigint[],
                       $6::integer[], $7::integer[])
                AS new (account, balance, "txId", at, block, "txIndex", "eventIndex")
           WHERE w."accountId" = new.account
             AND (w."balanceBlock", w."balanceTxIndex", w."balanceEventIndex")
                 < (new.block, new."txIndex", new."eventIndex")
           RETURNING w."accountId""#,
        &accounts as &[&str],
        &amounts,
        &tx_ids as &[&str],
        &times,
        &blocks,
        &tx_indexes,
        &event_indexes,
    )
    .fetch_all(conn)
    .await
}

/// Returns which of some accounts have a wallet.
pub(crate) async fn with_wallet(
    conn: &mut PgConnection,
    accounts: &[&str],
) -> Result<Vec<String>, sqlx::Error> {
    query_scalar!(
        r#"SELECT "accountId" FROM "Wallet" WHERE "accountId" = ANY($1)"#,
        accounts as &[&str],
    )
    .fetch_all(conn)
    .await
}

/// Unlocks a treasury. Returns `false` and changes nothing if there is no such treasury, or if this
/// event or a later one has already written its lock.
pub(crate) async fn unlock(
    conn: &mut PgConnection,
    account_id: &str,
    place: &Place,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        r#"UPDATE "Wallet"
           SET "isLocked" = false, "lockBlock" = $3, "lockTxIndex" = $4, "lockEventIndex" = $5,
               "lastTxId" = CASE WHEN ("balanceBlock", "balanceTxIndex", "balanceEventIndex")
                                      < ($3, $4, $5) THEN $2 ELSE "lastTxId" END,
               "asOfBlock" = greatest("balanceBlock", $3),
               "updatedAt" = CASE WHEN ("balanceBlock", "balanceTxIndex", "balanceEventIndex")
                                       < ($3, $4, $5) THEN $6 ELSE "updatedAt" END
           WHERE "accountId" = $1 AND kind = 'TREASURY'
             AND ("lockBlock", "lockTxIndex", "lockEventIndex") < ($3, $4, $5)"#,
        account_id,
        &*place.tx_id,
        place.block_number,
        place.tx_index,
        place.event_index,
        place.ledger_at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Sets the counters of countries whose counters are older, and returns their codes.
pub(crate) async fn set_counters(
    conn: &mut PgConnection,
    counters: &[(&Grant, &Place)],
) -> Result<Vec<String>, sqlx::Error> {
    let codes: Vec<&str> = counters.iter().map(|(new, _)| new.country_code.as_str()).collect();
    let users: Vec<i64> = counters.iter().map(|(new, _)| new.users).collect();
    let user_totals: Vec<i64> = counters.iter().map(|(new, _)| new.user_total).collect();
    let treasury_totals: Vec<i64> = counters.iter().map(|(new, _)| new.treasury_total).collect();
    let Places { blocks, tx_indexes, event_indexes } =
        Places::of(counters.iter().map(|(_, place)| *place));
    query_scalar!(
        r#"UPDATE "LedgerCountry" c
           SET users = new.users, "userTotal" = new."userTotal",
               "treasuryTotal" = new."treasuryTotal", "countersBlock" = new.block,
               "countersTxIndex" = new."txIndex", "countersEventIndex" = new."eventIndex"
           FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
                       $6::integer[], $7::integer[])
                AS new (code, users, "userTotal", "treasuryTotal", block, "txIndex", "eventIndex")
           WHERE c."countryCode" = new.code
             AND (c."countersBlock", c."countersTxIndex", c."countersEventIndex")
                 < (new.block, new."txIndex", new."eventIndex")
           RETURNING c."countryCode""#,
        &codes as &[&str],
        &users,
        &user_totals,
        &treasury_totals,
        &blocks,
        &tx_indexes,
        &event_indexes,
    )
    .fetch_all(conn)
    .await
}

/// Returns which of some countries the chain has.
pub(crate) async fn known_countries(
    conn: &mut PgConnection,
    codes: &[&str],
) -> Result<Vec<String>, sqlx::Error> {
    query_scalar!(
        r#"SELECT "countryCode" FROM "LedgerCountry" WHERE "countryCode" = ANY($1)"#,
        codes as &[&str],
    )
    .fetch_all(conn)
    .await
}

/// Adds rows to people's transaction history.
pub(crate) async fn add_history(
    conn: &mut PgConnection,
    history: &[(&HistoryRow, &Place)],
) -> Result<(), sqlx::Error> {
    const TRANSACTION: InsertTarget = InsertTarget {
        table: "Transaction",
        columns: &[
            ("id", ColumnType::Text),
            ("onChainTxId", ColumnType::Text),
            ("eventIndex", ColumnType::Integer),
            ("accountId", ColumnType::Text),
            ("blockNumber", ColumnType::BigInt),
            ("commandId", ColumnType::Text),
            ("type", ColumnType::Text),
            ("direction", ColumnType::Text),
            ("counterparty", ColumnType::Text),
            ("amount", ColumnType::BigInt),
            ("fee", ColumnType::BigInt),
            ("at", ColumnType::Time),
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

/// An amount that one transaction moved to a pool, or from it if negative, in one kind of move.
pub(crate) struct NewMove<'a> {
    pub(crate) tx_id: &'a str,
    pub(crate) pool_id: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) amount: i64,
    pub(crate) at: OffsetDateTime,
}

/// Records what pools received and paid. A dead letter that is applied later adds to the amounts of
/// the other events of its transaction.
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
