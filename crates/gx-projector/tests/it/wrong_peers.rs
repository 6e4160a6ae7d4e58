//! Peers of our organisation that show a wrong chain, next to others that do not.

use std::time::Duration;

use gx_devnet::Forgery;
use gx_fabric_client::Ledger;
use gx_projector::{Halt, Progress, Projector, ProjectorError, ProjectorSettings, run};
use gx_serve::HealthBoard;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::chain::{BOUND, Chain, create, grant};

/// What a forged peer shows, from a block on: blocks of another past, other data, or another chain
/// from the beginning.
const FORGERIES: [(u64, Forgery); 3] =
    [(2, Forgery::PreviousHash), (2, Forgery::DataHash), (0, Forgery::PreviousHash)];

/// Returns a chain of four blocks of which two are applied.
async fn half_applied() -> Chain {
    let chain = Chain::bootstrapped().await;
    let mut projector = chain.projector();
    chain.catch_up(&mut projector).await;
    projector.stop();
    let person = chain.person(1).await;
    chain.execute(&[create(&person)]).await;
    chain.execute(&[grant(&person)]).await;
    assert_eq!((chain.checkpoint().await, chain.height().await), (Some(1), 4));
    chain
}

fn endpoint(chain: &Chain, organization: usize) -> String {
    chain.devnet.peers()[organization - 1].endpoint.clone()
}

/// Runs a projector as a process does.
struct Running {
    board: HealthBoard,
    stop: CancellationToken,
    task: JoinHandle<Result<(), Halt>>,
}

impl Running {
    fn start(chain: &Chain, ledger: Ledger) -> Self {
        let board = HealthBoard::new("projector", chain.clock.clone());
        let settings = ProjectorSettings { tip_interval_ms: 20, ..ProjectorSettings::default() };
        let (rng, stop) = (StdRng::seed_from_u64(1), CancellationToken::new());
        let running = run(chain.projector_on(ledger), settings, rng, stop.clone(), board.clone());
        Self { board, stop, task: tokio::spawn(running) }
    }

