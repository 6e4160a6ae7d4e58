//! `GET /api/v1/wallets/me` and `GET /api/v1/wallets/me/transactions`.

use axum::extract::State as Axum;
use gx_auth::Person;
use gx_model::Gx;
use gx_serve::fields::{Fields, FromFields};
use gx_serve::page::{Cursor, Limit, Page};
use gx_serve::problem::ProblemBody;
use gx_serve::{Problem, Query, Reply};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::{TransactionRow, store};
use crate::State;
use crate::amount::gx;

/// A wallet.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WalletBody {
    wallet_id: String,
    fabric_user_id: String,
    #[schema(value_type = String, example = "500")]
    balance: Gx,
    /// Transfers and their fees on the way to the ledger.
    #[schema(value_type = String, example = "0")]
    pending_debits: Gx,
    /// What is left of the balance once they have arrived.
    #[schema(value_type = String, example = "500")]
    available: Gx,
    #[serde(with = "gx_serve::moment")]
    updated_at: OffsetDateTime,
    /// The block that last changed it.
    as_of_block: i64,
}

/// One movement.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TransactionBody {
    id: String,
    on_chain_tx_id: String,
    block_number: i64,
    /// `GENESIS` or `TRANSFER`.
    #[serde(rename = "type")]
    kind: String,
    /// `IN` or `OUT`.
    direction: String,
    counterparty: String,
    #[schema(value_type = String, example = "500")]
    amount: Gx,
    #[schema(value_type = String, example = "0")]
    fee: Gx,
    /// What the payer wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
    #[serde(with = "gx_serve::moment")]
    at: OffsetDateTime,
}

/// Which page of the history.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "the fields describe the query; HistoryPage is what is read")]
pub(crate) struct HistoryQuery {
    /// 1 to 100, 20 by default.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

/// The page that was asked for.
pub(crate) struct HistoryPage {
    limit: Limit,
    below: Option<Cursor<(i64, i32, String)>>,
}

impl FromFields for HistoryPage {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let limit = fields.optional("limit");
        let below = fields.optional("cursor");
        Some(Self { limit: limit?.unwrap_or_default(), below: below? })
    }
}

/// The wallet of the person who is signed in.
#[utoipa::path(
    get,
    path = "/api/v1/wallets/me",
    tag = "wallets",
    responses(
        (status = 200, description = "The wallet.", body = WalletBody),
        (status = 404, description = "`no_wallet`: not on the ledger yet.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn my_wallet(
    Axum(state): Axum<State>,
    person: Person,
) -> Result<Reply<WalletBody>, Problem> {
    let mut conn = state.base.connection().await?;
    let wallet = super::wallet(&mut conn, &person.profile_id).await?;
    Ok(Reply::ok(WalletBody {
        balance: gx(wallet.row.balance)?,
        pending_debits: Gx(wallet.pending_debits),
        available: Gx(wallet.available),
        wallet_id: wallet.row.wallet_id,
        fabric_user_id: wallet.row.fabric_user_id,
        updated_at: wallet.row.updated_at,
        as_of_block: wallet.row.as_of_block,
    }))
}

/// The history of the wallet, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/wallets/me/transactions",
    tag = "wallets",
    params(HistoryQuery),
    responses(
        (status = 200, description = "A page of movements.", body = Page<TransactionBody>),
        (status = 404, description = "`no_wallet`: not on the ledger yet.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn my_transactions(
    Axum(state): Axum<State>,
    person: Person,
    Query(page): Query<HistoryPage>,
) -> Result<Reply<Page<TransactionBody>>, Problem> {
    let mut conn = state.base.connection().await?;
    let account = store::account(&mut conn, &person.profile_id).await?;
    let account = account.ok_or_else(super::no_wallet)?;
    let below = page.below.as_ref().map(|cursor| &cursor.0);
    let limit = page.limit.with_one_more();
    let rows = store::transactions(&mut conn, &account, below, limit).await?;
    let key = |row: &TransactionRow| (row.block_number, row.event_index, row.id.clone());
    let page = Page::cut(rows, page.limit, key);
    Ok(Reply::ok(page.try_map(body)?))
}

fn body(row: TransactionRow) -> Result<TransactionBody, Problem> {
    Ok(TransactionBody {
        amount: gx(row.amount)?,
        fee: gx(row.fee)?,
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
