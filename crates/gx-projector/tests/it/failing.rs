//! A database that fails, and projectors that die while they apply blocks.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use gx_model::Command;
use gx_projector::{Progress, Projector, ProjectorError};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::postgres::PgPoolOptions;

use crate::chain::{BOUND, Chain, Person, create, grant, transfer};
use crate::second::{catch_up, database_with_the_people_of, projector_into};
use crate::snapshot::{assert_same, read_model};

/// PRJ-05: while the database rejects what block three writes, the checkpoint stays at two and no
/// later block is applied, however often the step is repeated; afterwards all are.
#[tokio::test]
async fn nothing_overtakes_a_block_that_the_database_cannot_take() {
    let chain = Chain::bootstrapped().await;
    for number in 1..=4 {
        let person = chain.person(number).await;
        chain.execute(&[create(&person), grant(&person)]).await;
    }
    chain
        .sql(
            r#"CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = 'disk_full'; END $$;
               CREATE TRIGGER broken BEFORE UPDATE ON "LedgerCountry" FOR EACH ROW
                   WHEN (NEW.users = 2) EXECUTE FUNCTION broken()"#,
        )
        .await;
    let mut projector = chain.projector().with_max_blocks(1);
    let begun = projector.step(BOUND).await.unwrap();
    assert_eq!(begun, Progress::Began { number: 0 });
    for number in [1, 2] {
        assert_eq!(chain.apply_one(&mut projector).await.number, number);
    }
    for _ in 0..4 {
        let failed = projector.step(BOUND).await.unwrap_err();
        assert!(matches!(failed, ProjectorError::Database(_)), "{failed:?}");
        assert_eq!(chain.checkpoint().await, Some(2));
        let active = r#"SELECT count(*) FROM "UserProfile" WHERE status = 'ACTIVE'"#;
        assert_eq!(chain.one(active).await, "1", "that of block two");
        assert_eq!(chain.one(r#"SELECT max("blockNumber") FROM "EventLog""#).await, "2");
        assert_eq!(chain.one(r#"SELECT count(*) FROM "EventDLQ""#).await, "0");
    }
    chain.sql(r#"DROP TRIGGER broken ON "LedgerCountry""#).await;
    for number in [3, 4, 5] {
        assert_eq!(chain.apply_one(&mut projector).await.number, number);
    }
    let balances = r#"SELECT string_agg(balance::text, ' ') FROM "Wallet" WHERE kind = 'USER'"#;
    assert_eq!(chain.one(balances).await, ["500000000"; 4].join(" "));
}

/// How a run of the projector ends.
#[derive(Debug, PartialEq)]
enum Death {
    /// The process and its connections are gone.
    Process,
    /// The database drops the connections; the process keeps running.
    Connections,
}

/// PRJ-09, G3: the projector dies fifty times at a random wait while it applies blocks of five
/// events. It never leaves a part of a block, and in the end every row is as after an uninterrupted
/// run.
#[tokio::test]
async fn fifty_deaths_of_the_projector_leave_no_trace() {
    let chain = Chain::bootstrapped().await;
    let (ann, ben) = (chain.person(1).await, chain.person(2).await);
    let whole = database_with_the_people_of(&chain).await;
    chain.execute(&[create(&ann), grant(&ann), create(&ben), grant(&ben)]).await;
    let mut rng = StdRng::seed_from_u64(9);
    let mut deaths = 0;
    while deaths < 50 {
        // One run can apply more than one block.
        let applied = chain.checkpoint().await.unwrap_or(0);
        while chain.height().await < applied + 40 {
            chain.execute(&five_events(&ann, &ben)).await;
        }
        let death = if rng.random_ratio(1, 4) { Death::Connections } else { Death::Process };
        let (waits, max_blocks) = (rng.random_range(1..45), rng.random_range(1..=2));
        deaths += u32::from(one_life(&chain, &death, waits, max_blocks).await);
        only_whole_blocks(&chain).await;
    }
    chain.catch_up(&mut chain.projector()).await;
    let mut uninterrupted = projector_into(&chain, whole.pool(), chain.clock.clone());
    catch_up(&chain, &mut uninterrupted).await;
    let interrupted = read_model(&mut chain.db.connection().await).await;
    assert_same(&interrupted, &read_model(&mut whole.connection().await).await);
}

/// Submits a transaction after which both people are unfrozen and one has more GX.
fn five_events(ann: &Person, ben: &Person) -> [Command; 5] {
    let (from, to) = (ann.id.to_string(), ben.id.to_string());
    let reason_code = "REVIEW".parse().unwrap();
    [
        transfer(&from, &to, 4),
        Command::FreezeWallet { user_id: ann.id.clone(), reason_code },
        transfer(&to, &from, 3),
        Command::UnfreezeWallet { user_id: ann.id.clone() },
        transfer(&to, &from, 1),
    ]
}

/// Runs a projector that begins at the checkpoint, applies `max_blocks` at once and dies after
/// `waits` waits. Returns whether it died.
async fn one_life(chain: &Chain, death: &Death, waits: u32, max_blocks: usize) -> bool {
    let pool = PgPoolOptions::new().connect_lazy(chain.db.url()).unwrap();
    let mut projector =
        projector_into(chain, &pool, chain.clock.clone()).with_max_blocks(max_blocks);
    lead(&mut projector).await;
    let mut life = Box::pin(live(&mut projector));
    let died = polled(life.as_mut(), waits).await.is_none();
    if died && *death == Death::Connections {
        drop_connections(chain).await;
        let failure = life.await;
        assert!(matches!(failure, ProjectorError::Database(_)), "{failure:?}");
        // The same process leads again and continues with the same block.
        tokio::time::timeout(BOUND, go_on(&mut projector)).await.expect("it goes on");
    }
    died
}

/// Steps until the lock of the dead projector is free and this one has begun.
async fn lead(projector: &mut Projector) {
    let begin = async {
        while projector.step(BOUND).await.unwrap() == Progress::Standby {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, begin).await.expect("the lock of the dead one is free");
}

/// Steps until a block is applied, ignoring the errors of a process that lost its connections.
async fn go_on(projector: &mut Projector) {
    loop {
        match projector.step(BOUND).await {
            Ok(Progress::Applied(_)) => return,
            Ok(Progress::Standby | Progress::Began { .. }) => {}
            Err(ProjectorError::Database(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Steps until a step fails.
async fn live(projector: &mut Projector) -> ProjectorError {
    loop {
        match projector.step(BOUND).await {
            Ok(Progress::Idle) => panic!("no block comes: {:?}", projector.stream()),
            Ok(_) => {}
            Err(failure) => return failure,
        }
    }
}

/// Runs a future until it was polled `waits` times. Returns `None` if it had not ended then. It is
/// polled only when it waits, so that the number selects the wait.
async fn polled<F: Future>(future: F, polls: u32) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(move |context| {
        let Some(rest) = left.checked_sub(1) else { return Poll::Ready(None) };
        left = rest;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Ends every connection to the chain's database except the one that runs this.
async fn drop_connections(chain: &Chain) {
    let mut conn = chain.db.connection().await;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .execute(&mut conn)
    .await
    .unwrap();
}

/// Checks that each block has all its events, and that the checkpoint is the last block.
async fn only_whole_blocks(chain: &Chain) {
    let parts = r#"SELECT count(*) FROM (
        SELECT "blockNumber" FROM "EventLog" WHERE "blockNumber" > 2
        GROUP BY 1 HAVING count(*) <> 5) AS incomplete"#;
    assert_eq!(chain.one(parts).await, "0");
    let beyond = r#"SELECT coalesce(max("blockNumber"), 0)
        - (SELECT "blockNumber" FROM "ProjectorState") FROM "EventLog""#;
    assert_eq!(chain.one(beyond).await, "0");
    assert_eq!(chain.one(r#"SELECT count(*) FROM "LedgerUser" WHERE "isFrozen""#).await, "0");
}
