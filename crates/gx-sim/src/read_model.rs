//! G3: compares the read model with the replay of the chain in memory. Called by `run::checks`; an
//! `Err` describes the first difference.

use std::collections::{BTreeMap, BTreeSet};

use gx_model::Pool;
use sqlx::PgPool;

use crate::chain_replay::{ChainReplay, EventPlace, Fact};

/// The places of the events that are dead letters.
pub(crate) type Held = BTreeSet<EventPlace>;

/// Returns the places of all dead letters.
pub(crate) async fn held(pool: &PgPool) -> Held {
    let rows: Vec<EventPlace> = sqlx::query_as(
        r#"SELECT "blockNumber", "txId", "eventIndex" FROM "EventDLQ" WHERE state = 'HELD'"#,
    )
    .fetch_all(pool)
    .await
    .unwrap();
    rows.into_iter().collect()
}

/// G3, PRJ-15: checks that the rows are those of a replay of the chain. Only the effects of dead
/// letters may be missing: a fact whose newest event is not a dead letter must be as on the chain.
pub(crate) async fn check_read_model(
    pool: &PgPool,
    replay: &ChainReplay,
    held: &Held,
) -> Result<(), String> {
    let is_known = |fact: Fact| replay.newest.get(&fact).is_none_or(|place| !held.contains(place));
    check_balances(pool, replay, held, &is_known).await?;
    let countries: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        r#"SELECT "countryCode", users, "userTotal", "treasuryTotal" FROM "LedgerCountry""#,
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let countries =
        countries.into_iter().map(|(code, users, user, treasury)| (code, (users, user, treasury)));
    let is_certain = |code: &String| is_known(Fact::Country(code.clone()));
    same("countries", &replay.countries, &countries.collect(), is_certain)?;
    check_people(pool, replay, &is_known).await?;
    check_logs(pool, replay, held).await?;
    let paused: Option<String> = sqlx::query_scalar(
        r#"SELECT CASE WHEN "isPaused" THEN "pauseReason" END FROM "LedgerSystem""#,
    )
    .fetch_one(pool)
    .await
    .unwrap();
    if paused == replay.paused || !is_known(Fact::Pause) {
        return Ok(());
    }
    Err(format!("G3: paused is {paused:?}, by the chain {:?}", replay.paused))
}

async fn check_balances(
    pool: &PgPool,
    replay: &ChainReplay,
    held: &Held,
    is_known: &impl Fn(Fact) -> bool,
) -> Result<(), String> {
    let balances: Vec<(String, i64)> = sqlx::query_as(
        r#"SELECT "accountId", balance FROM "Wallet"
           UNION ALL SELECT "poolId", balance FROM "PoolBalance""#,
    )
    .fetch_all(pool)
    .await
    .unwrap();
    // The balance of a pool is a sum, in which only the amounts of dead letters are missing. Those
    // of the genesis pools are sums of the countries' counters.
    let mut expected = replay.balances.clone();
    for (pool, by) in held.iter().filter_map(|place| replay.pool_moves.get(place)).flatten() {
        if let Some(balance) = expected.get_mut(pool) {
            *balance -= by;
        }
    }
    let are_counters_known =
        replay.countries.keys().all(|code| is_known(Fact::Country(code.clone())));
    let genesis = [Pool::UserGenesis.name(), Pool::GovtGenesis.name()];
    let is_certain = |account: &String| {
        is_known(Fact::Balance(account.clone()))
            && (are_counters_known || !genesis.contains(&account.as_str()))
    };
    same("balances", &expected, &balances.into_iter().collect(), is_certain)
}

