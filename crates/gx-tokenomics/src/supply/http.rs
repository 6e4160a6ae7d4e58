//! HTTP routes `GET /api/v1/supply` and `GET /api/v1/treasury/{cc}`, registered by
//! [`crate::service`]. An amount that no ledger can have is answered as an internal problem.

use axum::extract::{Path, State};
use gx_model::{AccountId, CountryCode, Gx};
use gx_serve::{Problem, Reply};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{NO_TREASURY, store};
use crate::ServiceState;
use crate::amount::to_gx;

/// The supply and its holders.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SupplyBody {
    /// Sum of all balances: the whole supply after the bootstrap, 0 before.
    #[schema(value_type = String, example = "1250000000000")]
    total: Gx,
    /// Sum of the balances of people.
    #[schema(value_type = String, example = "500")]
    users: Gx,
    /// Sum of the balances of treasuries.
    #[schema(value_type = String, example = "50")]
    treasuries: Gx,
    /// Balances of the pools.
    pools: Vec<PoolBody>,
    /// The last applied block of these balances; `null` before the first.
    #[schema(required)]
    as_of_block: Option<i64>,
}

/// A pool and its balance.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PoolBody {
    #[schema(example = "SYSTEM_USER_GENESIS_POOL")]
    id: String,
    #[schema(value_type = String, example = "577500000000")]
    start_balance: Gx,
    #[schema(value_type = String, example = "577499999450")]
    balance: Gx,
}

/// The treasury of a country.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TreasuryBody {
    /// Ledger account, such as `treasury_MY`.
    #[schema(example = "treasury_MY")]
    account_id: String,
    #[schema(example = "MY")]
    country_code: String,
    #[schema(value_type = String, example = "50")]
    balance: Gx,
    /// `true` until the treasury is activated.
    is_locked: bool,
    #[serde(with = "gx_serve::moment")]
    updated_at: OffsetDateTime,
    as_of_block: i64,
}

/// Returns the supply and its holders.
#[utoipa::path(
    get,
    path = "/api/v1/supply",
    tag = "supply",
    responses((status = 200, description = "All balances are of the same block.", body = SupplyBody))
)]
pub(crate) async fn supply(
    State(state): State<ServiceState>,
) -> Result<Reply<SupplyBody>, Problem> {
    let held = state.supply.holdings(&state.base).await?;
    let mut pools = Vec::new();
    let mut total = held.users.checked_add(held.treasuries);
    for pool in &held.pools {
        total = total.and_then(|sum| sum.checked_add(pool.balance));
        pools.push(PoolBody {
            start_balance: to_gx(pool.start_balance)?,
            balance: to_gx(pool.balance)?,
            id: pool.pool_id.clone(),
        });
    }
    Ok(Reply::ok(SupplyBody {
        // A sum that overflows is above the supply, and `to_gx` refuses it.
        total: to_gx(total.unwrap_or(i64::MAX))?,
        users: to_gx(held.users)?,
        treasuries: to_gx(held.treasuries)?,
        pools,
        as_of_block: held.block_number,
    }))
}

/// Returns the treasury of a country.
#[utoipa::path(
    get,
    path = "/api/v1/treasury/{cc}",
    tag = "supply",
    params(("cc" = String, Path, description = "ISO 3166-1 code, such as MY")),
    responses((status = 200, description = "The treasury.", body = TreasuryBody))
)]
pub(crate) async fn treasury(
    State(state): State<ServiceState>,
    Path(cc): Path<String>,
) -> Result<Reply<TreasuryBody>, Problem> {
    let missing = || {
        let detail = "A treasury appears with the first grant to a person of its country.";
        Problem::new(&NO_TREASURY, detail)
    };
    let code: CountryCode = cc.to_ascii_uppercase().parse().map_err(|_| missing())?;
    let account = AccountId::Treasury(code).to_string();
    let mut conn = state.base.connection().await?;
    let row = store::treasury(&mut conn, &account).await?.ok_or_else(missing)?;
    Ok(Reply::ok(TreasuryBody {
        balance: to_gx(row.balance)?,
        account_id: row.account_id,
        country_code: code.to_string(),
        is_locked: row.is_locked,
        updated_at: row.updated_at,
        as_of_block: row.as_of_block,
    }))
}
