//! Tasks of operators for the projector: a task can be cancelled, and it cannot stop the projector
//! for ever.

use std::time::Duration;

use gx_db::PgConnection;
use gx_model::TaskState;
use gx_outbox::sync_points::SyncPoints;
use gx_outbox::tasks::{self, MAX_ATTEMPTS, Task, TaskRow};
use gx_projector::{ProjectorSettings, run};
use gx_serve::HealthBoard;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::chain::{BOUND, CHANNEL, Chain};

const REPLAY: Task = Task::ReplayDeadEvents { dead_event_id: None };

async fn ask(chain: &Chain, conn: &mut PgConnection, task_id: &str, task: Task) {
    let row = TaskRow::new(task_id, CHANNEL, task, "admin-1", chain.clock.now());
    tasks::ask(conn, &row).await.unwrap();
}

async fn task(conn: &mut PgConnection, task_id: &str) -> TaskRow {
    tasks::get(conn, task_id).await.unwrap().unwrap()
}

/// PRJ-14: a task during which its projector dies repeatedly ends as FAILED with a reason, and the
/// next one is carried out.
#[tokio::test]
async fn a_task_that_stops_its_projector_is_given_up() {
    let chain = Chain::bootstrapped().await;
    chain.catch_up(&mut chain.projector()).await;
    let mut conn = chain.db.connection().await;
    ask(&chain, &mut conn, "deadly", REPLAY).await;
    ask(&chain, &mut conn, "fine", REPLAY).await;
    for attempt in 1..=MAX_ATTEMPTS {
        // The projector waits for ever at the beginning of the task; the process is ended there.
        let stuck = SyncPoints::new(|step| {
            Box::pin(async move {
                if step == "task" {
                    std::future::pending::<()>().await;
                }
            })
        });
        let mut projector = chain.projector().with_sync_points(stuck);
        let mut life = Box::pin(async {
            loop {
                projector.step(Duration::from_millis(1)).await.unwrap();
            }
        });
        let begun = async {
            while task(&mut conn, "deadly").await.attempts < attempt {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let begun = tokio::time::timeout(BOUND, begun);
        tokio::select! { begun = begun => begun.unwrap(), () = &mut life => {} }
        drop(life);
        projector.stop();
    }
    assert!(!task(&mut conn, "deadly").await.is_ended());
    let mut projector = chain.projector();
    let deadline = tokio::time::Instant::now() + BOUND;
    while !task(&mut conn, "fine").await.is_ended() {
        projector.step(Duration::from_millis(1)).await.unwrap();
        assert!(tokio::time::Instant::now() < deadline);
    }
    let given_up = task(&mut conn, "deadly").await;
    assert_eq!(given_up.state, TaskState::Failed);
    let why = given_up.report.unwrap()["error"].as_str().unwrap().to_owned();
    assert!(why.contains("stopped 3 times"), "{why}");
    let fine = task(&mut conn, "fine").await;
    assert_eq!((fine.state.known(), fine.attempts), (Some(TaskState::Done), 1));
}

/// PRJ-14: a database that fails is not the task's fault: no attempt is counted, and the task is
/// carried out once the database works again.
#[tokio::test]
async fn a_database_that_fails_costs_a_task_nothing() {
    let chain = Chain::bootstrapped().await;
    let mut projector = chain.projector();
    chain.catch_up(&mut projector).await;
    let mut conn = chain.db.connection().await;
    ask(&chain, &mut conn, "unlucky", REPLAY).await;
    chain
        .sql(
            r#"CREATE FUNCTION not_now() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN RAISE EXCEPTION 'later' USING ERRCODE = 'lock_not_available'; END $$;
               CREATE TRIGGER not_now BEFORE UPDATE ON "ProjectorTask" FOR EACH ROW
                   WHEN (NEW.state = 'DONE') EXECUTE FUNCTION not_now()"#,
        )
        .await;
    for _ in 0..2 * MAX_ATTEMPTS {
        projector.step(Duration::from_millis(1)).await.unwrap_err();
    }
    let row = task(&mut conn, "unlucky").await;
    assert_eq!((row.state.known(), row.attempts), (Some(TaskState::Waiting), 0));
    chain.sql(r#"DROP TRIGGER not_now ON "ProjectorTask""#).await;
    projector.step(Duration::from_millis(1)).await.unwrap();
    assert_eq!(task(&mut conn, "unlucky").await.state, TaskState::Done);
}

/// An operator cancels a task that waits, and one of which parts are done: these stay done, and no
/// further part is carried out.
#[tokio::test]
async fn a_task_is_cancelled_before_and_between_its_parts() {
    let chain = Chain::bootstrapped().await;
    let mut projector = chain.projector();
    chain.catch_up(&mut projector).await;
    let mut conn = chain.db.connection().await;
    chain
        .sql(
            r#"INSERT INTO "EventDLQ" (channel, "blockNumber", "txId", "eventIndex", "commandId",
                   "txIndex", aggregates, reason, payload, "ledgerAt", "createdAt")
               SELECT 'gxchannel', 1, 'x', n, 'x', 0, '{}', 'x', '{"name": "CommandsCancelled",
                   "version": 1, "aggregates": [], "data": {"commandIds": []}}',
                   '2020-01-01Z', '2020-01-01Z'
               FROM generate_series(1, 1200) n"#,
        )
        .await;
    ask(&chain, &mut conn, "begun", REPLAY).await;
    ask(&chain, &mut conn, "waiting", REPLAY).await;
    projector.step(Duration::from_millis(1)).await.unwrap();
    let begun = task(&mut conn, "begun").await;
    assert_eq!(begun.progress.unwrap()["report"]["replayedCount"], 500);
    for task_id in ["begun", "waiting"] {
        assert!(tasks::cancel(&mut conn, task_id, "admin-2", chain.clock.now()).await.unwrap());
        assert!(!tasks::cancel(&mut conn, task_id, "admin-2", chain.clock.now()).await.unwrap());
        let cancelled = task(&mut conn, task_id).await;
        assert_eq!(cancelled.state, TaskState::Cancelled);
        assert_eq!(cancelled.report, Some(json!({ "cancelledBy": "admin-2" })));
    }
    for _ in 0..3 {
        projector.step(Duration::from_millis(1)).await.unwrap();
    }
    let held = r#"SELECT count(*) FROM "EventDLQ" WHERE state = 'HELD'"#;
    assert_eq!(chain.one(held).await, "700");
}

/// PRJ-14: a task that is cancelled after a projector has begun it, and before it has carried out a
/// part, is left as it is.
#[tokio::test]
async fn a_task_cancelled_as_it_begins_does_nothing() {
    let chain = Chain::bootstrapped().await;
    chain.catch_up(&mut chain.projector()).await;
    let mut conn = chain.db.connection().await;
    chain
        .sql(
            r#"INSERT INTO "EventDLQ" (channel, "blockNumber", "txId", "eventIndex", "commandId",
                   "txIndex", aggregates, reason, payload, "ledgerAt", "createdAt")
               VALUES ('gxchannel', 1, 'x', 1, 'x', 0, '{}', 'x', '{"name": "CommandsCancelled",
                   "version": 1, "aggregates": [], "data": {"commandIds": []}}',
                   '2020-01-01Z', '2020-01-01Z')"#,
        )
        .await;
    let (pool, now) = (chain.db.pool().clone(), chain.clock.now());
    let cancels = SyncPoints::new(move |step| {
        let pool = pool.clone();
        Box::pin(async move {
            if step == "task" {
                let mut conn = pool.acquire().await.unwrap();
                assert!(tasks::cancel(&mut conn, "late", "admin-2", now).await.unwrap());
            }
        })
    });
    let mut projector = chain.projector().with_sync_points(cancels);
    ask(&chain, &mut conn, "late", REPLAY).await;
    let deadline = tokio::time::Instant::now() + BOUND;
    while !task(&mut conn, "late").await.is_ended() {
        projector.step(Duration::from_millis(1)).await.unwrap();
        assert!(tokio::time::Instant::now() < deadline);
    }
    assert_eq!(task(&mut conn, "late").await.state, TaskState::Cancelled);
    let held = r#"SELECT count(*) FROM "EventDLQ" WHERE state = 'HELD'"#;
    assert_eq!(chain.one(held).await, "1");
}

