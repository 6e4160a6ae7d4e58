//! While the ledger is paused, no route changes the ledger.

use gx_model::Command;
use gx_testkit::World;
use serde_json::json;

/// FAB-10: during a pause each route that would change the ledger answers with one stable code and
/// enqueues no command; reading works; after the resume all routes work.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_stops_every_route_that_changes_the_ledger() {
    let mut world = World::start().await;
    let (payer, receiver) = (world.gx.register(1).await, world.gx.register(2).await);
    world.admit(&[payer.clone(), receiver.clone()]).await;
    let (to, admin) = (world.gx.id_of(&receiver).await, world.admin_token().await);
    let (late, later) = (world.gx.register(3).await, world.gx.register(4).await);
    world.gx.submit(&late).await;
    world.gx.submit(&later).await;

    world.enqueue(&Command::PauseSystem { reason_code: "DRILL".parse().unwrap() }).await;
    world.settle().await;
    let freeze = format!("/api/v1/admin/users/{}/freeze", receiver.profile_id);
    let reason = json!({ "reason": "COURT_ORDER" });
    let batch = json!({ "profileIds": [later.profile_id] });
    let change_all = async |world: &World| {
        let admin_endpoint = &world.gx.admin;
        [
            world.gx.pay(&payer, "k", &to, "1").await,
            world.gx.approve(&admin, &late).await,
            admin_endpoint.post("/api/v1/admin/users/batch-approve", Some(&admin), &batch).await,
            admin_endpoint.post(&freeze, Some(&admin), &reason).await,
        ]
    };
    let before = command_count(&world).await;
    for answer in change_all(&world).await {
        assert_eq!((answer.status.as_u16(), answer.str("/code")), (503, "system_paused"));
    }
    assert_eq!(command_count(&world).await, before);
    assert_eq!(world.gx.balance(&payer).await, "500");

    world.enqueue(&Command::ResumeSystem {}).await;
    world.settle().await;
    for answer in change_all(&world).await {
        assert!(answer.status.is_success(), "{}", answer.text);
    }
    world.settle().await;
    assert_eq!(world.gx.balance(&payer).await, "499");
    assert_eq!(world.gx.balance(&late).await, "500");
    assert_eq!(world.gx.balance(&later).await, "500");
}

async fn command_count(world: &World) -> i64 {
    sqlx::query_scalar(r#"SELECT count(*) FROM "OutboxCommand""#)
        .fetch_one(world.database.pool())
        .await
        .unwrap()
}
