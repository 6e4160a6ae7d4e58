//! Blocks come in order, and each is applied whole or not at all.

use gx_db::testing::TestDatabase;
use gx_model::Clock;
use gx_projector::{Halt, Progress, Projector, ProjectorError, apply_block};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::postgres::PgPoolOptions;

use crate::fake_chain::block;
use crate::people::Person;
use crate::snapshot::{assert_same, read_model};
use crate::waiting::{BOUND, polled};
use crate::world::{World, checkpoint, rules};

/// PRJ-05: while the database refuses what block three writes, the checkpoint stays at two
/// and no later block is applied, however often it is tried; afterwards all are.
#[tokio::test]
async fn prj_05_nothing_overtakes_a_block_that_the_database_cannot_take() {
    let world = World::bootstrapped().await;
    let people = [1, 2, 3, 4].map(|number| world.person(number, "MY"));
    let people = futures_util::future::join_all(people).await;
    for person in &people {
        world.submit(&[person.create(), person.grant()]).await;
    }
    let mut conn = world.conn().await;
    sqlx::raw_sql(
        r#"CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN RAISE EXCEPTION 'the disk is full' USING ERRCODE = 'disk_full'; END $$;
           CREATE TRIGGER broken BEFORE UPDATE ON "LedgerCountry" FOR EACH ROW
               WHEN (NEW.users = 2) EXECUTE FUNCTION broken()"#,
    )
    .execute(&mut conn)
    .await
    .unwrap();
    let mut projector = world.projector();
    for _ in 0..4 {
        let failed = world.try_catch_up(&mut projector).await.unwrap_err();
        assert!(matches!(failed, ProjectorError::Database(_)), "{failed:?}");
        assert_eq!(checkpoint(world.pool()).await, Some(2));
        let registered = r#"SELECT count(*) FROM "UserProfile" WHERE status = 'ACTIVE'"#;
        assert_eq!(world.count(registered).await, 1, "that of block two");
        assert_eq!(world.count(r#"SELECT max("blockNumber") FROM "EventLog""#).await, 2);
        assert_eq!(world.count(r#"SELECT count(*) FROM "EventDLQ""#).await, 0);
    }
    sqlx::raw_sql(r#"DROP TRIGGER broken ON "LedgerCountry""#).execute(&mut conn).await.unwrap();
    let applied = world.catch_up(&mut projector).await;
    assert_eq!(applied.iter().map(|block| block.number).collect::<Vec<_>>(), [3, 4, 5]);
    for person in &people {
        assert_eq!(world.balance(person.id.as_str()).await, Some(500_000_000));
    }
}

/// PRJ-06: block 89 on an empty read model, block 7 after block 5, and a block that does not
/// continue the last one are refused by name, and the checkpoint stays.
#[tokio::test]
async fn prj_06_a_late_start_a_gap_and_a_broken_chain_halt() {
    let world = World::start().await;
    let mut conn = world.conn().await;
    let (rules, now) = (rules(), Clock::system().now());
    let mut rng = StdRng::seed_from_u64(1);

    let late = apply_block(&mut conn, &block(89, &[]), &rules, &mut rng, now).await.unwrap_err();
    assert!(matches!(late, ProjectorError::Halted(Halt::NotFromZero { number: 89 })), "{late:?}");
    assert_eq!(checkpoint(world.pool()).await, None);

    for number in 0..=5 {
        apply_block(&mut conn, &block(number, &[]), &rules, &mut rng, now).await.unwrap();
    }
    let gap = apply_block(&mut conn, &block(7, &[]), &rules, &mut rng, now).await.unwrap_err();
    let ProjectorError::Halted(gap @ Halt::Gap { expected: 6, found: 7 }) = gap else {
        panic!("{gap:?}");
    };
    assert!(gap.to_string().contains("block 7 came where block 6 was due"), "{gap}");

    let mut strange = block(6, &[]);
    strange.previous_hash = vec![0; 32];
    let broken = apply_block(&mut conn, &strange, &rules, &mut rng, now).await.unwrap_err();
    assert!(matches!(broken, ProjectorError::Halted(Halt::Broken { number: 6 })), "{broken:?}");

    let again = apply_block(&mut conn, &block(5, &[]), &rules, &mut rng, now).await.unwrap_err();
    assert!(matches!(again, ProjectorError::CheckpointMoved), "{again:?}");
    assert_eq!(checkpoint(world.pool()).await, Some(5));
}

/// PRJ-06: a checkpoint above empty tables is not believed when the chain holds events below
/// it, so that no history can be missing unnoticed.
#[tokio::test]
async fn prj_06_a_checkpoint_above_an_emptied_read_model_is_refused() {
    let world = World::bootstrapped().await;
    world.submit(&[world.person(1, "MY").await.create()]).await;
    let genesis = world.ledger.genesis().await.unwrap();
    let newest = world.ledger.block(2).await.unwrap();
    sqlx::query(r#"INSERT INTO "ProjectorState" VALUES ('gxchannel', $1, 2, $2, now())"#)
        .bind(genesis.hash.as_slice())
        .bind(newest.hash.as_slice())
        .execute(world.pool())
        .await
        .unwrap();
    let mut projector = world.projector();
    for _ in 0..2 {
        let refused = projector.step(BOUND).await.unwrap_err();
        let ProjectorError::Halted(Halt::EmptyReadModel { checkpoint: 2, block: 1 }) = refused
        else {
            panic!("{refused:?}");
        };
    }
    assert_eq!(checkpoint(world.pool()).await, Some(2));
    assert_eq!(world.count(r#"SELECT count(*) FROM "EventLog""#).await, 0);
}

/// How a round of [`prj_09_fifty_deaths_inside_blocks_leave_no_trace`] ends.
#[derive(Debug, PartialEq)]
enum Death {
    /// The process stops where it is: its connections are gone with it.
    Process,
    /// The database drops its connections; the process lives on and fails.
    Connections,
}

/// PRJ-09, G3: in each of fifty rounds the projector dies at a random wait while it applies
/// blocks of five events: at the end every row is as after an uninterrupted run, and what a
/// dead round left behind never was a part of a block.
#[tokio::test]
async fn prj_09_fifty_deaths_inside_blocks_leave_no_trace() {
    let world = World::bootstrapped().await;
    let whole = TestDatabase::create().await;
    let people = [Person::new(1, "MY"), Person::new(2, "MY")];
    for person in &people {
        person.clone().approved_in(world.pool()).await;
        person.clone().approved_in(whole.pool()).await;
    }
    let [ann, ben] = &people;
    world.submit(&[ann.create(), ann.grant(), ben.create(), ben.grant()]).await;
    for _ in 0..60 {
        let there = [ann.pay(ben, 1), ben.pay(ann, 1), ann.pay(ben, 4)];
        world.submit(&[&there[..], &[ben.freeze(), ben.unfreeze()]].concat()).await;
        world.submit(&[ben.pay(ann, 4), ann.pay(ben, 2), ben.pay(ann, 2), ann.freeze(), ann.unfreeze()]).await;
    }
    let mut rng = StdRng::seed_from_u64(9);
    let mut deaths = 0;
    while deaths < 50 {
        let death = if rng.random() { Death::Process } else { Death::Connections };
        deaths += u32::from(one_life(&world, &death, rng.random_range(1..150)).await);
        assert_ne!(checkpoint(world.pool()).await, Some(world.tip().await), "the chain is too short");
        only_whole_blocks(&world).await;
    }
    world.catch_up(&mut world.projector()).await;
    let mut uninterrupted = world.projector_into(whole.pool(), Clock::system());
    world.catch_up(&mut uninterrupted).await;
    assert_same(
        &read_model(&mut world.conn().await).await,
        &read_model(&mut whole.connection().await).await,
    );
}

/// A projector that begins at the checkpoint and dies after so many waits. Whether it did.
async fn one_life(world: &World, death: &Death, waits: u32) -> bool {
    let pool = PgPoolOptions::new().connect_lazy(world.database.url()).unwrap();
    let mut projector = world.projector_into(&pool, Clock::system());
    let begun = projector.step(BOUND).await;
    assert!(matches!(begun, Ok(Progress::Began { .. })), "{begun:?}");
    let mut living = Box::pin(live(&mut projector));
    let died = polled(living.as_mut(), waits).await.is_none();
    if died && *death == Death::Connections {
        drop_connections(world).await;
        let failure = living.await;
        assert!(matches!(failure, ProjectorError::Database(_)), "{failure:?}");
        // It lives on: the same process takes the lead again and goes on where it was.
        let next = projector.step(BOUND).await.unwrap();
        assert!(matches!(next, Progress::Applied(_)), "{next:?}");
        projector.stop();
    }
    died
}

/// Steps until that fails.
async fn live(projector: &mut Projector) -> ProjectorError {
    loop {
        if let Err(failure) = projector.step(BOUND).await {
            return failure;
        }
    }
}

/// Everybody else's connections to this database.
async fn drop_connections(world: &World) {
    let mut conn = world.conn().await;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .execute(&mut conn)
    .await
    .unwrap();
}

/// Each block that is there is there with all its events, and the checkpoint is the last.
async fn only_whole_blocks(world: &World) {
    let parts = r#"SELECT count(*) FROM (
        SELECT "blockNumber" FROM "EventLog" WHERE "blockNumber" > 2
        GROUP BY 1 HAVING count(*) <> 5) AS incomplete"#;
    assert_eq!(world.count(parts).await, 0);
    let beyond = r#"SELECT coalesce(max("blockNumber"), 0)
        - (SELECT "blockNumber" FROM "ProjectorState") FROM "EventLog""#;
    assert_eq!(world.count(beyond).await, 0);
    let frozen = r#"SELECT count(*) FROM "LedgerUser" WHERE "isFrozen""#;
    assert_eq!(world.count(frozen).await, 0, "each block ends with everybody free");
}

/// A block of another chaincode, and one without transactions, move the checkpoint only.
#[tokio::test]
async fn events_of_another_chaincode_are_not_ours() {
    let world = World::start().await;
    let mut conn = world.conn().await;
    let mut rng = StdRng::seed_from_u64(1);
    let now = Clock::system().now();
    apply_block(&mut conn, &block(0, &[]), &rules(), &mut rng, now).await.unwrap();
    let invented = serde_json::json!({"name": "Invented", "aggregates": []});
    let mut theirs = block(1, &[invented]);
    theirs.transactions[0].event.as_mut().unwrap().chaincode_id = "other".to_owned();
    let applied = apply_block(&mut conn, &theirs, &rules(), &mut rng, now).await.unwrap();
    assert_eq!((applied.events, applied.held), (0, vec![]));
    assert_eq!(checkpoint(world.pool()).await, Some(1));
}
