//! SQL of wallets. Called by the parent module and its routes.

use gx_db::{PgConnection, ProfileId, TxId};
use serde_json::Value;
use time::OffsetDateTime;

/// A person's wallet in the read model.
pub(crate) struct WalletRow {
    pub(crate) wallet_id: String,
    pub(crate) fabric_user_id: String,
    pub(crate) balance: i64,
    pub(crate) updated_at: OffsetDateTime,
    pub(crate) as_of_block: i64,
    /// Payloads of the transfers that are not settled.
    pub(crate) pending_transfers: Value,
    /// Whether the wallet is frozen on the ledger, or a freeze is not settled.
    pub(crate) is_frozen: bool,
}

/// One movement in a wallet's history.
pub(crate) struct TransactionRow {
    pub(crate) id: String,
    pub(crate) on_chain_tx_id: TxId,
    pub(crate) event_index: i32,
    pub(crate) block_number: i64,
    pub(crate) kind: String,
    pub(crate) direction: String,
    pub(crate) counterparty: String,
    pub(crate) amount: i64,
    pub(crate) fee: i64,
    pub(crate) remark: Option<String>,
    pub(crate) at: OffsetDateTime,
}

/// Returns the wallet and its pending transfers as of the same moment, so that no transfer is
/// counted both in the balance and as pending. `None` if the person is not on the ledger yet.
pub(crate) async fn wallet(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<WalletRow>, sqlx::Error> {
    sqlx::query_as!(
        WalletRow,
        r#"SELECT w."walletId" AS wallet_id, w."fabricUserId" AS "fabric_user_id!", w.balance,
                  w."updatedAt" AS updated_at, w."asOfBlock" AS as_of_block,
                  (SELECT coalesce(jsonb_agg(c.payload), '[]') FROM "OutboxCommand" c
                   WHERE c."aggregateKey" = w."accountId" AND c.kind = 'TRANSFER'
                     AND c."settledAt" IS NULL
                  ) AS "pending_transfers!",
                  (EXISTS (SELECT 1 FROM "OutboxCommand" c
                    WHERE c."aggregateKey" = w."accountId" AND c.kind = 'FREEZE_WALLET'
                      AND c."settledAt" IS NULL)
                   OR EXISTS (SELECT 1 FROM "LedgerUser" u
                    WHERE u."fabricUserId" = w."accountId" AND u."isFrozen")
                  ) AS "is_frozen!"
           FROM "Wallet" w WHERE w."profileId" = $1"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Returns the ledger account of the person, or `None` if the person is not on the ledger yet.
pub(crate) async fn account(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT "accountId" FROM "Wallet" WHERE "profileId" = $1"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Returns movements of an account before the key `below`, the newest first.
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
                  fee, at, remark AS "remark?"
           FROM "Transaction" LEFT JOIN "TransferRemark" USING ("commandId")
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
