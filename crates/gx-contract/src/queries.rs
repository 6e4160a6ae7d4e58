//! Queries: they need no role and write nothing. [`crate::invoke`] tries them first; the projector
//! calls them to compare the read model with the ledger. A thing that does not exist is `null` and
//! an empty list is `[]`; neither is an error.

use gx_model::economics::{Fee, grant_for};
use gx_model::{
    AccountId, CommandId, Country, CountryCode, FabricUserId, Pool, Qirat, ReasonCode, TxType,
};
use serde::{Deserialize, Serialize};

use crate::call_error::{CallError, CallResult, Damaged};
use crate::overlay::{json, parse};
use crate::records::{Account, CommandRecord, Counters, GrantRecord, Standing, System, User};
use crate::{Invocation, Response, State, keys, rules};

/// The functions of all queries.
pub const QUERIES: [&str; 9] = [
    "AdminContract:GetSystemStatus",
    "AdminContract:GetCountryStats",
    "IdentityContract:GetUser",
    "IdentityContract:UserExists",
    "TokenomicsContract:GetBalance",
    "TokenomicsContract:GetSupplyStatus",
    "TokenomicsContract:GetPoolStatus",
    "TokenomicsContract:CalculateTransactionFee",
    "BatchContract:GetCommand",
];

/// The answer of `AdminContract:GetSystemStatus` ().
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SystemView {
    /// Whether the supply was created.
    pub bootstrapped: bool,
    /// Whether the system is paused.
    pub paused: bool,
    /// The reason of the pause.
    pub reason_code: Option<ReasonCode>,
    /// Sum of the shares of all countries on the ledger, in parts per 10^9.
    pub share_ppb: u64,
}

/// The answer of `AdminContract:GetCountryStats` (countryCode); `null` for an unknown country.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CountryView {
    /// The country with its share.
    pub country: Country,
    /// Number of people with a grant.
    pub users: u64,
    /// Sum of the grants to people.
    pub user_total: Qirat,
    /// Sum of the payments to the treasury with these grants.
    pub treasury_total: Qirat,
    /// The phase of the next person; `None` if there are no more grants.
    pub phase: Option<u8>,
    /// The treasury's balance.
    pub treasury_balance: Qirat,
    /// Whether the treasury may spend.
    pub treasury_active: bool,
}

/// The answer of `IdentityContract:GetUser` (userID); `null` for an unknown person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserView {
    /// The person's id.
    pub user_id: FabricUserId,
    /// The person's country.
    pub nationality: CountryCode,
    /// Full years at approval.
    pub age: u8,
    /// The transaction that created the person.
    pub tx_id: String,
    /// The person's balance.
    pub balance: Qirat,
    /// Whether the person may spend.
    pub standing: Standing,
    /// The person's one grant, if it is decided.
    pub grant: Option<GrantRecord>,
}

/// The answer of `TokenomicsContract:GetBalance` (accountID); `null` for an unknown account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountView {
    /// The account.
    pub account_id: AccountId,
    /// The balance.
    pub balance: Qirat,
}

/// The answer of `TokenomicsContract:GetSupplyStatus` ().
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SupplyView {
    /// The whole supply; 0 before bootstrap.
    pub supply: Qirat,
    /// Sum of the pools' balances.
    pub in_pools: Qirat,
    /// Sum of the balances of people and treasuries.
    pub in_circulation: Qirat,
    /// Number of people with a grant, in all countries.
    pub users: u64,
}

/// One pool in the answer of `TokenomicsContract:GetPoolStatus` ().
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolView {
    /// The pool.
    pub pool_id: AccountId,
    /// The pool's balance.
    pub balance: Qirat,
    /// Fees in the balance that cannot be spent until they are folded.
    pub unfolded: Qirat,
}

/// The answer of `TokenomicsContract:CalculateTransactionFee` (fromID, toID, amount, txType).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FeeView {
    /// The class; `None` if a pool or treasury takes part.
    pub tx_type: Option<TxType>,
    /// The rate in 1/10 000 of the amount.
    pub basis_points: u16,
    /// The amount of the fee.
    pub fee: Qirat,
}

