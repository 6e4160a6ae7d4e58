//! HTTP routes `GET /api/v1/wallets/me` and `GET /api/v1/wallets/me/transactions`, registered by
//! [`crate::service`]. A `Problem` is the answer to the client.

use axum::extract::State;
use gx_auth::Person;
use gx_db::TxId;
use gx_model::Gx;
use gx_serve::page::{Page, PageQuery};
use gx_serve::{Problem, Query, Reply};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{TransactionRow, store};
use crate::ServiceState;
use crate::amount::to_gx;

/// The wallet of the signed-in person.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WalletBody {
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    wallet_id: String,
    #[schema(example = "MY 463 AUN834 0QKZB 5821")]
    fabric_user_id: String,
    #[schema(value_type = String, example = "500")]
    balance: Gx,
    /// Sum of the transfers that are not settled, with their fees.
    #[schema(value_type = String, example = "0")]
    pending_debits: Gx,
    /// The balance minus `pendingDebits`.
    #[schema(value_type = String, example = "500")]
    available: Gx,
    #[serde(with = "gx_serve::moment")]
    updated_at: OffsetDateTime,
    /// Number of the block that last changed the wallet.
    as_of_block: i64,
}

/// One movement of money in or out of the wallet.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TransactionBody {
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    id: String,
    #[schema(value_type = String, example = "5d0a1f8e2c…")]
    on_chain_tx_id: TxId,
    block_number: i64,
    /// `GENESIS` or `TRANSFER`.
    #[serde(rename = "type")]
    #[schema(example = "GENESIS")]
    kind: String,
    /// `IN` or `OUT`.
    #[schema(example = "IN")]
    direction: String,
    #[schema(example = "SYSTEM_USER_GENESIS_POOL")]
    counterparty: String,
    #[schema(value_type = String, example = "500")]
    amount: Gx,
    #[schema(value_type = String, example = "0")]
    fee: Gx,
    /// The payer's remark.
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
    #[serde(with = "gx_serve::moment")]
    at: OffsetDateTime,
}

/// Returns the wallet of the signed-in person.
#[utoipa::path(
    get,
    path = "/api/v1/wallets/me",
    tag = "wallets",
    responses((status = 200, description = "The wallet.", body = WalletBody))
)]
pub(crate) async fn my_wallet(
    State(state): State<ServiceState>,
    person: Person,
) -> Result<Reply<WalletBody>, Problem> {
    let mut conn = state.base.connection().await?;
    let wallet = super::wallet(&mut conn, &person.profile_id).await?;
    Ok(Reply::ok(WalletBody {
        balance: to_gx(wallet.row.balance)?,
        pending_debits: Gx(wallet.pending_debits),
        available: Gx(wallet.available),
        wallet_id: wallet.row.wallet_id,
        fabric_user_id: wallet.row.fabric_user_id,
        updated_at: wallet.row.updated_at,
        as_of_block: wallet.row.as_of_block,
    }))
}

/// Lists the movements of the wallet, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/wallets/me/transactions",
    tag = "wallets",
    params(PageQuery<(i64, i32, String)>),
    responses((status = 200, description = "A page of movements.", body = Page<TransactionBody>))
)]
pub(crate) async fn my_transactions(
    State(state): State<ServiceState>,
    person: Person,
    Query(page): Query<PageQuery<(i64, i32, String)>>,
) -> Result<Reply<Page<TransactionBody>>, Problem> {
    let mut conn = state.base.connection().await?;
    let account = store::account(&mut conn, &person.profile_id).await?;
    let account = account.ok_or_else(super::no_wallet)?;
    let limit = page.limit.with_one_more();
    let rows = store::transactions(&mut conn, &account, page.key(), limit).await?;
    let key = |row: &TransactionRow| (row.block_number, row.event_index, row.id.clone());
    let page = Page::cut(rows, page.limit, key);
    Ok(Reply::ok(page.try_map(body)?))
}

fn body(row: TransactionRow) -> Result<TransactionBody, Problem> {
    Ok(TransactionBody {
        amount: to_gx(row.amount)?,
        fee: to_gx(row.fee)?,
        id: row.id,
        on_chain_tx_id: row.on_chain_tx_id,
        block_number: row.block_number,
        kind: row.kind,
        direction: row.direction,
        counterparty: row.counterparty,
        remark: row.remark,
        at: row.at,
    })
}
