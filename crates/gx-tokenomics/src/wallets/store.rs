//! SQL of wallets.

use gx_db::PgConnection;
use serde_json::Value;
use time::OffsetDateTime;

/// A person's wallet in the read model.
pub(crate) struct WalletRow {
    pub(crate) wallet_id: String,
    pub(crate) fabric_user_id: String,
    pub(crate) balance: i64,
    pub(crate) updated_at: OffsetDateTime,
    pub(crate) as_of_block: i64,
}

/// One movement in a wallet's history.
pub(crate) struct TransactionRow {
    pub(crate) id: String,
    pub(crate) on_chain_tx_id: String,
    pub(crate) event_index: i32,
    pub(crate) block_number: i64,
    pub(crate) kind: String,
    pub(crate) direction: String,
    pub(crate) counterparty: String,
    pub(crate) amount: i64,
    pub(crate) fee: i64,
    pub(crate) at: OffsetDateTime,
}

pub(crate) async fn wallet(
    conn: &mut PgConnection,
    profile_id: &str,
) -> Result<Option<WalletRow>, sqlx::Error> {
    sqlx::query_as!(
        WalletRow,
        r#"SELECT "walletId" AS wallet_id, "fabricUserId" AS "fabric_user_id!", balance,
                  "updatedAt" AS updated_at, "asOfBlock" AS as_of_block
           FROM "Wallet" WHERE "profileId" = $1"#,
        profile_id,
    )
    .fetch_optional(conn)
    .await
}

/// Payloads of the transfers from a person that are not settled.
pub(crate) async fn pending_transfers(
    conn: &mut PgConnection,
    fabric_user_id: &str,
) -> Result<Vec<Value>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT payload FROM "OutboxCommand"
           WHERE "aggregateKey" = $1 AND kind = 'TRANSFER'
             AND status IN ('PENDING', 'HELD', 'SUBMITTED', 'BLOCKED', 'DEAD')"#,
        fabric_user_id,
    )
    .fetch_all(conn)
    .await
}

/// Movements of an account, the newest first, from below a key on.
pub(crate) async fn transactions(
    conn: &mut PgConnection,
    fabric_user_id: &str,
    below: Option<&(i64, i32, String)>,
    limit: i64,
) -> Result<Vec<TransactionRow>, sqlx::Error> {
    let (block, index, id) = match below {
        Some((block, index, id)) => (*block, *index, id.as_str()),
        None => (i64::MAX, i32::MAX, ""),
    };
    sqlx::query_as!(
        TransactionRow,
        r#"SELECT id, "onChainTxId" AS on_chain_tx_id, "eventIndex" AS event_index,
                  "blockNumber" AS block_number, type AS kind, direction, counterparty, amount,
                  fee, at
           FROM "Transaction"
           WHERE "accountId" = $1 AND ("blockNumber", "eventIndex", id) < ($2, $3, $4)
           ORDER BY "blockNumber" DESC, "eventIndex" DESC, id DESC
           LIMIT $5"#,
        fabric_user_id,
        block,
        index,
        id,
        limit,
    )
    .fetch_all(conn)
    .await
}
