//! Retry and discard, as operators ask for them.

use gx_model::CommandStatus;
use gx_outbox::{CommandFilter, OperateError};

use crate::chain::{create, grant};
use crate::desk::Desk;

/// A dead command is retried on request and commits.
#[tokio::test]
async fn a_dead_command_can_be_retried() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    let follower = desk.enqueue_for(&person, &grant(&person)).await;
    // Batch and halves: seven refusals let the head die and its follower wait.
    desk.chain.devnet.faults().fail_endorsements(8, 500, "no");
    while desk.status(id).await != "DEAD" {
        let _ = desk.submitter.step().await;
    }
    let mut conn = desk.conn().await;
    let dead_ones = CommandFilter { status: Some(CommandStatus::Dead), ..CommandFilter::default() };
    let dead = gx_outbox::list(&mut conn, &dead_ones, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].command_id, id.to_string());
    desk.drain().await;
    let waiting = desk.status(follower).await;
    assert!(["HELD", "DEAD"].contains(&waiting.as_str()), "{waiting}");
    gx_outbox::retry(&mut conn, id, desk.chain.clock.now()).await.unwrap();
    if waiting == "DEAD" {
        gx_outbox::retry(&mut conn, follower, desk.chain.clock.now()).await.unwrap();
    }
    desk.drain().await;
    assert_eq!(desk.status(id).await, "COMMITTED");
    assert_eq!(desk.status(follower).await, "COMMITTED");
    let error = gx_outbox::retry(&mut conn, id, desk.chain.clock.now()).await.unwrap_err();
    assert!(matches!(error, OperateError::NotNow { .. }), "{error}");
}

/// A creation is discarded only once the ledger has cancelled its id; the account goes
/// back to review and its grant is refused.
#[tokio::test]
async fn discarding_a_creation_is_final_when_the_ledger_has_cancelled_it() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    let follower = desk.enqueue_for(&person, &grant(&person)).await;
    let now = desk.chain.clock.now();
    gx_outbox::discard(&mut desk.conn().await, id, "a mistake", "admin", now).await.unwrap();
    assert_eq!(desk.status(id).await, "PENDING");
    desk.drain().await;
    assert_eq!(desk.status(id).await, "DISCARDED");
    assert_eq!(desk.outcome(id).await["status"], "CANCELLED");
    assert_eq!(desk.status(follower).await, "REFUSED");
    let profile = r#"SELECT concat_ws(' ', status, "onchainStatus") FROM "UserProfile""#;
    assert_eq!(desk.chain.one(profile).await, "PENDING_ADMIN_APPROVAL FAILED");
    assert_eq!(desk.effects("UserCreated").await, (0, 0));
}

/// G2: a database that was put back does not know that it has sent a command. Discarding it
/// asks the ledger, which has carried it out, and so it is committed.
#[tokio::test]
async fn what_a_restored_database_has_not_sent_is_not_discarded_before_the_ledger_says_so() {
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
    gx_outbox::discard(&mut desk.conn().await, id, "a mistake", "admin", now).await.unwrap();
    assert_eq!(desk.status(id).await, "PENDING");
    desk.drain().await;
    assert_eq!(desk.status(id).await, "COMMITTED");
    assert_eq!(desk.effects("GenesisDistributed").await, (1, 1));
}

/// What the ledger does not know is discarded once it has cancelled the id.
#[tokio::test]
async fn what_never_took_effect_is_discarded_when_the_ledger_has_cancelled_it() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &grant(&person)).await;
    let now = desk.chain.clock.now();
    gx_outbox::discard(&mut desk.conn().await, id, "a mistake", "admin", now).await.unwrap();
    desk.drain().await;
    assert_eq!(desk.status(id).await, "DISCARDED");
    let mut conn = desk.conn().await;
    let error = gx_outbox::discard(&mut conn, id, "again", "admin", now).await.unwrap_err();
    assert!(matches!(error, OperateError::NotNow { .. }), "{error}");
}

/// A creation that was given up is discarded when the ledger has cancelled its id; only then
/// is its account back in review.
#[tokio::test]
async fn discarding_a_dead_creation_returns_its_account_to_review() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    desk.chain.devnet.faults().fail_endorsements(4, 400, "no");
    while desk.status(id).await != "DEAD" {
        let _ = desk.submitter.step().await;
    }
    let profile = r#"SELECT concat_ws(' ', status, "onchainStatus") FROM "UserProfile""#;
    assert_eq!(desk.chain.one(profile).await, "APPROVED_PENDING_ONCHAIN PENDING");
    let now = desk.chain.clock.now();
    gx_outbox::discard(&mut desk.conn().await, id, "a mistake", "admin", now).await.unwrap();
    desk.drain().await;
    assert_eq!(desk.status(id).await, "DISCARDED");
    assert_eq!(desk.chain.one(profile).await, "PENDING_ADMIN_APPROVAL FAILED");
    assert_eq!(desk.effects("UserCreated").await, (0, 0));
}
