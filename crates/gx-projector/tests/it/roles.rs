//! The role that projectors report, and a leader that lost its lock.

use std::time::Duration;

use gx_projector::{Progress, ProjectorError, ProjectorSettings, run};
use gx_serve::HealthBoard;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::chain::{BOUND, Chain, create, grant, transfer};
use crate::second::catch_up;

/// Runs a projector as a process does.
struct Running {
    board: HealthBoard,
    task: JoinHandle<()>,
}

impl Running {
    fn start(chain: &Chain) -> Self {
        let board = HealthBoard::new("projector", chain.clock.clone());
        let settings = ProjectorSettings { standby_poll_ms: 50, ..ProjectorSettings::default() };
        let (projector, reported) = (chain.projector(), board.clone());
        let (rng, never) = (StdRng::seed_from_u64(1), CancellationToken::new());
        let task = tokio::spawn(async move {
            run(projector, settings, rng, never, reported).await.unwrap();
        });
        Self { board, task }
    }

    async fn role(&self) -> String {
        let report = serde_json::to_value(self.board.report().await).unwrap();
        report["checks"]["projection"]["value"]["role"].as_str().unwrap_or("none").to_owned()
    }
}

async fn until(what: &str, bound: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(bound, waiting).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

async fn caught_up(chain: &Chain) {
    let height = chain.height().await;
    let newest = async || chain.checkpoint().await.is_some_and(|at| at + 1 == height);
    until("the newest block", BOUND, newest).await;
}

/// PRJ-10: of two running projectors one reports that it leads and the other that it is a standby;
/// when the leader dies, the other reports the lead within the limit, and each event was applied
/// once.
#[tokio::test]
async fn the_standby_reports_the_lead_when_the_leader_dies() {
    let chain = Chain::bootstrapped().await;
    let (ann, ben) = (chain.person(1).await, chain.person(2).await);
    chain.execute(&[create(&ann), grant(&ann), create(&ben)]).await;
    let mut running = vec![Running::start(&chain), Running::start(&chain)];
    let mut leader = 0;
    until("one leader and one standby", BOUND, async || {
        let roles = [running[0].role().await, running[1].role().await];
        leader = usize::from(roles[1] == "leader");
        roles[leader] == "leader" && roles[1 - leader] == "standby"
    })
    .await;
    caught_up(&chain).await;

    running.remove(leader).task.abort();
    let other = &running[0];
    until("another leader", BOUND, async || other.role().await == "leader").await;
    chain.execute(&[transfer(&ann.id.to_string(), &ben.id.to_string(), 7)]).await;
    caught_up(&chain).await;
    once_only(&chain, 1).await;
    other.task.abort();
}

/// PRJ-10: a leader whose connection is cut may assume for a moment that it still leads. Another
/// one leads at once, the old one steps down, and when it leads again it does not apply again what
/// it had received.
#[tokio::test]
async fn a_leader_that_lost_its_lock_applies_nothing_twice() {
    let chain = Chain::bootstrapped().await;
    let (ann, ben) = (chain.person(1).await, chain.person(2).await);
    let (from, to) = (ann.id.to_string(), ben.id.to_string());
    chain.execute(&[create(&ann), grant(&ann), create(&ben)]).await;
    let (mut old, mut new) = (chain.projector(), chain.projector());
    chain.catch_up(&mut old).await;
    assert_eq!(new.step(BOUND).await.unwrap(), Progress::Standby);
    chain.execute(&[transfer(&from, &to, 5)]).await;

    cut_the_lock(&chain).await;
    assert!(matches!(new.step(BOUND).await.unwrap(), Progress::Began { .. }), "at once");
    catch_up(&chain, &mut new).await;
    let lost = old.step(BOUND).await;
    assert!(matches!(lost, Err(ProjectorError::Database(_))), "{lost:?}");
    assert_eq!(old.step(BOUND).await.unwrap(), Progress::Standby);

    cut_the_lock(&chain).await;
    assert!(matches!(old.step(BOUND).await.unwrap(), Progress::Began { .. }));
    chain.execute(&[transfer(&from, &to, 6)]).await;
    catch_up(&chain, &mut old).await;
    once_only(&chain, 2).await;
    let balances = r#"SELECT string_agg(balance::text, ' ' ORDER BY "accountId")
                      FROM "Wallet" WHERE kind = 'USER'"#;
    // 5 and 6 GX within one country cost 5 basis points each.
    assert_eq!(chain.one(balances).await, "488994500 11000000");
}

/// Checks the number of transfers, each once in the log and in two histories.
async fn once_only(chain: &Chain, transfers: usize) {
    let logged = r#"SELECT count(*) FROM "EventLog" WHERE "eventName" = 'TransferCompleted'"#;
    assert_eq!(chain.one(logged).await, transfers.to_string());
    let history = r#"SELECT count(*) FROM "Transaction" WHERE type = 'TRANSFER'"#;
    assert_eq!(chain.one(history).await, (2 * transfers).to_string());
}

/// Ends the connection that holds the lead, as a broken network would.
async fn cut_the_lock(chain: &Chain) {
    let locks = r#"FROM pg_locks WHERE locktype = 'advisory' AND granted AND database =
                   (SELECT oid FROM pg_database WHERE datname = current_database())"#;
    let cut = chain.one(&format!("SELECT bool_and(pg_terminate_backend(pid)) {locks}")).await;
    assert_eq!(cut, "true");
    let free = async || chain.one(&format!("SELECT count(*) {locks}")).await == "0";
    until("the lock to be free", BOUND, free).await;
}
