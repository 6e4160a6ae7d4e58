//! A stream that ends or falls silent is found and opened again.

use std::time::Duration;

use gx_projector::{Applied, Progress, Projector};
use tokio::time::timeout;

use crate::waiting::BOUND;
use crate::world::{World, checkpoint};

/// By then a block has come, whatever became of the stream.
const DEADLINE: Duration = Duration::from_secs(5);

/// PRJ-11: after a clean end of the stream, and again while new streams are silent, new
/// blocks arrive within the deadline, each right after the checkpoint.
#[tokio::test]
async fn prj_11_an_ended_and_a_silent_stream_are_opened_again_at_the_checkpoint() {
    let world = World::bootstrapped().await;
    let mut projector = world.projector();
    world.catch_up(&mut projector).await;

    world.faults().end_streams();
    let (ann, ben) = (world.person(1, "MY").await, world.person(2, "MY").await);
    let committed = world.submit(&[ann.create(), ann.grant()]).await;
    assert_eq!(next(&mut projector).await.number, committed.block);
    assert_eq!(world.status(&ann).await, "ACTIVE");

    world.faults().mute_streams(true);
    for person in [&ben, &world.person(3, "MY").await] {
        let before = checkpoint(world.pool()).await.unwrap();
        let committed = world.submit(&[person.create()]).await;
        let applied = next(&mut projector).await;
        assert_eq!((applied.number, applied.number), (committed.block, before + 1));
        assert_eq!(world.status(person).await, "ACTIVE");
    }

    world.faults().mute_streams(false);
    world.faults().end_streams();
    let committed = world.submit(&[ann.pay(&ben, 1)]).await;
    assert_eq!(next(&mut projector).await.number, committed.block);
}

/// PRJ-11: losing every peer is a state: the projector waits, and goes on by itself.
#[tokio::test]
async fn prj_11_losing_the_only_peer_is_waited_out() {
    let world = World::bootstrapped().await;
    let mut projector = world.projector();
    world.catch_up(&mut projector).await;
    let person = world.person(1, "MY").await;
    world.faults().refuse_connections(true);
    let idle = projector.step(Duration::from_millis(300)).await.unwrap();
    assert_eq!(idle, Progress::Idle, "and no error");
    world.faults().refuse_connections(false);
    world.submit(&[person.create()]).await;
    assert_eq!(next(&mut projector).await.events, 1);
    assert_eq!(world.status(&person).await, "ACTIVE");
}

async fn next(projector: &mut Projector) -> Applied {
    match timeout(DEADLINE, projector.step(BOUND)).await.expect("a block within the deadline") {
        Ok(Progress::Applied(applied)) => applied,
        other => panic!("{other:?}"),
    }
}
