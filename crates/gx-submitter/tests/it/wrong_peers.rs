//! What is sent if some of our peers show another chain than the database's.

use gx_devnet::Forgery;
use gx_fabric_client::Ledger;
use gx_submitter::{Halt, Submitter, SubmitterContext, SubmitterError};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::chain::create;
use crate::desk::{Desk, parts, settings};

fn submitter_on(desk: &Desk, ledger: Ledger) -> Submitter {
    let parts = SubmitterContext { ledger, ..parts(&desk.chain) };
    Submitter::new(parts, settings("one"), StdRng::seed_from_u64(5)).unwrap()
}

fn halt(stepped: Result<gx_submitter::Progress, SubmitterError>) -> String {
    match stepped.unwrap_err() {
        SubmitterError::Halted(Halt::Chain(wrong)) => wrong.to_string(),
        other => panic!("{other:?}"),
    }
}

/// PRJ-17: if the first peer serves another chain and the second ours, commands are sent through
/// the second. If two of three peers, or all, serve another chain, nothing is sent and each of them
/// is named.
#[tokio::test]
async fn prj_17_commands_go_out_by_the_peer_that_has_the_chain() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    let first = desk.chain.devnet.peers()[0].endpoint.clone();
    let second = desk.chain.devnet.peers()[1].endpoint.clone();
    desk.chain.faults_of(1).forge_blocks(Some((0, Forgery::PreviousHash)));

    let mut outvoted = submitter_on(&desk, desk.chain.ledger_of(&[2, 1, 1]));
    let said = halt(outvoted.step().await);
    assert!(said.starts_with("most of our peers contradict"), "{said}");
    assert!(said.contains(&first) && !said.contains(&second), "{said}");
    let mut lost = submitter_on(&desk, desk.chain.ledger_of(&[1, 1]));
    let said = halt(lost.step().await);
    assert!(said.starts_with("another chain: block 0 "), "{said}");
    desk.chain.faults_of(2).down(true);
    let mut alone = submitter_on(&desk, desk.chain.ledger_of(&[1, 2]));
    let said = halt(alone.step().await);
    assert!(said.contains(&first) && said.contains(&second), "{said}");
    desk.chain.faults_of(2).down(false);
    assert_eq!(desk.status(id).await, "PENDING");

    desk.submitter = submitter_on(&desk, desk.chain.ledger_of(&[1, 2]));
    desk.submitter.step().await.unwrap();
    assert_eq!(desk.status(id).await, "SUBMITTED");
    desk.chain.faults_of(1).forge_blocks(None);
    desk.drain().await;
    assert_eq!(desk.status(id).await, "COMMITTED");
    assert_eq!(desk.effects("UserCreated").await, (1, 1));
}
