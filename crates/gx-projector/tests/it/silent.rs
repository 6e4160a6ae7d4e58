//! Leaders that stand still, and transactions that wait.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use gx_outbox::enqueue::Waker;
use gx_outbox::sync_points::SyncPoints;
use gx_projector::{
    Correction, LeadSettings, Progress, Projector, ProjectorContext, ProjectorError,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::chain::{BOUND, Chain, create, grant, transfer};

/// Short limits of a lead: what takes seconds here takes half a minute in production.
const QUICK: LeadSettings = LeadSettings {
    ping: Duration::from_millis(50),
    silence: Duration::from_secs(3),
    progress_timeout: Duration::from_secs(3),
};

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(BOUND, waiting).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

/// Steps until this projector leads and has applied a block.
async fn takes_over(standby: &mut Projector) -> gx_projector::Applied {
    let taking = async {
        loop {
            if let Progress::Applied(applied) =
                standby.step(Duration::from_millis(20)).await.unwrap()
            {
                return applied;
            }
        }
    };
    timeout(BOUND, taking).await.expect("the standby takes over")
}

/// A projector on its own thread. If the thread is stopped, nothing of the projector runs,
/// including its session keeper.
struct OtherProcess {
    frozen: Receiver<()>,
    wake: Sender<()>,
    thread: std::thread::JoinHandle<Vec<Result<Progress, String>>>,
}

impl OtherProcess {
    /// Leads, and stops after a step has received a block and before it applies it.
    fn start(chain: &Chain) -> Self {
        let (says_frozen, frozen) = channel();
        let (wake, woken) = channel();
        let (url, clock) = (chain.db.url().to_owned(), chain.clock.clone());
        let (ledger, settings) = (chain.ledger_at(&chain.devnet.endpoint()), chain.settings());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let pool = PgPoolOptions::new().connect_lazy(&url).unwrap();
                let waker = Waker::new(pool.clone());
                let context = ProjectorContext { pool, ledger, settings, clock, waker };
                freezes_with_a_block(context, &says_frozen, &woken).await
            })
        });
        Self { frozen, wake, thread }
    }
}

/// Leads, stops everything on this thread when a block was received, until it is woken, and then
/// continues until it is a standby. Returns the result of each step.
async fn freezes_with_a_block(
    context: ProjectorContext,
    says_frozen: &Sender<()>,
    woken: &Receiver<()>,
) -> Vec<Result<Progress, String>> {
    let received = Arc::new(Notify::new());
    let told = Arc::clone(&received);
    let gate = move |step: &'static str| {
        if step == "received" {
            told.notify_one();
        }
        Box::pin(tokio::task::yield_now()) as gx_outbox::sync_points::Resume
    };
    let projector = Projector::new(context, StdRng::seed_from_u64(8));
    let mut projector = projector.with_lead(QUICK).with_sync_points(SyncPoints::new(gate));
    let freeze = async {
        received.notified().await;
        says_frozen.send(()).unwrap();
        woken.recv().unwrap();
    };
    let mut steps = Vec::new();
    let stepping = async {
        let mut is_standby = false;
        while !is_standby {
            let step = projector.step(Duration::from_millis(20)).await;
            let step = step.map_err(|error| match error {
                ProjectorError::Database(error) => error.to_string(),
                other => panic!("{other:?}"),
            });
            is_standby = step == Ok(Progress::Standby);
            steps.push(step);
        }
    };
    tokio::join!(freeze, stepping);
    steps
}