/// A running comparison is cancelled, and the next task begins.
#[tokio::test]
async fn a_comparison_under_way_is_cancelled() {
    let chain = Chain::bootstrapped().await;
    let mut projector = chain.projector();
    chain.catch_up(&mut projector).await;
    let mut conn = chain.db.connection().await;
    // The comparison waits here while the table is locked.
    let mut blocker = chain.db.pool().begin().await.unwrap();
    sqlx::raw_sql(r#"LOCK TABLE "LedgerSystem""#).execute(&mut *blocker).await.unwrap();
    ask(&chain, &mut conn, "long", Task::VerifyProjection {}).await;
    let (stop, board) =
        (CancellationToken::new(), HealthBoard::new("projector", chain.clock.clone()));
    let settings = ProjectorSettings::default();
    let running =
        tokio::spawn(run(projector, settings, StdRng::seed_from_u64(1), stop.clone(), board));
    let until = async |conn: &mut PgConnection, task_id: &str, holds: fn(&TaskRow) -> bool| {
        let waiting = async {
            while !holds(&task(conn, task_id).await) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(BOUND, waiting).await.unwrap();
    };
    until(&mut conn, "long", |row| row.attempts == 1).await;
    assert!(tasks::cancel(&mut conn, "long", "admin-2", chain.clock.now()).await.unwrap());
    ask(&chain, &mut conn, "next", Task::VerifyProjection {}).await;
    until(&mut conn, "next", |row| row.attempts == 1).await;
    // A projector that is told to stop uncounts its attempt.
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(task(&mut conn, "next").await.attempts, 0);
    blocker.rollback().await.unwrap();
}
