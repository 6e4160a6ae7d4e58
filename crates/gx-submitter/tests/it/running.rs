//! Both loops as they run in production.

use std::time::Duration;

use gx_outbox::Waker;
use gx_projector::ProjectorSettings;
use gx_serve::HealthBoard;
use gx_submitter::SubmitterSettings;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::chain::{BOUND, Chain, create, grant};
use crate::desk::{Desk, settings, submitter};

/// From the commit of an approval's commands to the wallet takes less than a second, though
/// nothing polls that fast; and told to stop, both loops end with no lane leased (RDY-06).
#[tokio::test]
async fn an_approval_reaches_the_wallet_within_a_second_and_the_loops_stop_cleanly() {
    let desk = Desk::open().await;
    let stop = CancellationToken::new();
    let board = HealthBoard::new("projector", desk.chain.clock.clone());
    let rng = StdRng::seed_from_u64(8);
    let project = gx_projector::run(
        desk.projector,
        ProjectorSettings::default(),
        rng,
        stop.clone(),
        board.clone(),
    );
    let project = tokio::spawn(project);
    let slow_poll = SubmitterSettings { poll_ms: 30_000, ..settings("one") };
    let submit_board = HealthBoard::new("outbox-submitter", desk.chain.clock.clone());
    let submit = submitter(&desk.chain, slow_poll);
    let submit = tokio::spawn(gx_submitter::run(submit, stop.clone(), submit_board.clone()));
    wait_until(&desk.chain, "listening", || async {
        let listening = r#"SELECT count(*) FROM pg_stat_activity
                           WHERE datname = current_database() AND query LIKE '%LISTEN%'"#;
        desk.chain.one(listening).await != "0"
            && desk.chain.one(r#"SELECT count(*) FROM "ProjectorState""#).await == "1"
            && serde_json::to_value(submit_board.report().await).unwrap()["status"] == "ready"
    })
    .await;

    let person = desk.chain.person(1).await;
    let waker = Waker::new(desk.chain.db.pool().clone());
    let conn = &mut desk.chain.db.connection().await;
    let approved_at = Instant::now();
    for command in [create(&person), grant(&person)] {
        let new = gx_outbox::NewCommand {
            command_id: crate::chain::fresh_id(),
            command: &command,
            profile_id: Some(&person.profile_id),
            requested_by: "a test",
            request_id: None,
        };
        gx_outbox::enqueue(conn, new, desk.chain.clock.now()).await.unwrap();
    }
    waker.wake();
    wait_until(&desk.chain, "a wallet with 500 GX", || async {
        let balance = r#"SELECT balance FROM "Wallet" WHERE kind = 'USER'"#;
        desk.chain.one(balance).await == "500000000"
    })
    .await;
    let took = approved_at.elapsed();
    assert!(took < Duration::from_secs(1), "it took {took:?}");

    stop.cancel();
    assert!(tokio::time::timeout(BOUND, submit).await.unwrap().unwrap().is_ok());
    assert!(tokio::time::timeout(BOUND, project).await.unwrap().unwrap().is_ok());
    let leased = r#"SELECT count(*) FROM "OutboxLane" WHERE owner IS NOT NULL"#;
    assert_eq!(desk.chain.one(leased).await, "0");
}

async fn wait_until<F: Future<Output = bool>>(
    chain: &Chain,
    what: &str,
    mut look: impl FnMut() -> F,
) {
    let deadline = Instant::now() + BOUND;
    while !look().await {
        let now = chain.clock.now();
        assert!(Instant::now() < deadline, "waited in vain until {now} for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
