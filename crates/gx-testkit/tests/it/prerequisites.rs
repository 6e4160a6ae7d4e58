//! Commands that are enqueued before the ledger has their prerequisites.

use gx_testkit::World;

/// OUT-09: a person is approved while the ledger is empty: the command is BLOCKED with the missing
/// prerequisite and without a counted try; once supply and countries exist, it commits by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_approved_too_early_waits_and_is_then_created() {
    let mut world = World::start_empty().await;
    let person = world.participant(1).await;
    let path = "/api/v1/admin/outbox?kind=CREATE_USER";
    let waiting = world.gx.admin.get(path, &world.admin_token().await).await.expect(200);
    assert_eq!(waiting.str("/items/0/status"), "BLOCKED");
    assert_eq!(waiting.json["items"][0]["attempts"], 0);
    assert_eq!(waiting.str("/items/0/prerequisite/kind"), "SYSTEM_BOOTSTRAPPED");
    assert!(world.gx.wallet(&person).await.is_none());

    world.bootstrap().await;
    world.settle().await;
    assert_eq!(world.gx.wallet(&person).await.unwrap().str("/balance"), "500");
}