/// Answers the call if its function is a query; returns `None` otherwise.
pub(crate) fn run(state: &mut dyn State, call: &Invocation<'_>) -> Option<CallResult> {
    let answer = match (call.function, call.args) {
        ("AdminContract:GetSystemStatus", []) => system(state).map(|view| json(&view)),
        ("AdminContract:GetCountryStats", [code]) => {
            argument(code).and_then(|code| country(state, code)).map(|view| json(&view))
        }
        ("IdentityContract:GetUser", [id]) => {
            argument(id).and_then(|id| user(state, id)).map(|view| json(&view))
        }
        ("IdentityContract:UserExists", [id]) => {
            argument(id).and_then(|id| user(state, id)).map(|view| json(&view.is_some()))
        }
        ("TokenomicsContract:GetBalance", [id]) => {
            argument(id).and_then(|id| balance(state, id)).map(|view| json(&view))
        }
        ("TokenomicsContract:GetSupplyStatus", []) => supply(state).map(|view| json(&view)),
        ("TokenomicsContract:GetPoolStatus", []) => pools(state).map(|views| json(&views)),
        ("TokenomicsContract:CalculateTransactionFee", [from, to, amount, tx_type]) => {
            price(from, to, amount, tx_type).map(|view| json(&view))
        }
        ("BatchContract:GetCommand", [id]) => argument(id)
            .and_then(|id: CommandId| get::<CommandRecord>(state, &keys::command(id)))
            .map(|view| json(&view)),
        (function, args) if QUERIES.contains(&function) => {
            Err(CallError::invalid(format!("{function} does not take {} arguments", args.len())))
        }
        _ => return None,
    };
    Some(answer.map(|payload| Response {
        payload,
        ..Response::without_effect(Response::OK, String::new())
    }))
}

fn system(state: &mut dyn State) -> Result<SystemView, CallError> {
    let System { bootstrapped, paused } = get(state, keys::SYSTEM)?.unwrap_or_default();
    let share_ppb = get(state, keys::SHARES)?.unwrap_or_default();
    Ok(SystemView { bootstrapped, paused: paused.is_some(), reason_code: paused, share_ppb })
}

fn country(state: &mut dyn State, code: CountryCode) -> Result<Option<CountryView>, CallError> {
    let Some(country) = get::<Country>(state, &keys::country(code))? else { return Ok(None) };
    let Counters { users, user_total, treasury_total } =
        get(state, &keys::counters(code))?.unwrap_or_default();
    let key = keys::account(&AccountId::Treasury(code));
    let treasury: Account =
        get(state, &key)?.ok_or_else(|| Damaged(format!("a country without {key}")))?;
    Ok(Some(CountryView {
        users,
        user_total,
        treasury_total,
        phase: grant_for(users, country.share_ppb).map(|grant| grant.phase),
        treasury_balance: treasury.balance,
        treasury_active: treasury.standing == (Standing::Open {}),
        country,
    }))
}

fn user(state: &mut dyn State, user_id: FabricUserId) -> Result<Option<UserView>, CallError> {
    let Some(User { nationality, age, tx_id, .. }) = get(state, &keys::user(&user_id))? else {
        return Ok(None);
    };
    let key = keys::account(&AccountId::User(user_id.clone()));
    let Account { balance, standing } =
        get(state, &key)?.ok_or_else(|| Damaged(format!("a user without {key}")))?;
    let grant = get(state, &keys::grant(&user_id))?;
    Ok(Some(UserView { user_id, nationality, age, tx_id, balance, standing, grant }))
}

fn balance(state: &mut dyn State, account_id: AccountId) -> Result<Option<AccountView>, CallError> {
    let balance = match &account_id {
        AccountId::Pool(_) => {
            let pools = pools(state)?;
            pools.into_iter().find(|pool| pool.pool_id == account_id).map(|pool| pool.balance)
        }
        _ => get::<Account>(state, &keys::account(&account_id))?.map(|account| account.balance),
    };
    Ok(balance.map(|balance| AccountView { account_id, balance }))
}

