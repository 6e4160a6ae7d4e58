//! Commands that are enqueued before the ledger has their prerequisites.

use gx_testkit::World;

/// OUT-09: a person is approved while the ledger is empty: the command is BLOCKED with the missing
/// prerequisite and without a counted try; once supply and countries exist, it commits by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_approved_too_early_waits_and_is_then_created() {
    let mut world = World::start_empty().await;
    let person = world.participant(1).await;
    let waiting = world.command("CREATE_USER").await;
    assert_eq!(waiting["status"], "BLOCKED");
    assert_eq!(waiting["attempts"], 0);
    assert_eq!(waiting["prerequisite"]["kind"], "SYSTEM_BOOTSTRAPPED");
    assert!(world.gx.wallet(&person).await.is_none());

    world.bootstrap().await;
    world.settle().await;
    assert_eq!(world.gx.balance(&person).await, "500");
}
