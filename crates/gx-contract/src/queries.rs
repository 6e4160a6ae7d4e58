//! Questions: no role needed, nothing written. What does not exist is `null`, a list
//! without members is `[]`, and neither is an error.

use gx_model::economics::{Fee, grant_for};
use gx_model::{
    AccountId, CommandId, Country, CountryCode, FabricUserId, Pool, Qirat, ReasonCode, TxType,
};
use serde::{Deserialize, Serialize};

use crate::halt::{Damaged, Halt};
use crate::overlay::{json, parse};
use crate::records::{Account, CommandRecord, Counters, GrantRecord, Standing, System, User};
use crate::{Invocation, Response, State, keys, rules};

/// Every query, by its function.
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

/// Answer of `AdminContract:GetSystemStatus` ().
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SystemView {
    /// Whether the supply exists.
    pub bootstrapped: bool,
    /// Whether changes are stopped.
    pub paused: bool,
    /// Why they are.
    pub reason_code: Option<ReasonCode>,
    /// Sum of the shares of all countries on the ledger, in parts per 10^9.
    pub share_ppb: u64,
}

/// Answer of `AdminContract:GetCountryStats` (countryCode), or `null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CountryView {
    /// The country's facts.
    pub country: Country,
    /// People granted so far.
    pub users: u64,
    /// Paid to them.
    pub user_total: Qirat,
    /// Paid to the treasury with their grants.
    pub treasury_total: Qirat,
    /// The phase of the next person; `None` when there is no grant any more.
    pub phase: Option<u8>,
    /// What the treasury holds.
    pub treasury_balance: Qirat,
    /// Whether it may spend.
    pub treasury_active: bool,
}

/// Answer of `IdentityContract:GetUser` (userID), or `null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserView {
    /// The id.
    pub user_id: FabricUserId,
    /// The country.
    pub nationality: CountryCode,
    /// Full years at approval.
    pub age: u8,
    /// The transaction that created the person.
    pub tx_id: String,
    /// What the person holds.
    pub balance: Qirat,
    /// Whether the person may spend.
    pub standing: Standing,
    /// The one grant, once decided.
    pub grant: Option<GrantRecord>,
}

/// Answer of `TokenomicsContract:GetBalance` (accountID), or `null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountView {
    /// Whose.
    pub account_id: AccountId,
    /// How much.
    pub balance: Qirat,
}

/// Answer of `TokenomicsContract:GetSupplyStatus` ().
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SupplyView {
    /// All there is; 0 before bootstrap.
    pub supply: Qirat,
    /// What the pools hold.
    pub in_pools: Qirat,
    /// What people and treasuries hold.
    pub in_circulation: Qirat,
    /// People granted so far, in all countries.
    pub users: u64,
}

/// One of the answer of `TokenomicsContract:GetPoolStatus` ().
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolView {
    /// Which pool.
    pub pool_id: AccountId,
    /// What it holds.
    pub balance: Qirat,
    /// The part of the balance that cannot be spent before it is folded.
    pub unfolded: Qirat,
}

/// Answer of `TokenomicsContract:CalculateTransactionFee` (fromID, toID, amount, txType).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FeeView {
    /// The class; `None` where a pool or treasury takes part.
    pub tx_type: Option<TxType>,
    /// The rate in 1/10 000.
    pub basis_points: u16,
    /// The fee.
    pub fee: Qirat,
}

/// Answers the call if its function is a query.
pub(crate) fn run(state: &mut dyn State, call: &Invocation<'_>) -> Option<Result<Response, Halt>> {
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
            Err(Halt::invalid(format!("{function} does not take {} arguments", args.len())))
        }
        _ => return None,
    };
    Some(answer.map(|payload| Response {
        payload,
        ..Response::without_effect(Response::OK, String::new())
    }))
}

fn system(state: &mut dyn State) -> Result<SystemView, Halt> {
    let System { bootstrapped, paused } = get(state, keys::SYSTEM)?.unwrap_or_default();
    let share_ppb = get(state, keys::SHARES)?.unwrap_or_default();
    Ok(SystemView { bootstrapped, paused: paused.is_some(), reason_code: paused, share_ppb })
}

fn country(state: &mut dyn State, code: CountryCode) -> Result<Option<CountryView>, Halt> {
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

fn user(state: &mut dyn State, user_id: FabricUserId) -> Result<Option<UserView>, Halt> {
    let Some(User { nationality, age, tx_id, .. }) = get(state, &keys::user(&user_id))? else {
        return Ok(None);
    };
    let key = keys::account(&AccountId::User(user_id.clone()));
    let Account { balance, standing } =
        get(state, &key)?.ok_or_else(|| Damaged(format!("a user without {key}")))?;
    let grant = get(state, &keys::grant(&user_id))?;
    Ok(Some(UserView { user_id, nationality, age, tx_id, balance, standing, grant }))
}

fn balance(state: &mut dyn State, account_id: AccountId) -> Result<Option<AccountView>, Halt> {
    let balance = match &account_id {
        AccountId::Pool(_) => {
            let pools = pools(state)?;
            pools.into_iter().find(|pool| pool.pool_id == account_id).map(|pool| pool.balance)
        }
        _ => get::<Account>(state, &keys::account(&account_id))?.map(|account| account.balance),
    };
    Ok(balance.map(|balance| AccountView { account_id, balance }))
}

fn supply(state: &mut dyn State) -> Result<SupplyView, Halt> {
    let (users, ..) = granted(state)?;
    let pools = pools(state)?;
    let supply = if pools.is_empty() { Qirat::ZERO } else { Qirat::SUPPLY };
    let in_pools = total(pools.iter().map(|pool| pool.balance))?;
    let in_circulation = less(supply, in_pools)?;
    Ok(SupplyView { supply, in_pools, in_circulation, users })
}

/// All pools; none before bootstrap.
fn pools(state: &mut dyn State) -> Result<Vec<PoolView>, Halt> {
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

/// Sums of all countries' counters: people, paid to them, paid to treasuries.
fn granted(state: &mut dyn State) -> Result<(u64, Qirat, Qirat), Halt> {
    let mut sums = (0, Qirat::ZERO, Qirat::ZERO);
    for (key, value) in state.range(keys::COUNTERS, &keys::end(keys::COUNTERS))? {
        let country: Counters = parse(&key, &value)?;
        sums.0 += country.users;
        sums.1 = total([sums.1, country.user_total])?;
        sums.2 = total([sums.2, country.treasury_total])?;
    }
    Ok(sums)
}

fn fees(state: &mut dyn State) -> Result<Qirat, Halt> {
    let deltas = state.range(keys::FEES, &keys::end(keys::FEES))?;
    let fees: Result<Vec<Qirat>, Damaged> =
        deltas.iter().map(|(key, value)| parse(key, value)).collect();
    Ok(total(fees?)?)
}

fn price(from: &str, to: &str, amount: &str, tx_type: &str) -> Result<FeeView, Halt> {
    let claimed = if tx_type.is_empty() { None } else { Some(argument(tx_type)?) };
    let Fee { tx_type, basis_points, fee } =
        rules::priced(&argument(from)?, &argument(to)?, argument(amount)?, claimed)
            .map_err(Halt::rejected)?;
    Ok(FeeView { tx_type, basis_points, fee })
}

fn get<T: serde::de::DeserializeOwned>(
    state: &mut dyn State,
    key: &str,
) -> Result<Option<T>, Halt> {
    let value = state.get(key)?;
    Ok(value.map(|bytes| parse(key, &bytes)).transpose()?)
}

fn argument<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Halt> {
    text.parse().map_err(|why: T::Err| Halt::invalid(why.to_string()))
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