fn supply(state: &mut dyn State) -> Result<SupplyView, CallError> {
    let (users, ..) = granted(state)?;
    let pools = pools(state)?;
    let supply = if pools.is_empty() { Qirat::ZERO } else { Qirat::SUPPLY };
    let in_pools = total(pools.iter().map(|pool| pool.balance))?;
    let in_circulation = less(supply, in_pools)?;
    Ok(SupplyView { supply, in_pools, in_circulation, users })
}

/// Returns all pools, or no pool before bootstrap.
fn pools(state: &mut dyn State) -> Result<Vec<PoolView>, CallError> {
    let (_, user_total, treasury_total) = granted(state)?;
    let fees = fees(state)?;
    let mut views = vec![];
    for pool in Pool::ALL {
        let pool_id = AccountId::Pool(pool);
        let Some(account) = get::<Account>(state, &keys::account(&pool_id))? else { continue };
        let (balance, unfolded) = match pool {
            Pool::UserGenesis => (less(account.balance, user_total)?, Qirat::ZERO),
            Pool::GovtGenesis => (less(account.balance, treasury_total)?, Qirat::ZERO),
            Pool::OperationsFund => (total([account.balance, fees])?, fees),
            Pool::Charitable | Pool::Loan | Pool::Gx => (account.balance, Qirat::ZERO),
        };
        views.push(PoolView { pool_id, balance, unfolded });
    }
    Ok(views)
}

/// Returns the sums of all countries' counters: people, payments to them, payments to treasuries.
fn granted(state: &mut dyn State) -> Result<(u64, Qirat, Qirat), CallError> {
    let mut sums = (0, Qirat::ZERO, Qirat::ZERO);
    for (key, value) in state.range(keys::COUNTERS, &keys::end(keys::COUNTERS))? {
        let country: Counters = parse(&key, &value)?;
        sums.0 += country.users;
        sums.1 = total([sums.1, country.user_total])?;
        sums.2 = total([sums.2, country.treasury_total])?;
    }
    Ok(sums)
}

fn fees(state: &mut dyn State) -> Result<Qirat, CallError> {
    let deltas = state.range(keys::FEES, &keys::end(keys::FEES))?;
    let fees: Result<Vec<Qirat>, Damaged> =
        deltas.iter().map(|(key, value)| parse(key, value)).collect();
    Ok(total(fees?)?)
}

fn price(from: &str, to: &str, amount: &str, tx_type: &str) -> Result<FeeView, CallError> {
    let claimed = if tx_type.is_empty() { None } else { Some(argument(tx_type)?) };
    let Fee { tx_type, basis_points, fee } =
        rules::priced(&argument(from)?, &argument(to)?, argument(amount)?, claimed)
            .map_err(CallError::rejected)?;
    Ok(FeeView { tx_type, basis_points, fee })
}

fn get<T: serde::de::DeserializeOwned>(
    state: &mut dyn State,
    key: &str,
) -> Result<Option<T>, CallError> {
    let value = state.get(key)?;
    Ok(value.map(|bytes| parse(key, &bytes)).transpose()?)
}

fn argument<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, CallError> {
    text.parse().map_err(|why: T::Err| CallError::invalid(why.to_string()))
}

fn total(amounts: impl IntoIterator<Item = Qirat>) -> Result<Qirat, Damaged> {
    amounts
        .into_iter()
        .try_fold(Qirat::ZERO, Qirat::checked_add)
        .ok_or_else(|| Damaged("the ledger holds more than the supply".to_owned()))
}

fn less(whole: Qirat, part: Qirat) -> Result<Qirat, Damaged> {
    let negative = || Damaged("a pool has paid more than it had".to_owned());
    whole.checked_sub(part).ok_or_else(negative)
}
