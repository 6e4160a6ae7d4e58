//! The whole read model after some of everything that can happen on a ledger.

use std::time::Duration;

use gx_devnet::TxValidationCode;
use gx_model::{BatchCommand, Clock, Command, CommandId, FabricUserId, Qirat};
use gx_projector::Progress;
use serde_json::Value;
use time::macros::datetime;

use crate::chain::{BOUND, Chain, Person, create, fresh_id, grant, transfer};
use crate::second::{catch_up, database_with_the_people_of, projector_into};
use crate::snapshot::{assert_same, read_model};

/// Two people of one country and one of another.
async fn three_people(chain: &Chain) -> [Person; 3] {
    let abroad: FabricUserId = "SG 463 AUN834 0QKZB 0003".parse().unwrap();
    [chain.person(1).await, chain.person(2).await, chain.account(3, abroad).await]
}

fn numbered(commands: &[Command]) -> Vec<BatchCommand> {
    commands.iter().map(|command| BatchCommand::new(fresh_id(), command)).collect()
}

/// Makes people pay, and makes things go wrong: commands are deferred, refused, cancelled and
/// repeated, an envelope is sent twice, transactions are invalid.
async fn a_little_of_everything(chain: &Chain, people: &[Person; 3]) {
    let [ann, ben, cho] = people.each_ref().map(|person| person.id.to_string());
    let [a, b, c] = people;
    let treasury = Command::ActivateTreasury { country_code: "MY".parse().unwrap() };
    let pause = Command::PauseSystem { reason_code: "DRILL".parse().unwrap() };
    let freeze = |person: &Person| Command::FreezeWallet {
        user_id: person.id.clone(),
        reason_code: "COURT_ORDER".parse().unwrap(),
    };
    let thaw = |person: &Person| Command::UnfreezeWallet { user_id: person.id.clone() };
    chain.execute(&[create(a)]).await;
    chain.bootstrap().await;
    chain.execute(&[create(a), grant(a), create(b), create(c)]).await;
    chain.execute(&[grant(c), grant(b)]).await;
    chain.execute(&[transfer(&ann, &ben, 120), transfer(&ben, &cho, 2)]).await;
    chain.execute(&[transfer(&cho, &ann, 30), transfer(&ben, &ann, 1)]).await;
    chain.execute(&[transfer(&ann, &cho, 100_000), grant(a), transfer(&ann, &cho, 1)]).await;
    chain.execute(&[treasury, transfer("treasury_MY", &ann, 7)]).await;
    chain.execute(&[transfer("treasury_MY", "SYSTEM_CHARITABLE_POOL", 20)]).await;
    chain.execute(&[transfer("SYSTEM_CHARITABLE_POOL", &cho, 5), freeze(b), freeze(c)]).await;
    chain.execute(&[thaw(c), transfer(&ann, &ben, 3), transfer(&ben, &ann, 3)]).await;
    chain.execute(&[pause]).await;
    chain.execute(&[transfer(&ann, &ben, 4)]).await;
    chain.execute(&[Command::ResumeSystem {}]).await;
    invalid_repeated_and_cancelled(chain, &transfer(&ann, &cho, 9)).await;
}

async fn invalid_repeated_and_cancelled(chain: &Chain, payment: &Command) {
    for code in [TxValidationCode::MvccReadConflict, TxValidationCode::EndorsementPolicyFailure] {
        chain.devnet.faults().force_validation_code(1, code);
        let (tx_id, envelope) = chain.endorse(&numbered(std::slice::from_ref(payment))).await;
        chain.ledger.submit(&tx_id, &envelope).await.unwrap();
        let judged = chain.ledger.commit_status(&chain.super_admin, &tx_id).await.unwrap();
        assert_eq!(judged.code.name(), code.as_str_name());
    }
    let repeated = numbered(&[payment.clone(), payment.clone()]);
    chain.execute_batch(&repeated).await;
    chain.execute_batch(&repeated).await;
    let fenced = CommandId::derive(&["fenced"]);
    let args = [format!("[\"{fenced}\"]"), fresh_id().to_string()];
    let cancel = chain.ledger.endorse(&chain.super_admin, BatchCommand::CANCEL, &args);
    let cancel = cancel.await.unwrap();
    chain.ledger.submit(&cancel.tx_id, &cancel.envelope).await.unwrap();
    chain.ledger.commit_status(&chain.super_admin, &cancel.tx_id).await.unwrap();
    chain.execute_batch(&[BatchCommand::new(fenced, payment)]).await;

    // One envelope in two blocks.
    let (tx_id, envelope) = chain.endorse(&numbered(std::slice::from_ref(payment))).await;
    let expected = chain.height().await + 2;
    for _ in 0..2 {
        chain.ledger.submit(&tx_id, &envelope).await.unwrap();
    }
    let both = async {
        while chain.height().await < expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, both).await.unwrap();
}

