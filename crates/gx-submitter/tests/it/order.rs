//! Commands of an aggregate run in the order of their numbers, and the first one that fails decides
//! what happens to the others.

use gx_model::Command;

use crate::chain::{create, grant, transfer};
use crate::desk::Desk;

/// The two commands of an approval go in one transaction, in order.
#[tokio::test]
async fn creation_and_grant_go_in_one_transaction() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let created = desk.enqueue_for(&person, &create(&person)).await;
    let granted = desk.enqueue_for(&person, &grant(&person)).await;
    desk.drain().await;
    assert_eq!(desk.column(created, "txId").await, desk.column(granted, "txId").await);
    assert_eq!(desk.status(granted).await, "COMMITTED");
}

/// Commands behind one in flight are held, and released when that is settled.
#[tokio::test]
async fn followers_of_a_command_in_flight_are_held_and_released() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let created = desk.enqueue_for(&person, &create(&person)).await;
    let faults = desk.chain.devnet.faults();
    faults.hold_commits();
    desk.submitter.step().await.unwrap();
    assert_eq!(desk.status(created).await, "SUBMITTED");
    let granted = desk.enqueue_for(&person, &grant(&person)).await;
    desk.submitter.step().await.unwrap();
    assert_eq!(desk.status(granted).await, "HELD");
    faults.release_commits();
    desk.drain().await;
    assert_eq!(desk.status(granted).await, "COMMITTED");
}

/// No command is sent while an open attempt touches the same account or country.
#[tokio::test]
async fn a_command_that_would_conflict_with_an_open_attempt_waits() {
    let mut desk = Desk::open().await;
    let (a, b) = (desk.chain.person(1).await, desk.chain.person(2).await);
    desk.chain.execute(&[create(&a), create(&b)]).await;
    desk.chain.catch_up(&mut desk.projector).await;
    let faults = desk.chain.devnet.faults();
    faults.hold_commits();
    let first = desk.enqueue_for(&a, &grant(&a)).await;
    desk.submitter.step().await.unwrap();
    // Another person, but the same country's counter.
    let second = desk.enqueue_for(&b, &grant(&b)).await;
    desk.submitter.step().await.unwrap();
    assert_eq!(desk.status(first).await, "SUBMITTED");
    assert_eq!(desk.status(second).await, "PENDING");
    faults.release_commits();
    desk.drain().await;
    let conflicts = r#"SELECT count(*) FROM "LedgerAttempt" WHERE state = 'INVALID'"#;
    assert_eq!(desk.chain.one(conflicts).await, "0");
    assert_eq!(desk.effects("GenesisDistributed").await, (2, 2));
}

/// A CREATE_USER that is refused for good takes the commands behind it with it, with its reason,
/// and the account goes back to review.
#[tokio::test]
async fn a_refused_creation_takes_its_successors_and_returns_the_account() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let wrong = Command::CreateUser {
        user_id: person.id.clone(),
        biometric_hash: "0".repeat(64).parse().unwrap(),
        nationality: "SG".parse().unwrap(),
        age: 34,
    };
    let faults = desk.chain.devnet.faults();
    faults.hold_commits();
    let created = desk.enqueue_for(&person, &wrong).await;
    desk.submitter.step().await.unwrap();
    let granted = desk.enqueue_for(&person, &grant(&person)).await;
    let moved =
        desk.enqueue_for(&person, &transfer(&person.id.to_string(), "treasury_MY", 1)).await;
    faults.release_commits();
    desk.drain().await;
    assert_eq!(desk.status(created).await, "REFUSED");
    assert_eq!(desk.outcome(created).await["rejection"]["code"], "NATIONALITY_MISMATCH");
    for id in [granted, moved] {
        assert_eq!(desk.status(id).await, "REFUSED");
        let because = &desk.outcome(id).await["because"];
        assert_eq!(because["commandId"], created.to_string());
        assert_eq!(because["outcome"]["rejection"]["code"], "NATIONALITY_MISMATCH");
    }
    let profile = r#"SELECT concat_ws(' ', status, "onchainStatus") FROM "UserProfile""#;
    assert_eq!(desk.chain.one(profile).await, "PENDING_ADMIN_APPROVAL FAILED");
}
