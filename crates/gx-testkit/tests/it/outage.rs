//! What works while the ledger and the workers are down.

use gx_testkit::World;
use gx_testkit::http::request;
use http::Method;

/// G8: while the ledger is down and no worker runs, people register, log in, read and submit,
/// reviewers approve, and every service is ready or degraded, never unready. When the ledger is
/// back, people who were approved meanwhile get on it.
#[tokio::test(flavor = "multi_thread")]
async fn people_are_served_while_the_ledger_is_down() {
    let mut world = World::start().await;
    let early = world.participant(1).await;
    world.devnet.faults().refuse_connections(true);

    let late = world.gx.register(2).await;
    world.gx.log_in(2).await;
    world.gx.submit(&late).await;
    world.gx.identity.get("/api/v1/users/me", &late.token).await.expect(200);
    assert_eq!(world.gx.balance(&early).await, "500");
    world.gx.approve(&world.admin_token().await, &late).await.expect(200);
    for endpoint in [&world.gx.identity, &world.gx.tokenomics, &world.gx.admin] {
        let ready = endpoint.send(request(Method::GET, "/readyz", None, None)).await.expect(200);
        assert!(["ready", "degraded"].contains(&ready.str("/status")), "{}", ready.text);
    }

    world.devnet.faults().refuse_connections(false);
    recover(&mut world).await;
    assert_eq!(world.gx.balance(&late).await, "500");
}

/// Waits until the ledger answers again, and settles everything.
async fn recover(world: &mut World) {
    gx_testkit::eventually(
        "the ledger is reached again",
        std::time::Duration::from_secs(120),
        async || world.ledger.heights().await.remove(0).height.ok(),
    )
    .await;
    world.settle().await;
}
