//! G3: the read model against the replay of the chain in memory.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgPool;

use crate::mirror::Mirror;

/// G3: the rows are what a replay of the chain gives.
pub(crate) async fn check_read_model(pool: &PgPool, mirror: &Mirror) -> Result<(), String> {
    let balances: Vec<(String, i64)> = sqlx::query_as(
        r#"SELECT "accountId", balance FROM "Wallet"
           UNION ALL SELECT "poolId", balance FROM "PoolBalance""#,
    )
    .fetch_all(pool)
    .await
    .unwrap();
    same("balances", &mirror.balances, &balances.into_iter().collect())?;

    let countries: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        r#"SELECT "countryCode", users, "userTotal", "treasuryTotal" FROM "LedgerCountry""#,
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let countries =
        countries.into_iter().map(|(code, users, user, treasury)| (code, (users, user, treasury)));
    same("countries", &mirror.countries, &countries.collect())?;

    let people: Vec<(String, Option<String>)> =
        sqlx::query_as(r#"SELECT "fabricUserId", "frozenReason" FROM "LedgerUser""#)
            .fetch_all(pool)
            .await
            .unwrap();
    same("people", &mirror.people, &people.into_iter().collect())?;

    let profiles: Vec<(String, String)> = sqlx::query_as(
        r#"SELECT "fabricUserId", status FROM "UserProfile"
           WHERE "onchainStatus" = 'REGISTERED'"#,
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let expected = mirror.people.iter().map(|(id, frozen)| {
        (id.clone(), if frozen.is_some() { "FROZEN" } else { "ACTIVE" }.to_owned())
    });
    same("profiles", &expected.collect(), &profiles.into_iter().collect())?;

    let events: Vec<(i64, String, i32)> =
        sqlx::query_as(r#"SELECT "blockNumber", "txId", "eventIndex" FROM "EventLog""#)
            .fetch_all(pool)
            .await
            .unwrap();
    same_rows("the event log", &mirror.events, events)?;
    let history: Vec<(String, i32, String, String, i64, i64)> = sqlx::query_as(
        r#"SELECT "onChainTxId", "eventIndex", "accountId", direction, amount, fee
           FROM "Transaction""#,
    )
    .fetch_all(pool)
    .await
    .unwrap();
    same_rows("the history", &mirror.history, history)?;

    let paused: Option<String> = sqlx::query_scalar(
        r#"SELECT CASE WHEN "isPaused" THEN "pauseReason" END FROM "LedgerSystem""#,
    )
    .fetch_one(pool)
    .await
    .unwrap();
    if paused == mirror.paused {
        return Ok(());
    }
    Err(format!("G3: paused is {paused:?}, by the chain {:?}", mirror.paused))
}

fn same<V: PartialEq + std::fmt::Debug>(
    what: &str,
    chain: &BTreeMap<String, V>,
    rows: &BTreeMap<String, V>,
) -> Result<(), String> {
    let keys: BTreeSet<&String> = chain.keys().chain(rows.keys()).collect();
    match keys.into_iter().find(|key| chain.get(*key) != rows.get(*key)) {
        None => Ok(()),
        Some(key) => Err(format!(
            "G3: of {what}, {key} is {:?} in the read model and {:?} by the chain",
            rows.get(key),
            chain.get(key)
        )),
    }
}

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