/// PRJ-16: a leader whose process stands still after it received a block loses its lead even though
/// its connection is open; another one applies that block. When the first wakes up, it finds that
/// its lead is lost before it applies anything, and steps down.
#[tokio::test(flavor = "multi_thread")]
async fn prj_16_a_frozen_leader_is_replaced_and_steps_down_when_it_wakes() {
    let chain = Chain::bootstrapped().await;
    chain.catch_up(&mut chain.projector()).await;
    let OtherProcess { frozen, wake, thread } = OtherProcess::start(&chain);
    let (a, b) = (chain.person(1).await, chain.person(2).await);
    let mut standby = chain.projector().with_lead(QUICK);
    let leads = r#"SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity s USING (pid)
                   WHERE locktype = 'advisory' AND granted AND application_name LIKE '%leader'
                     AND l.database = (SELECT oid FROM pg_database
                                       WHERE datname = current_database())"#;
    until("the other process leads", async || chain.one(leads).await == "true").await;
    assert_eq!(standby.step(Duration::ZERO).await.unwrap(), Progress::Standby);
    chain.execute(&[create(&a), grant(&a)]).await;
    tokio::task::spawn_blocking(move || frozen.recv_timeout(BOUND).unwrap()).await.unwrap();

    assert_eq!(takes_over(&mut standby).await.number, 2);
    wake.send(()).unwrap();
    let steps = tokio::task::spawn_blocking(|| thread.join().unwrap());
    let steps = timeout(BOUND, steps).await.unwrap().unwrap();
    let applied = |step: &Result<Progress, String>| matches!(step, Ok(Progress::Applied(_)));
    assert!(!steps.iter().any(applied), "{steps:?}");
    let lost = |step: &Result<Progress, String>| matches!(step, Err(why) if why.contains("the lead was lost"));
    assert!(steps.iter().any(lost), "{steps:?}");

    chain.execute(&[create(&b), grant(&b)]).await;
    chain.catch_up(&mut standby).await;
    assert_eq!(chain.one(r#"SELECT count(*) FROM "Transaction""#).await, "2");
}

/// PRJ-16: a step that makes no progress loses the lead even though its process is running, and
/// ends.
#[tokio::test]
async fn prj_16_a_step_that_is_stuck_loses_the_lead() {
    let chain = Chain::bootstrapped().await;
    chain.catch_up(&mut chain.projector()).await;
    let stuck = |step: &'static str| match step {
        "received" => Box::pin(std::future::pending()) as gx_outbox::sync_points::Resume,
        _ => Box::pin(std::future::ready(())),
    };
    let mut leader = chain.projector().with_lead(QUICK).with_sync_points(SyncPoints::new(stuck));
    let mut standby = chain.projector().with_lead(QUICK);
    let begun = leader.step(BOUND).await.unwrap();
    assert_eq!(begun, Progress::Began { number: 1 });
    assert_eq!(standby.step(Duration::ZERO).await.unwrap(), Progress::Standby);
    let person = chain.person(1).await;
    chain.execute(&[create(&person), grant(&person)]).await;
    let lost = timeout(BOUND, leader.step(BOUND)).await.expect("the stuck step ends").unwrap_err();
    assert!(matches!(lost, ProjectorError::Database(_)), "{lost:?}");
    assert_eq!(takes_over(&mut standby).await.number, 2);
    assert_eq!(leader.step(Duration::ZERO).await.unwrap(), Progress::Standby);
}

/// Waits until the session keeper of a leader has checked the step's session that often.
async fn keeper_has_looked(chain: &Chain, times: usize) {
    let mut seen = std::collections::BTreeSet::new();
    let looks = r#"SELECT query_start FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name LIKE '%leader'
                     AND query LIKE '%pg_stat_activity%'"#;
    until("the keeper looks", async || {
        seen.insert(chain.one(looks).await);
        seen.remove("NULL");
        seen.len() >= times
    })
    .await;
}

/// PRJ-16: applying a block may take long: while the server works on it, the leader keeps its lead,
/// and the block is applied once.
#[tokio::test]
async fn prj_16_a_long_apply_keeps_its_lead() {
    let chain = Chain::bootstrapped().await;
    let mut leader = chain.projector().with_lead(QUICK);
    chain.catch_up(&mut leader).await;
    let person = chain.person(1).await;
    let mut holder = chain.db.connection().await;
    let mut holds = holder.begin().await.unwrap();
    sqlx::query(r#"SELECT FROM "UserProfile" FOR UPDATE"#).execute(&mut *holds).await.unwrap();
    chain.execute(&[create(&person), grant(&person)]).await;
    let apply = chain.apply_one(&mut leader);
    let meanwhile = async {
        keeper_has_looked(&chain, 3).await;
        let mut standby = chain.projector().with_lead(QUICK);
        assert_eq!(standby.step(Duration::ZERO).await.unwrap(), Progress::Standby);
        holds.rollback().await.unwrap();
    };
    let (applied, ()) =
        Box::pin(timeout(BOUND * 2, async { tokio::join!(apply, meanwhile) })).await.unwrap();
    assert_eq!(applied.number, 2);
    assert_eq!(chain.one(r#"SELECT count(*) FROM "Transaction""#).await, "1");
}

/// Returns the session with that name, as the server sees it.
async fn session(conn: &mut PgConnection, purpose: &str) -> Option<(String, Option<String>, bool)> {
    sqlx::query_as(
        "SELECT state, wait_event_type, state_change < clock_timestamp() - interval '1 s'
         FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE '%' || $1",
    )
    .bind(purpose)
    .fetch_optional(conn)
    .await
    .unwrap()
}

/// PRJ-16: a rebuild waits for blocks outside of any transaction: while none comes, it holds no
/// lock and no snapshot.
#[tokio::test]
async fn prj_16_a_rebuild_holds_no_transaction_while_it_waits_for_a_block() {
    let chain = Chain::bootstrapped().await;
    chain.catch_up(&mut chain.projector()).await;
    // The live rows contain a block that the rebuild's peer does not have.
    chain.sql(r#"UPDATE "ProjectorState" SET "blockNumber" = "blockNumber" + 1"#).await;
    let rebuilder = gx_projector::Rebuilder {
        pool: chain.db.pool().clone(),
        ledger: chain.ledger.clone(),
        settings: chain.settings(),
        clock: chain.clock.clone(),
    };
    let rng = StdRng::seed_from_u64(1);
    let rebuilding = rebuilder.run(Correction::ReportOnly, rng, |_| {}, |_| {});
    let mut conn = chain.db.connection().await;
    let waits = until("the rebuild waits for the block", async || {
        let found = session(&mut conn, "rebuild").await;
        found.is_some_and(|(state, _, is_quiet)| {
            is_quiet && {
                assert_eq!(state, "idle");
                true
            }
        })
    });
    tokio::select! {
        () = waits => {}
        ended = rebuilding => panic!("{ended:?}"),
    }
}

/// DB-08: the projector waits for the correction of a rebuild, which locks the checkpoint, longer
/// than the lock timeout of other sessions, and loses no block.
#[tokio::test]
async fn db_08_the_projector_waits_for_a_correction_beyond_the_lock_timeout() {
    let chain = Chain::bootstrapped().await;
    let mut settings = chain.db.settings();
    settings.session.database_lock_timeout_ms = 100;
    let database = gx_db::connect(&settings).await.unwrap();
    let pool = database.pool();
    let mut projector = crate::second::projector_into(&chain, pool, chain.clock.clone());
    chain.catch_up(&mut projector).await;
    let mut switch = chain.db.connection().await;
    let mut holds = switch.begin().await.unwrap();
    sqlx::query(r#"SELECT FROM "ProjectorState" FOR UPDATE"#).execute(&mut *holds).await.unwrap();
    let person = chain.person(1).await;
    chain.execute(&[create(&person), transfer("SYSTEM_LOAN_POOL", "treasury_MY", 1)]).await;
    let mut conn = chain.db.connection().await;
    let meanwhile = async {
        until("the writer has waited for longer", async || {
            let found = session(&mut conn, "writer").await;
            found.is_some_and(|(_, event, is_long)| is_long && event.as_deref() == Some("Lock"))
        })
        .await;
        holds.rollback().await.unwrap();
    };
    let (applied, ()) = tokio::join!(chain.apply_one(&mut projector), meanwhile);
    assert_eq!(applied.number, 2);
}

/// DB-08: a projector that stands still inside its transaction does not keep the checkpoint locked:
/// the server ends the session, and another projector applies the block.
#[tokio::test]
async fn db_08_a_checkpoint_held_by_a_silent_session_is_free_again() {
    let chain = Chain::bootstrapped().await;
    chain.catch_up(&mut chain.projector()).await;
    let mut settings = chain.db.settings().named("frozen");
    settings.session.database_idle_transaction_timeout_ms = 2_000;
    let frozen = gx_db::connect(&settings).await.unwrap();
    let mut silent = frozen.pool().begin().await.unwrap();
    let lock = r#"SELECT FROM "ProjectorState" FOR UPDATE"#;
    sqlx::query(lock).execute(&mut *silent).await.unwrap();
    let person = chain.person(1).await;
    chain.execute(&[create(&person)]).await;
    assert_eq!(takes_over(&mut chain.projector()).await.number, 2);
}