/// G3, FAB-07: replayed from block 0 into another database under the clock of another year, the
/// same chain makes every projected table row by row. Transactions that were invalid, sent again,
/// refused or cancelled left nothing.
#[tokio::test]
async fn a_replay_under_another_clock_gives_equal_rows() {
    let chain = Chain::start().await;
    let people = three_people(&chain).await;
    let other = database_with_the_people_of(&chain).await;
    let mut live = chain.projector();
    chain.catch_up(&mut live).await;
    a_little_of_everything(&chain, &people).await;
    chain.catch_up(&mut live).await;

    let years_later = Clock::manual(datetime!(2031-05-05 05:05 UTC));
    catch_up(&chain, &mut projector_into(&chain, other.pool(), years_later)).await;
    let rows = read_model(&mut chain.db.connection().await).await;
    assert_same(&rows, &read_model(&mut other.connection().await).await);
    let empty: Vec<_> = rows.iter().filter(|(_, rows)| rows.is_empty()).map(|(t, _)| *t).collect();
    assert_eq!(empty, ["EventDLQ"], "the workload fills everything else");
    // 120, 2, 30, 1, 1, 7, 20, 5, 3 GX, the repeated pair once, and the envelope sent twice.
    let transfers = r#"SELECT count(*) FROM "EventLog" WHERE "eventName" = 'TransferCompleted'"#;
    assert_eq!(chain.one(transfers).await, "12");
}

/// G4: at every block from the bootstrap on, wallets and pools of the read model sum to the supply
/// and none is negative; in the end each equals the chain.
#[tokio::test]
async fn wallets_and_pools_sum_to_the_supply_at_every_block_and_are_the_chains() {
    let chain = Chain::start().await;
    let people = three_people(&chain).await;
    a_little_of_everything(&chain, &people).await;
    let last = chain.height().await - 1;
    let mut projector = chain.projector().with_max_blocks(1);
    let mut with_supply = 0;
    while chain.checkpoint().await != Some(last) {
        let progress = projector.step(BOUND).await.unwrap();
        assert!(matches!(progress, Progress::Began { .. } | Progress::Applied(_)));
        if chain.one(r#"SELECT count(*) FROM "LedgerPool""#).await == "0" {
            continue;
        }
        assert_eq!(chain.total().await, Qirat::SUPPLY.to_string(), "{progress:?}");
        let negative = r#"SELECT (SELECT count(*) FROM "PoolBalance" WHERE balance < 0)
                               + (SELECT count(*) FROM "Wallet" WHERE balance < 0)"#;
        assert_eq!(chain.one(negative).await, "0", "{progress:?}");
        with_supply += 1;
    }
    assert!(with_supply > 15, "only {with_supply} blocks had a supply");
    for (view, function) in [("account", "GetBalance"), ("pool", "GetPoolStatus")] {
        assert_eq!(here(&chain, view).await, on_chain(&chain, function).await, "{view}");
    }
}

/// Returns the balances of the read model, by name.
async fn here(chain: &Chain, what: &str) -> Vec<(String, i64)> {
    let sql = match what {
        "pool" => r#"SELECT "poolId", balance FROM "PoolBalance" ORDER BY "poolId" COLLATE "C""#,
        _ => {
            r#"SELECT "accountId", balance FROM "Wallet" WHERE kind = 'USER'
                    OR "accountId" IN ('treasury_MY', 'treasury_SG', 'treasury_US')
                ORDER BY "accountId" COLLATE "C""#
        }
    };
    sqlx::query_as(sql).fetch_all(chain.db.pool()).await.unwrap()
}

/// Returns the same balances from the chain.
async fn on_chain(chain: &Chain, function: &str) -> Vec<(String, i64)> {
    let mut answers: Vec<Value> = Vec::new();
    if function == "GetPoolStatus" {
        answers = ask(chain, function, vec![]).await.as_array().unwrap().clone();
    } else {
        for (account, _) in here(chain, "account").await {
            answers.push(ask(chain, function, vec![account]).await);
        }
    }
    let text = |answer: &Value, key: &str| answer[key].as_str().map(str::to_owned);
    let mut balances: Vec<_> = answers
        .iter()
        .map(|answer| {
            let name = text(answer, "poolId").or_else(|| text(answer, "accountId")).unwrap();
            (name, text(answer, "balance").unwrap().parse().unwrap())
        })
        .collect();
    balances.sort();
    balances
}

async fn ask(chain: &Chain, function: &str, args: Vec<String>) -> Value {
    let function = format!("TokenomicsContract:{function}");
    serde_json::from_slice(&chain.ledger.evaluate(&function, &args).await.unwrap()).unwrap()
}
