//! The shortest journey. Copy this file to begin a story.

use gx_testkit::World;

/// A person who is approved gets the genesis grant.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_is_approved_has_500_gx() {
    let mut world = World::start().await;
    let sarah = world.participant(1).await;
    assert_eq!(world.gx.balance(&sarah).await, "500");
}
