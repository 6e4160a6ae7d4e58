//! Commands that wait for a prerequisite, and continue by themselves.

use gx_model::{Command, CountryList};

use crate::chain::{Chain, create, grant};
use crate::desk::Desk;

/// OUT-09: a creation on an empty ledger is BLOCKED and no try is counted; bootstrap and countries
/// release it, and it commits by itself.
#[tokio::test]
async fn a_command_before_bootstrap_waits_and_then_commits_by_itself() {
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

/// A pause blocks new commands; the resume releases them.
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

/// OUT-09: a system command that waits for the resume does not hold back the resume.
#[tokio::test]
async fn a_resume_passes_the_commands_that_wait_for_it() {
    let mut desk = Desk::at(Chain::start().await).await;
    desk.enqueue(&Command::PauseSystem { reason_code: "DRILL".parse().unwrap() }).await;
    desk.drain().await;
    let waiting = desk.enqueue(&Command::BootstrapSystem {}).await;
    desk.drain().await;
    assert_eq!(desk.status(waiting).await, "BLOCKED");
    let resumed = desk.enqueue(&Command::ResumeSystem {}).await;
    desk.drain().await;
    assert_eq!(desk.status(resumed).await, "COMMITTED");
    assert_eq!(desk.status(waiting).await, "COMMITTED");
}

/// A command that is given up is cancelled, whatever prerequisite it waits for.
#[tokio::test]
async fn a_command_that_is_given_up_waits_for_no_prerequisite() {
    let mut desk = Desk::at(Chain::start().await).await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    while desk.status(id).await != "SUBMITTED" {
        desk.submitter.step().await.unwrap();
    }
    // As a discard does between the choice of a batch and its envelope.
    desk.chain
        .sql(
            r#"UPDATE "OutboxCommand"
               SET "giveUp" = '{"to": "DISCARDED", "reason": "a mistake", "by": "admin"}'"#,
        )
        .await;
    desk.drain().await;
    assert_eq!(desk.status(id).await, "DISCARDED");
    assert_eq!(desk.outcome(id).await["status"], "CANCELLED");
}
