//! Retry and discard by operators.

use gx_model::CommandStatus;
use gx_outbox::operator::{CommandFilter, OperateError};

use crate::chain::{create, grant};
use crate::desk::Desk;

/// A dead command is retried on request and commits.
#[tokio::test]
async fn a_dead_command_can_be_retried() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    let follower = desk.enqueue_for(&person, &grant(&person)).await;
    let faults = desk.chain.devnet.faults();
    faults.refuse_what_holds(&person.id.to_string(), 500, "no");
    desk.until_dead(id).await;
    faults.clear();
    let mut conn = desk.conn().await;
    let dead_ones = CommandFilter { status: Some(CommandStatus::Dead), ..CommandFilter::default() };
    let dead = gx_outbox::operator::list(&mut conn, &dead_ones, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].command_id.to_string(), id.to_string());
    desk.drain().await;
    let waiting = desk.status(follower).await;
    assert!(["HELD", "DEAD"].contains(&waiting.as_str()), "{waiting}");
    gx_outbox::operator::retry(&mut conn, id, desk.chain.clock.now()).await.unwrap();
    if waiting == "DEAD" {
        gx_outbox::operator::retry(&mut conn, follower, desk.chain.clock.now()).await.unwrap();
    }
    desk.drain().await;
    assert_eq!(desk.status(id).await, "COMMITTED");
    assert_eq!(desk.status(follower).await, "COMMITTED");
    let error =
        gx_outbox::operator::retry(&mut conn, id, desk.chain.clock.now()).await.unwrap_err();
    assert!(matches!(error, OperateError::NotNow { .. }), "{error}");
}

/// A creation is discarded only after the ledger has cancelled its id; the account goes back to
/// review and its grant is refused.
#[tokio::test]
async fn discarding_a_creation_is_final_when_the_ledger_has_cancelled_it() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    let follower = desk.enqueue_for(&person, &grant(&person)).await;
    let now = desk.chain.clock.now();
    gx_outbox::operator::discard(&mut desk.conn().await, id, "a mistake", "admin", now)
        .await
        .unwrap();
    assert_eq!(desk.status(id).await, "PENDING");
    desk.drain().await;
    assert_eq!(desk.status(id).await, "DISCARDED");
    assert_eq!(desk.outcome(id).await["status"], "CANCELLED");
    assert_eq!(desk.status(follower).await, "REFUSED");
    let profile = r#"SELECT concat_ws(' ', status, "onchainStatus") FROM "UserProfile""#;
    assert_eq!(desk.chain.one(profile).await, "PENDING_ADMIN_APPROVAL FAILED");
    assert_eq!(desk.effects("UserCreated").await, (0, 0));
}

/// G2: a restored database does not know that it has sent a command. Discarding the command asks
/// the ledger, which has executed it, so it becomes COMMITTED.
#[tokio::test]
async fn a_restored_database_discards_a_command_only_after_asking_the_ledger() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let created = desk.enqueue_for(&person, &create(&person)).await;
    desk.drain().await;
    assert_eq!(desk.status(created).await, "COMMITTED");
    let id = desk.enqueue_for(&person, &grant(&person)).await;
    desk.submitter.step().await.unwrap();
    for forget in [
        r#"DELETE FROM "LedgerAttempt" WHERE state = 'OPEN'"#,
        r#"UPDATE "OutboxCommand" SET status = 'PENDING', "txId" = NULL, "submittedAt" = NULL
           WHERE status = 'SUBMITTED'"#,
    ] {
        desk.chain.sql(forget).await;
    }
    let now = desk.chain.clock.now();
    gx_outbox::operator::discard(&mut desk.conn().await, id, "a mistake", "admin", now)
        .await
        .unwrap();
    assert_eq!(desk.status(id).await, "PENDING");
    desk.drain().await;
    assert_eq!(desk.status(id).await, "COMMITTED");
    assert_eq!(desk.effects("GenesisDistributed").await, (1, 1));
}

/// A command that the ledger does not have is discarded after the ledger has cancelled the id.
#[tokio::test]
async fn a_command_without_effect_is_discarded_when_the_ledger_has_cancelled_it() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &grant(&person)).await;
    let now = desk.chain.clock.now();
    gx_outbox::operator::discard(&mut desk.conn().await, id, "a mistake", "admin", now)
        .await
        .unwrap();
    desk.drain().await;
    assert_eq!(desk.status(id).await, "DISCARDED");
    let mut conn = desk.conn().await;
    let error =
        gx_outbox::operator::discard(&mut conn, id, "again", "admin", now).await.unwrap_err();
    assert!(matches!(error, OperateError::NotNow { .. }), "{error}");
}

/// A creation that was given up is discarded after the ledger has cancelled its id; only then is
/// its account back in review.
#[tokio::test]
async fn discarding_a_dead_creation_returns_its_account_to_review() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    let faults = desk.chain.devnet.faults();
    faults.refuse_what_holds(&person.id.to_string(), 400, "no");
    desk.until_dead(id).await;
    faults.clear();
    let profile = r#"SELECT concat_ws(' ', status, "onchainStatus") FROM "UserProfile""#;
    assert_eq!(desk.chain.one(profile).await, "APPROVED_PENDING_ONCHAIN PENDING");
    let now = desk.chain.clock.now();
    gx_outbox::operator::discard(&mut desk.conn().await, id, "a mistake", "admin", now)
        .await
        .unwrap();
    desk.drain().await;
    assert_eq!(desk.status(id).await, "DISCARDED");
    assert_eq!(desk.chain.one(profile).await, "PENDING_ADMIN_APPROVAL FAILED");
    assert_eq!(desk.effects("UserCreated").await, (0, 0));
}
