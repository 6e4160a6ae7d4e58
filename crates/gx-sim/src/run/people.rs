//! Checks that each person has one account on the ledger and sees its balance. Called by `checks`;
//! an `Err` names the person.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Run;
use crate::chain_replay::ChainReplay;
use crate::environment::Environment;

/// The profile that has reserved each Fabric User ID, at any time of the run.
pub(crate) type Owners = BTreeMap<String, String>;

/// Remembers the owner of each Fabric User ID, because a restore may forget it.
pub(crate) async fn remember_owners(run: &mut Run<'_>) {
    let rows: Vec<(String, String)> =
        sqlx::query_as(r#"SELECT "fabricUserId", "profileId" FROM "FabricIdReservation""#)
            .fetch_all(&run.env.pool)
            .await
            .unwrap();
    run.owners.extend(rows);
}

/// PRJ-15, G2: checks that no person has two accounts on the ledger and so two grants, whatever a
/// restore forgot and whatever changed before the next approval.
pub(crate) async fn check_one_each(run: &mut Run<'_>, replay: &ChainReplay) -> Result<(), String> {
    remember_owners(run).await;
    let mut ids: BTreeMap<&String, &String> = BTreeMap::new();
    for (id, owner) in run.owners.iter().filter(|(id, _)| replay.people.contains_key(*id)) {
        if let Some(other) = ids.insert(owner, id) {
            return Err(format!("G2: {owner} is {other} and {id} on the ledger"));
        }
    }
    Ok(())
}

/// G3: checks that every person of the environment sees the balance that the ledger has, and that
/// all of it is available, because nothing is in flight.
pub(crate) async fn check_wallets(env: &Environment, replay: &ChainReplay) -> Result<(), String> {
    for person in &env.people {
        let Some(wallet) = env.gx.wallet(person).await else { continue };
        let id = wallet.json["fabricUserId"].as_str().unwrap_or_default();
        let qirat = replay.balances.get(id).copied().unwrap_or_default();
        let expected: String = gx_model::Gx(gx_model::Qirat::new(qirat).unwrap()).to_string();
        let sees = |field: &str| wallet.json[field] == Value::String(expected.clone());
        if !sees("balance") || !sees("available") {
            return Err(format!("G3: {id} holds {expected} GX and sees {}", wallet.json));
        }
    }
    Ok(())
}
