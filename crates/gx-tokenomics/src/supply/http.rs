//! `GET /api/v1/supply` and `GET /api/v1/treasury/{cc}`.

use axum::extract::{Path, State as Axum};
use gx_model::{AccountId, CountryCode, Gx};
use gx_serve::problem::ProblemBody;
use gx_serve::{Problem, Reply};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{NO_TREASURY, store};
use crate::State;
use crate::amount::gx;

/// Who holds how much.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SupplyBody {
    /// All the money there is, once the ledger was bootstrapped.
    #[schema(value_type = String, example = "1250000000000")]
    total: Gx,
    /// What people hold.
    #[schema(value_type = String)]
    users: Gx,
    /// What treasuries hold.
    #[schema(value_type = String)]
    treasuries: Gx,
    /// What pools hold.
    pools: Vec<PoolBody>,
    /// The last block that is counted; `null` before the first.
    #[schema(required)]
    as_of_block: Option<i64>,
}

/// One pool.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PoolBody {
    id: String,
    #[schema(value_type = String)]
    start_balance: Gx,
    #[schema(value_type = String)]
    balance: Gx,
}

/// One treasury.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TreasuryBody {
    /// `treasury_MY`.
    account_id: String,
    country_code: String,
    #[schema(value_type = String, example = "50")]
    balance: Gx,
    /// Until it is activated.
    is_locked: bool,
    #[serde(with = "gx_serve::moment")]
    updated_at: OffsetDateTime,
    as_of_block: i64,
}

/// The supply, and who holds it.
#[utoipa::path(
    get,
    path = "/api/v1/supply",
    tag = "supply",
    responses((status = 200, description = "As of one block.", body = SupplyBody))
)]
pub(crate) async fn supply(Axum(state): Axum<State>) -> Result<Reply<SupplyBody>, Problem> {
    let held = state.supply.holdings(&state.base).await?;
    let mut pools = Vec::new();
    let mut total = held.users.checked_add(held.treasuries);
    for pool in &held.pools {
        total = total.and_then(|sum| sum.checked_add(pool.balance));
        pools.push(PoolBody {
            start_balance: gx(pool.start_balance)?,
            balance: gx(pool.balance)?,
            id: pool.pool_id.clone(),
        });
    }
    Ok(Reply::ok(SupplyBody {
        // A sum that is no number of Qirat is more than the supply, which `gx` refuses.
        total: gx(total.unwrap_or(i64::MAX))?,
        users: gx(held.users)?,
        treasuries: gx(held.treasuries)?,
        pools,
        as_of_block: held.block_number,
    }))
}

/// One country's treasury.
#[utoipa::path(
    get,
    path = "/api/v1/treasury/{cc}",
    tag = "supply",
    params(("cc" = String, Path, description = "ISO 3166-1 code, such as MY")),
    responses(
        (status = 200, description = "The treasury.", body = TreasuryBody),
        (status = 404, description = "`no_treasury`.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn treasury(
    Axum(state): Axum<State>,
    Path(cc): Path<String>,
) -> Result<Reply<TreasuryBody>, Problem> {
    let missing = || {
        let detail = "It appears with the first grant to a person of that country.";
        Problem::new(&NO_TREASURY, detail)
    };
    let code: CountryCode = cc.to_ascii_uppercase().parse().map_err(|_| missing())?;
    let account = AccountId::Treasury(code).to_string();
    let mut conn = state.base.connection().await?;
    let row = store::treasury(&mut conn, &account).await?.ok_or_else(missing)?;
    Ok(Reply::ok(TreasuryBody {
        balance: gx(row.balance)?,
        account_id: row.account_id,
        country_code: code.to_string(),
        is_locked: row.is_locked,
        updated_at: row.updated_at,
        as_of_block: row.as_of_block,
    }))
}
