//! One projector leads, and the next one takes over.

use std::time::Duration;

use gx_model::Clock;
use gx_projector::{Progress, ProjectorError, ProjectorSettings, apply_block, run};
use gx_serve::HealthBoard;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use crate::people::Person;
use crate::waiting::{BOUND, eventually};
use crate::world::{World, checkpoint, rules};

/// Longest time without a leader.
const HANDOVER: Duration = Duration::from_secs(2);

struct Running {
    board: HealthBoard,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(world: &World) -> Self {
        let board = HealthBoard::new("projector", Clock::system());
        let settings = ProjectorSettings { standby_poll_ms: 50, ..ProjectorSettings::default() };
        let (projector, reported) = (world.projector(), board.clone());
        let rng = StdRng::seed_from_u64(1);
        let never = CancellationToken::new();
        let task = tokio::spawn(async move {
            run(projector, settings, rng, never, reported).await.unwrap();
        });
        Self { board, task }
    }

    async fn role(&self) -> String {
        let report = self.board.report().await;
        report.checks["projection"]["value"]["role"].as_str().unwrap_or("none").to_owned()
    }
}

/// PRJ-10: of two projectors one says that it leads and the other that it stands by; when
/// the leader dies, the other leads within the bound and goes on where it stopped.
#[tokio::test]
async fn prj_10_a_standby_takes_over_when_the_leader_dies() {
    let world = World::bootstrapped().await;
    let (ann, ben) = (world.person(1, "MY").await, world.person(2, "MY").await);
    world.submit(&[ann.create(), ann.grant(), ben.create()]).await;
    let mut running = vec![Running::start(&world), Running::start(&world)];
    let leader = eventually("one leader and one standby", async || {
        let roles = [running[0].role().await, running[1].role().await];
        let leader = roles.iter().position(|role| role == "leader")?;
        (roles[1 - leader] == "standby").then_some(leader)
    })
    .await;
    caught_up(&world).await;

    running.remove(leader).task.abort();
    let other = &running[0];
    let taken_over =
        eventually("another leader", async || (other.role().await == "leader").then_some(()));
    tokio::time::timeout(HANDOVER, taken_over).await.unwrap();
    world.submit(&[ann.pay(&ben, 7)]).await;
    caught_up(&world).await;
    assert_eq!(world.balance(ben.id.as_str()).await, Some(7_000_000));
    once_only(&world, 1).await;
    other.task.abort();
}

/// PRJ-10: a leader whose connection is cut may believe for a moment that it leads: the
/// checkpoint lets nobody apply a block twice, and it steps back.
#[tokio::test]
async fn prj_10_a_leader_that_lost_its_lock_applies_nothing_twice() {
    let world = World::bootstrapped().await;
    let (ann, ben) = (world.person(1, "MY").await, world.person(2, "MY").await);
    world.submit(&[ann.create(), ann.grant(), ben.create()]).await;
    let (mut old, mut new) = (world.projector(), world.projector());
    world.catch_up(&mut old).await;
    assert_eq!(new.step(BOUND).await.unwrap(), Progress::Standby);
    world.submit(&[ann.pay(&ben, 5)]).await;

    cut_the_lock(&world).await;
    assert!(matches!(new.step(BOUND).await.unwrap(), Progress::Began { .. }), "at once");
    world.catch_up(&mut new).await;
    let lost = old.step(BOUND).await;
    assert!(matches!(lost, Err(ProjectorError::Database(_)) | Ok(Progress::Standby)), "{lost:?}");
    assert_eq!(old.step(BOUND).await.unwrap(), Progress::Standby);

    // And back: what it had received while it did not lead is not applied again.
    cut_the_lock(&world).await;
    assert!(matches!(old.step(BOUND).await.unwrap(), Progress::Began { .. }));
    world.submit(&[ann.pay(&ben, 6)]).await;
    world.catch_up(&mut old).await;
    assert_eq!(world.balance(ben.id.as_str()).await, Some(11_000_000));
    once_only(&world, 2).await;
}

/// PRJ-10: two that apply the same block at the same moment: one does, the other is told.
#[tokio::test]
async fn prj_10_of_two_that_apply_one_block_one_is_told_that_it_does_not_lead() {
    let world = World::start().await;
    let person: Person = world.person(1, "MY").await;
    world.catch_up(&mut world.projector()).await;
    world
        .submit(&[gx_model::Command::BootstrapSystem {}, crate::world::countries(&["MY"]), person.create()])
        .await;
    let block = world.ledger.block(1).await.unwrap();
    let (mut left, mut right) = (world.conn().await, world.conn().await);
    let (rules, now) = (rules(), Clock::system().now());
    let (mut one, mut two) = (StdRng::seed_from_u64(1), StdRng::seed_from_u64(2));
    let (left, right) = tokio::join!(
        apply_block(&mut left, &block, &rules, &mut one, now),
        apply_block(&mut right, &block, &rules, &mut two, now),
    );
    let (applied, told) = if left.is_ok() { (left, right) } else { (right, left) };
    assert_eq!(applied.unwrap().events, 3);
    assert!(matches!(told, Err(ProjectorError::CheckpointMoved)), "{told:?}");
    assert_eq!(checkpoint(world.pool()).await, Some(1));
    assert_eq!(world.status(&person).await, "ACTIVE");
}

async fn caught_up(world: &World) {
    let tip = world.tip().await;
    eventually("the newest block", async || {
        (checkpoint(world.pool()).await == Some(tip)).then_some(())
    })
    .await;
}

/// So many transfers, each in the log and in two histories once.
async fn once_only(world: &World, transfers: i64) {
    let logged = r#"SELECT count(*) FROM "EventLog" WHERE "eventName" = 'TransferCompleted'"#;
    assert_eq!(world.count(logged).await, transfers);
    let history = r#"SELECT count(*) FROM "Transaction" WHERE type = 'TRANSFER'"#;
    assert_eq!(world.count(history).await, 2 * transfers);
}

/// Ends the connection that holds the lead, as a broken network would.
async fn cut_the_lock(world: &World) {
    let mut conn = world.conn().await;
    let cut: Vec<bool> = sqlx::query_scalar(
        "SELECT pg_terminate_backend(pid) FROM pg_locks
         WHERE locktype = 'advisory' AND granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    assert_eq!(cut, [true]);
    eventually("the lock to be free", async || {
        let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        (world.count(held).await == 0).then_some(())
    })
    .await;
}
