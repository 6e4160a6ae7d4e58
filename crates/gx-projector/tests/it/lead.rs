//! One projector leads, and block streams that end or fall silent are opened again.

use std::time::Duration;

use gx_projector::Progress;
use tokio::time::Instant;

use crate::chain::{BOUND, Chain, create, grant};
use crate::proxy::Proxy;

/// PRJ-10: of two projectors one leads; when it dies, the other takes over within the limit, and no
/// event is applied twice.
#[tokio::test]
async fn a_standby_takes_over_when_the_leader_dies() {
    let chain = Chain::bootstrapped().await;
    let (a, b) = (chain.person(1).await, chain.person(2).await);
    let mut leader = chain.projector();
    let mut standby = chain.projector();
    chain.catch_up(&mut leader).await;
    chain.execute(&[create(&a), grant(&a)]).await;
    assert_eq!(standby.step(Duration::ZERO).await.unwrap(), Progress::Standby);
    chain.catch_up(&mut leader).await;
    assert_eq!(standby.step(Duration::ZERO).await.unwrap(), Progress::Standby);

    chain.execute(&[create(&b), grant(&b)]).await;
    // As after a kill: nothing is sent, the connections just end.
    drop(leader);
    let deadline = Instant::now() + BOUND;
    while standby.step(Duration::ZERO).await.unwrap() == Progress::Standby {
        assert!(Instant::now() < deadline, "nobody leads");
    }
    chain.catch_up(&mut standby).await;
    let events = r#"SELECT count(*) FROM "EventLog" WHERE "eventName" <> 'CommandsCancelled'"#;
    assert_eq!(chain.one(events).await, "6");
    assert_eq!(chain.one(r#"SELECT count(*) FROM "Transaction""#).await, "2");
}

/// PRJ-11: after a clean end and after a black hole, new blocks still arrive within the deadline,
/// requested from the checkpoint on.
#[tokio::test]
async fn blocks_arrive_though_streams_end_or_fall_silent() {
    let chain = Chain::bootstrapped().await;
    let port = chain.devnet.endpoint().rsplit_once(':').unwrap().1.parse().unwrap();
    let proxy = Proxy::start(port).await;
    let mut projector = chain.projector_on(chain.ledger_at(&proxy.endpoint()));
    chain.catch_up(&mut projector).await;

    chain.devnet.faults().end_streams();
    let person = chain.person(1).await;
    chain.execute(&[create(&person)]).await;
    let within = tokio::time::timeout(BOUND, chain.apply_one(&mut projector));
    assert_eq!(within.await.unwrap().number, 2);

    // The connection stays open and no longer carries anything.
    proxy.freeze();
    chain.execute(&[grant(&person)]).await;
    let within = tokio::time::timeout(BOUND, chain.apply_one(&mut projector));
    assert_eq!(within.await.unwrap().number, 3);
}

/// A ledger that is away does not end the projector: steps fail, and the blocks come when it is
/// back.
#[tokio::test]
async fn the_projector_survives_a_ledger_that_is_away() {
    let chain = Chain::start().await;
    let faults = chain.devnet.faults();
    faults.refuse_connections(true);
    let mut projector = chain.projector();
    for _ in 0..3 {
        let error = projector.step(Duration::ZERO).await.unwrap_err();
        assert!(matches!(error, gx_projector::ProjectorError::Ledger(_)), "{error:?}");
    }
    faults.refuse_connections(false);
    let deadline = Instant::now() + BOUND;
    while projector.step(Duration::from_millis(20)).await.is_err() {
        assert!(Instant::now() < deadline, "the ledger is back and nobody noticed");
    }
    chain.bootstrap().await;
    chain.catch_up(&mut projector).await;
    assert_eq!(chain.one(r#"SELECT count(*) FROM "LedgerPool""#).await, "6");
}