/// Checks which people are frozen, what they were granted, and which treasuries are active.
async fn check_people(
    pool: &PgPool,
    replay: &ChainReplay,
    is_known: &impl Fn(Fact) -> bool,
) -> Result<(), String> {
    type Row = (String, Option<String>, Option<String>, Option<i64>);
    let rows: Vec<Row> = sqlx::query_as(
        r#"SELECT "fabricUserId", "frozenReason", "genesisTxId", "genesisAmount"
           FROM "LedgerUser""#,
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let people = rows.iter().map(|(id, frozen, ..)| (id.clone(), frozen.clone())).collect();
    let is_certain = |id: &String| is_known(Fact::Person(id.clone()));
    same("people", &replay.people, &people, is_certain)?;
    let grants = rows.into_iter().filter_map(|(id, _, tx_id, amount)| {
        let (tx_id, amount) = (tx_id?, amount?);
        Some((id, (tx_id, amount)))
    });
    let is_certain = |id: &String| is_known(Fact::Grant(id.clone()));
    same("grants", &replay.grants, &grants.collect(), is_certain)?;
    let active: Vec<String> = sqlx::query_scalar(
        r#"SELECT "accountId" FROM "Wallet" WHERE kind = 'TREASURY' AND NOT "isLocked""#,
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let as_map = |accounts: Vec<String>| accounts.into_iter().map(|one| (one, true)).collect();
    let expected = as_map(replay.active.iter().cloned().collect());
    let is_certain = |account: &String| is_known(Fact::Treasury(account.clone()));
    same("active treasuries", &expected, &as_map(active), is_certain)
}

async fn check_logs(pool: &PgPool, replay: &ChainReplay, held: &Held) -> Result<(), String> {
    let events: Vec<EventPlace> =
        sqlx::query_as(r#"SELECT "blockNumber", "txId", "eventIndex" FROM "EventLog""#)
            .fetch_all(pool)
            .await
            .unwrap();
    let expected = replay.events.difference(held).cloned().collect();
    same_rows("the event log", &expected, events)?;
    let history: Vec<(String, i32, String, String, i64, i64)> = sqlx::query_as(
        r#"SELECT "onChainTxId", "eventIndex", "accountId", direction, amount, fee
           FROM "Transaction""#,
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let held: BTreeSet<_> = held.iter().map(|(_, tx_id, index)| (tx_id, index)).collect();
    let is_applied = |row: &&(String, i32, String, String, i64, i64)| {
        let (tx_id, index, ..) = row;
        !held.contains(&(tx_id, index))
    };
    let expected = replay.history.iter().filter(is_applied).cloned().collect();
    same_rows("the history", &expected, history)
}

/// Checks that registered profiles have the account and the status of the chain, and with
/// `are_all_known` that every account on the chain has its profile.
pub(crate) async fn check_profiles(
    pool: &PgPool,
    replay: &ChainReplay,
    are_all_known: bool,
) -> Result<(), String> {
    let profiles: Vec<(String, String)> = sqlx::query_as(
        r#"SELECT "fabricUserId", status FROM "UserProfile"
           WHERE "onchainStatus" = 'REGISTERED'"#,
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let profiles: BTreeMap<String, String> = profiles.into_iter().collect();
    let expected = replay.people.iter().map(|(id, frozen)| {
        (id.clone(), if frozen.is_some() { "FROZEN" } else { "ACTIVE" }.to_owned())
    });
    let is_certain = |id: &String| are_all_known || profiles.contains_key(id);
    same("profiles", &expected.collect(), &profiles, is_certain)
}

/// Checks that two maps are equal in the keys that are certain.
fn same<V: PartialEq + std::fmt::Debug>(
    what: &str,
    chain: &BTreeMap<String, V>,
    rows: &BTreeMap<String, V>,
    is_certain: impl Fn(&String) -> bool,
) -> Result<(), String> {
    let keys: BTreeSet<&String> = chain.keys().chain(rows.keys()).collect();
    let is_wrong = |key: &&String| is_certain(key) && chain.get(*key) != rows.get(*key);
    match keys.into_iter().find(is_wrong) {
        None => Ok(()),
        Some(key) => Err(format!(
            "G3: of {what}, {key} is {:?} in the read model and {:?} by the chain",
            rows.get(key),
            chain.get(key)
        )),
    }
}

/// Checks that rows are those of a set, each once.
fn same_rows<R: Ord + std::fmt::Debug>(
    what: &str,
    chain: &BTreeSet<R>,
    rows: Vec<R>,
) -> Result<(), String> {
    let count = rows.len();
    let rows: BTreeSet<R> = rows.into_iter().collect();
    if rows.len() != count {
        return Err(format!("G3: {what} has rows twice"));
    }
    match chain.symmetric_difference(&rows).next() {
        None => Ok(()),
        Some(row) => Err(format!("G3: {what} and the chain differ in {row:?}")),
    }
}
