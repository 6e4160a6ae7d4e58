//! What must wait for something waits, and goes on by itself.

use gx_model::{Command, CountryList};

use crate::chain::{Chain, create, grant};
use crate::desk::Desk;

/// OUT-09: a user created on an empty ledger is BLOCKED and costs no attempt; bootstrap and
/// countries release it, and it commits unaided.
#[tokio::test]
async fn a_command_before_bootstrap_waits_and_then_commits_unaided() {
    let mut desk = Desk::at(Chain::start().await).await;
    let person = desk.chain.person(1).await;
    let created = desk.enqueue_for(&person, &create(&person)).await;
    let granted = desk.enqueue_for(&person, &grant(&person)).await;
    desk.drain().await;
    assert_eq!(desk.status(created).await, "BLOCKED");
    assert_eq!(desk.column(created, "attempts").await, "0");
    let missing = r#"{"kind": "SYSTEM_BOOTSTRAPPED"}"#;
    assert_eq!(desk.column(created, "prerequisite").await, missing);
    let behind = desk.status(granted).await;
    assert!(["HELD", "BLOCKED"].contains(&behind.as_str()), "{behind}");

    desk.enqueue(&Command::BootstrapSystem {}).await;
    desk.drain().await;
    assert_eq!(desk.status(created).await, "BLOCKED");
    let missing = r#"{"kind": "COUNTRY", "countryCode": "MY"}"#;
    assert_eq!(desk.column(created, "prerequisite").await, missing);

    let countries = CountryList::embedded().iter().cloned().collect();
    desk.enqueue(&Command::InitializeCountryData { countries }).await;
    desk.drain().await;
    assert_eq!(desk.status(created).await, "COMMITTED");
    assert_eq!(desk.status(granted).await, "COMMITTED");
    assert_eq!(desk.column(created, "attempts").await, "1");
    let status = desk.chain.one(r#"SELECT status FROM "UserProfile""#).await;
    assert_eq!(status, "ACTIVE");
}

/// A pause blocks what comes meanwhile; the resume releases it.
#[tokio::test]
async fn a_pause_blocks_and_a_resume_releases() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    desk.enqueue(&Command::PauseSystem { reason_code: "DRILL".parse().unwrap() }).await;
    desk.drain().await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    desk.drain().await;
    assert_eq!(desk.status(id).await, "BLOCKED");
    desk.enqueue(&Command::ResumeSystem {}).await;
    desk.drain().await;
    assert_eq!(desk.status(id).await, "COMMITTED");
}
