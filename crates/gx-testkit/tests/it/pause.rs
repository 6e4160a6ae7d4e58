//! While the ledger is paused nothing is changed, from the first route to the last contract.

use gx_model::Command;
use gx_testkit::World;
use serde_json::json;

/// FAB-10: paused, each route that would change the ledger is refused with one stable code and
/// leaves no command behind; reading goes on; the resume restores them all.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_stops_every_route_that_changes_the_ledger() {
    let mut world = World::start().await;
    let (payer, receiver) = (world.gx.register(1).await, world.gx.register(2).await);
    world.admit(&[payer.clone(), receiver.clone()]).await;
    let (to, admin) = (world.gx.id_of(&receiver).await, world.admin_token().await);
    let (late, later) = (world.gx.register(3).await, world.gx.register(4).await);
    world.gx.submit(&late).await;
    world.gx.submit(&later).await;

    world.want(&Command::PauseSystem { reason_code: "DRILL".parse().unwrap() }).await;
    world.settle().await;
    let freeze = format!("/api/v1/admin/users/{}/freeze", receiver.profile_id);
    let reason = json!({ "reason": "COURT_ORDER" });
    let batch = json!({ "profileIds": [later.profile_id] });
    let change_all = async |world: &World| {
        let admin_door = &world.gx.admin;
        [
            world.gx.pay(&payer, "k", &to, "1").await,
            world.gx.approve(&admin, &late).await,
            admin_door.post("/api/v1/admin/users/batch-approve", Some(&admin), &batch).await,
            admin_door.post(&freeze, Some(&admin), &reason).await,
        ]
    };
    let before = commands(&world).await;
    for answer in change_all(&world).await {
        assert_eq!((answer.status.as_u16(), answer.str("/code")), (503, "system_paused"));
    }
    assert_eq!(commands(&world).await, before);
    assert_eq!(world.gx.wallet(&payer).await.unwrap().str("/balance"), "500");

    world.want(&Command::ResumeSystem {}).await;
    world.settle().await;
    for answer in change_all(&world).await {
        assert!(answer.status.is_success(), "{}", answer.text);
    }
    world.settle().await;
    assert_eq!(world.gx.wallet(&payer).await.unwrap().str("/balance"), "499");
    assert_eq!(world.gx.wallet(&late).await.unwrap().str("/balance"), "500");
    assert_eq!(world.gx.wallet(&later).await.unwrap().str("/balance"), "500");
}

async fn commands(world: &World) -> i64 {
    sqlx::query_scalar(r#"SELECT count(*) FROM "OutboxCommand""#)
        .fetch_one(world.database.pool())
        .await
        .unwrap()
}
