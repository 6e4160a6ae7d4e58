//! Queries, mostly about things that are new or do not exist.

use gx_contract::{
    AccountView, CommandRecord, CountryView, FeeView, PoolView, QUERIES, Response, SupplyView,
    SystemView, UserView,
};
use gx_model::{EntryOutcome, Qirat, TxType};
use serde_json::{Value, json};

use crate::ledger::Ledger;
use crate::people::id;
use crate::table::check;
use crate::tables::populated;

/// FAB-05: on an empty ledger every query answers, with `null`, `false` or an empty list.
#[test]
fn fab_05_queries_of_an_empty_ledger_decode() {
    let ledger = Ledger::default();
    let sarah = id("sarah").to_string();
    let command = ledger.fresh_id().to_string();
    let asked: [(&str, &[&str], Value); 8] = [
        (QUERIES[1], &["MY"], Value::Null),
        (QUERIES[2], &[&sarah], Value::Null),
        (QUERIES[3], &[&sarah], json!(false)),
        (QUERIES[4], &[&sarah], Value::Null),
        (QUERIES[4], &["treasury_MY"], Value::Null),
        (QUERIES[4], &["SYSTEM_LOAN_POOL"], Value::Null),
        (QUERIES[6], &[], json!([])),
        (QUERIES[8], &[&command], Value::Null),
    ];
    for (function, args, expected) in asked {
        assert_eq!(ledger.query::<Value>(function, args), expected, "{function}");
    }
    let system: SystemView = ledger.query(QUERIES[0], &[]);
    assert!(!system.bootstrapped);
    assert!(!system.paused);
    assert!(system.reason_code.is_none());
    let supply: SupplyView = ledger.query(QUERIES[5], &[]);
    assert_eq!((supply.supply, supply.users), (Qirat::ZERO, 0));
}

/// FAB-05: every query about a person who has just been created decodes.
#[test]
fn fab_05_queries_about_a_brand_new_user_decode() {
    let mut ledger = Ledger::default();
    check(&mut ledger, "bootstrap => applied\ncountries MY:1000 => applied");
    check(&mut ledger, "@new create sarah => applied");
    let sarah = id("sarah");
    let user: Option<UserView> = ledger.query(QUERIES[2], &[sarah.as_str()]);
    let user = user.unwrap();
    assert_eq!((&user.user_id, user.balance, user.grant), (&sarah, Qirat::ZERO, None));
    assert!(ledger.query::<bool>(QUERIES[3], &[sarah.as_str()]));
    let account: Option<AccountView> = ledger.query(QUERIES[4], &[sarah.as_str()]);
    assert_eq!(account.unwrap().balance, Qirat::ZERO);
    let country: Option<CountryView> = ledger.query(QUERIES[1], &["MY"]);
    let country = country.unwrap();
    assert_eq!((country.users, country.phase, country.treasury_active), (0, Some(1), false));
    let id = gx_model::CommandId::derive(&["table", "new"]).to_string();
    let command: Option<CommandRecord> = ledger.query(QUERIES[8], &[&id]);
    assert_eq!(command.unwrap().outcome, EntryOutcome::Applied {});
}

/// G4: pools and circulation sum to exactly the supply.
#[test]
fn supply_and_pools_sum_up() {
    let mut ledger = populated();
    check(&mut ledger, "transfer sarah bea 100 - => applied");
    let supply: SupplyView = ledger.query(QUERIES[5], &[]);
    assert_eq!((supply.supply, supply.users), (Qirat::SUPPLY, 7));
    assert_eq!(supply.in_pools.checked_add(supply.in_circulation), Some(Qirat::SUPPLY));
    let pools: Vec<PoolView> = ledger.query(QUERIES[6], &[]);
    let sum: i64 = pools.iter().map(|pool| pool.balance.get()).sum();
    assert_eq!(sum, supply.in_pools.get());
    assert_eq!(pools[5].unfolded, Qirat::new(150_000).unwrap());
}

/// DB-06: zero, one Qirat and the whole supply are stored on the ledger and read back unchanged.
#[test]
fn db_06_amounts_come_back_unchanged() {
    let mut ledger = populated();
    check(
        &mut ledger,
        "
        create baby                    => applied
        balance baby                   => 0
        transfer sarah baby 0.000001 - => applied
        balance baby                   => 0.000001
        ",
    );
    let baby: Value = ledger.query(QUERIES[4], &[id("baby").as_str()]);
    assert_eq!(baby["balance"], "1");
    let supply: Value = ledger.query(QUERIES[5], &[]);
    assert_eq!(supply["supply"], "1250000000000000000");
}

#[test]
fn a_query_returns_the_fee_before_the_transfer() {
    let ledger = Ledger::default();
    let [sarah, bea] = ["sarah", "bea"].map(id);
    let fee: FeeView = ledger.query(QUERIES[7], &[sarah.as_str(), bea.as_str(), "5000000", ""]);
    let expected = Qirat::new(7_500).unwrap();
    assert_eq!((fee.tx_type, fee.basis_points, fee.fee), (Some(TxType::P2p), 15, expected));
    let args = [sarah.as_str(), bea.as_str(), "5000000", "B2B"].map(str::to_owned);
    let response = ledger.propose(None, "evaluation", QUERIES[7], &args);
    assert_eq!(response.status, Response::REFUSED);
    assert!(response.message.starts_with("TX_TYPE_MISMATCH: "), "{}", response.message);
}

#[test]
fn a_malformed_query_is_refused() {
    let ledger = Ledger::default();
    for (at, query) in QUERIES.iter().enumerate() {
        let too_many = vec!["x".to_owned(); 5];
        let response = ledger.propose(None, "evaluation", query, &too_many);
        assert_eq!(response.status, Response::REFUSED, "{query}");
        assert!(response.message.starts_with("INVALID_COMMAND: "), "{}", response.message);
        if [1, 2, 3, 4, 8].contains(&at) {
            let response = ledger.propose(None, "evaluation", query, &too_many[..1]);
            assert_eq!(response.status, Response::REFUSED, "{query}");
        }
    }
}