    /// Waits until a check has this status and its message contains all these parts.
    async fn says(&self, check: &str, status: &str, parts: &[&str]) {
        let deadline = Instant::now() + BOUND;
        loop {
            let report = serde_json::to_value(self.board.report().await).unwrap();
            let found = &report["checks"][check];
            let message = found["message"].as_str().unwrap_or_default();
            if found["status"] == status && parts.iter().all(|part| message.contains(part)) {
                return;
            }
            assert!(Instant::now() < deadline, "{check}: {parts:?} is not in {found}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn applies(&self, chain: &Chain, number: u64) {
        let deadline = Instant::now() + BOUND;
        while chain.checkpoint().await != Some(number) {
            assert!(Instant::now() < deadline, "block {number} is not applied");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn stopped(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

/// Steps until a step fails.
async fn failure(projector: &mut Projector) -> ProjectorError {
    let deadline = Instant::now() + BOUND;
    loop {
        match projector.step(Duration::from_millis(20)).await {
            Err(error) => return error,
            Ok(Progress::Applied(applied)) => panic!("block {} was applied", applied.number),
            Ok(_) => assert!(Instant::now() < deadline, "nothing fails"),
        }
    }
}

fn halted(error: ProjectorError) -> String {
    match error {
        ProjectorError::Halted(Halt::Chain(wrong)) => wrong.to_string(),
        other => panic!("{other:?}"),
    }
}

/// PRJ-17: the first peer's blocks are forged and the second's are right: the right ones are
/// applied, and the health report names the first peer until it is right again.
#[tokio::test]
async fn prj_17_the_second_peers_blocks_are_applied_and_health_names_the_first() {
    for forgery in FORGERIES {
        let chain = half_applied().await;
        chain.faults_of(1).forge_blocks(Some(forgery));
        let running = Running::start(&chain, chain.ledger_of(&[1, 2]));
        running.applies(&chain, 3).await;
        let first = endpoint(&chain, 1);
        running.says("peers", "unhealthy", &[&first, "wrong chain"]).await;
        running.says("projection", "healthy", &[]).await;
        running.says("ledger", "healthy", &[]).await;

        chain.faults_of(1).forge_blocks(None);
        running.says("peers", "healthy", &[]).await;
        running.stopped().await;
    }
}

/// PRJ-17: if every peer's blocks are forged, nothing is applied, each peer is named, and
/// projection continues once one of them is right.
#[tokio::test]
async fn prj_17_every_peer_is_named_where_all_are_forged() {
    let chain = half_applied().await;
    let endpoints = [endpoint(&chain, 1), endpoint(&chain, 2)];
    for (number, forgery) in FORGERIES.into_iter().enumerate() {
        chain.faults_of(1).forge_blocks(Some(forgery));
        chain.faults_of(2).forge_blocks(Some(FORGERIES[(number + 1) % 2]));
        let mut projector = chain.projector_on(chain.ledger_of(&[1, 2]));
        let said = halted(failure(&mut projector).await);
        for endpoint in &endpoints {
            assert!(said.contains(endpoint), "{said}");
        }
        assert_eq!(chain.checkpoint().await, Some(1));
        projector.stop();
    }
    let running = Running::start(&chain, chain.ledger_of(&[1, 2]));
    let [first, second] = &endpoints;
    running.says("projection", "unhealthy", &[first, second]).await;
    chain.faults_of(2).forge_blocks(None);
    running.applies(&chain, 3).await;
    running.says("projection", "healthy", &[]).await;
    running.stopped().await;
}

/// PRJ-17: if every peer serves another chain than the database's, the process ends with a message
/// that says so.
#[tokio::test]
async fn prj_17_another_chain_at_every_peer_ends_the_process() {
    let chain = half_applied().await;
    for organization in [1, 2] {
        chain.faults_of(organization).forge_blocks(Some((0, Forgery::PreviousHash)));
    }
    let running = Running::start(&chain, chain.ledger_of(&[1, 2]));
    let ended = tokio::time::timeout(BOUND, running.task).await.expect("it ends").unwrap();
    let said = ended.unwrap_err().to_string();
    for organization in [1, 2] {
        assert!(said.contains(&endpoint(&chain, organization)), "{said}");
    }
    assert!(said.contains("another chain: block 0"), "{said}");
}

/// PRJ-17: if one peer is forged and the other silent, projection is halted but the process does
/// not end. Both peers are named, and projection continues when the silent peer comes back and is
/// right.
#[tokio::test]
async fn prj_17_a_silent_peer_is_waited_for_next_to_a_forged_one() {
    for forgery in FORGERIES {
        let chain = half_applied().await;
        // Clients reach the ledger through the first peer; the second one is silent.
        chain.faults_of(1).forge_blocks(Some(forgery));
        chain.faults_of(2).down(true);
        let running = Running::start(&chain, chain.ledger_of(&[1, 2]));
        let (first, second) = (endpoint(&chain, 1), endpoint(&chain, 2));
        running.says("projection", "unhealthy", &[&first, &second, "does not answer"]).await;
        assert_eq!(chain.checkpoint().await, Some(1));
        assert!(!running.task.is_finished(), "it is not for good");

        chain.faults_of(2).down(false);
        running.applies(&chain, 3).await;
        running.says("projection", "healthy", &[]).await;
        running.stopped().await;
    }
}

/// PRJ-17: if two of three peers contradict the checkpoint, projection is halted and does not
/// continue with the third, which agrees.
#[tokio::test]
async fn prj_17_the_peer_that_agrees_is_not_followed_against_two_others() {
    let chain = half_applied().await;
    chain.faults_of(1).forge_blocks(Some((1, Forgery::PreviousHash)));
    for order in [[2, 1, 1], [1, 2, 1], [1, 1, 2]] {
        let mut projector = chain.projector_on(chain.ledger_of(&order));
        for _ in 0..3 {
            let said = halted(failure(&mut projector).await);
            assert!(said.starts_with("most of our peers contradict"), "{said}");
            assert!(!said.contains(&endpoint(&chain, 2)), "{said}");
        }
        projector.stop();
        assert_eq!(chain.checkpoint().await, Some(1));
    }
    let report: Value = {
        let running = Running::start(&chain, chain.ledger_of(&[2, 1, 1]));
        running.says("projection", "unhealthy", &["most of our peers contradict"]).await;
        let report = serde_json::to_value(running.board.report().await).unwrap();
        running.stopped().await;
        report
    };
    assert_eq!(report["checks"]["projection"]["value"]["role"], "halted", "{report}");
}
