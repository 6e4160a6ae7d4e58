//! The same chain gives the same rows, however often and from wherever it is read.

use gx_model::Command;

use crate::chain::{Chain, create, grant, transfer};

/// Three people, transfers, a freeze, an activated treasury.
async fn mixed_workload(chain: &Chain) {
    let people = [chain.person(1).await, chain.person(2).await, chain.person(3).await];
    let id = |n: usize| people[n].id.to_string();
    for person in &people {
        chain.execute(&[create(person), grant(person)]).await;
    }
    chain.execute(&[transfer(&id(0), &id(1), 120), transfer(&id(1), &id(2), 600)]).await;
    let my = "MY".parse().unwrap();
    chain.execute(&[Command::ActivateTreasury { country_code: my }]).await;
    chain.execute(&[transfer("treasury_MY", "SYSTEM_LOAN_POOL", 20)]).await;
    let reason_code = "COURT_ORDER".parse().unwrap();
    chain.execute(&[Command::FreezeWallet { user_id: people[1].id.clone(), reason_code }]).await;
    chain.execute(&[Command::PauseSystem { reason_code: "DRILL".parse().unwrap() }]).await;
    chain.execute(&[Command::ResumeSystem {}]).await;
}

const FORGET_CHECKPOINT: &str = r#"DELETE FROM "ProjectorState""#;

/// PRJ-08: the whole ledger replayed twice over live tables changes nothing.
#[tokio::test]
async fn replaying_the_ledger_over_live_rows_changes_nothing() {
    let chain = Chain::bootstrapped().await;
    mixed_workload(&chain).await;
    chain.catch_up(&mut chain.projector()).await;
    let rows = chain.rows().await;
    for _ in 0..2 {
        chain.sql(FORGET_CHECKPOINT).await;
        chain.catch_up(&mut chain.projector()).await;
        assert_eq!(chain.rows().await, rows);
    }
}

/// G3: replaying all blocks into an empty read model gives the rows that the live one has,
/// to the millisecond and to the id.
#[tokio::test]
async fn a_read_model_made_anew_equals_the_live_one() {
    let chain = Chain::bootstrapped().await;
    let mut live = chain.projector();
    mixed_workload(&chain).await;
    chain.catch_up(&mut live).await;
    let rows = chain.rows().await;
    live.stop();
    chain
        .sql(
            r#"TRUNCATE "EventLog", "EventDLQ", "LedgerSystem", "LedgerPool", "LedgerPoolMove",
                        "LedgerCountry", "LedgerUser", "Wallet", "Transaction", "ProjectorState";
               ALTER TABLE "UserProfile" DISABLE TRIGGER "UserProfile_status_transition";
               UPDATE "UserProfile" SET status = 'APPROVED_PENDING_ONCHAIN',
                   "onchainStatus" = 'PENDING', "fabricUserId" = NULL,
                   "onchainRegisteredAt" = NULL, "lastSyncedAt" = NULL;
               ALTER TABLE "UserProfile" ENABLE TRIGGER "UserProfile_status_transition""#,
        )
        .await;
    chain.catch_up(&mut chain.projector()).await;
    assert_eq!(chain.rows().await, rows);
}
