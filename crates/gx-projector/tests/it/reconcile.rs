//! The reconciliation next to a running projector.

use std::time::Duration;

use gx_outbox::tasks::{self, Task, TaskRow};
use gx_projector::{ProjectorSettings, run};
use gx_serve::HealthBoard;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::chain::{BOUND, CHANNEL, Chain, create, grant};

/// Creates a task and waits for its report.
async fn ask(chain: &Chain, task_id: &str, task: Task) -> Value {
    let mut conn = chain.db.connection().await;
    let row = TaskRow::new(task_id, CHANNEL, task, "admin-1", chain.clock.now());
    tasks::ask(&mut conn, &row).await.unwrap();
    let reported = async {
        loop {
            let row = tasks::get(&mut conn, task_id).await.unwrap().unwrap();
            if let Some(report) = row.report {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(BOUND, reported).await.unwrap()
}

async fn check(board: &HealthBoard) -> Value {
    let report = serde_json::to_value(board.report().await).unwrap();
    report["checks"]["reconciliation"].clone()
}

/// PRJ-12: while the projector runs, the reconciliation reports a wrong balance, a wrong ledger id
/// and a missing country in its counts and in the health report. A correction requested by an
/// administrator fixes them and is audited under that name; the next report is empty.
#[tokio::test]
async fn the_job_reports_repairs_and_reports_nothing_more() {
    let chain = Chain::bootstrapped().await;
    let (ann, ben) = (chain.person(1).await, chain.person(2).await);
    chain.execute(&[create(&ann), create(&ben), grant(&ann), grant(&ben)]).await;
    let board = HealthBoard::new("projector", chain.clock.clone());
    let stop = CancellationToken::new();
    let rng = StdRng::seed_from_u64(4);
    let settings = ProjectorSettings::default();
    let mut projector = chain.projector();
    chain.catch_up(&mut projector).await;
    let running = tokio::spawn(run(projector, settings, rng, stop.clone(), board.clone()));
    let clean = ask(&chain, "first", Task::VerifyProjection {}).await;
    assert_eq!((&clean["differences"], &clean["people"]), (&0.into(), &2.into()), "{clean}");
    assert_eq!(check(&board).await["status"], "healthy");

    chain
        .sql(
            r#"UPDATE "Wallet" SET balance = balance + 1 WHERE "profileId" = 'profile-1';
               UPDATE "UserProfile" SET "fabricUserId" = 'MY 463 AUN834 0QKZB 9999'
                   WHERE "profileId" = 'profile-2';
               DELETE FROM "LedgerCountry" WHERE "countryCode" = 'MY'"#,
        )
        .await;
    let wrong = ask(&chain, "second", Task::VerifyProjection {}).await;
    assert_eq!(wrong["differences"], 3, "{wrong}");
    assert_eq!(check(&board).await["status"], "unhealthy");

    let repaired = ask(&chain, "third", Task::RebuildProjection { switch: true }).await;
    assert_eq!(repaired["switched"], true, "{repaired}");
    let audited = r#"SELECT string_agg(DISTINCT "actorType" || ' ' || "actorId", ', ')
                     FROM "AuditEntry" WHERE action LIKE 'projection.%'"#;
    assert_eq!(chain.one(audited).await, "ADMIN admin-1");
    let after = ask(&chain, "fourth", Task::VerifyProjection {}).await;
    assert_eq!(after["differences"], 0, "{after}");
    assert_eq!(check(&board).await["status"], "healthy");
    stop.cancel();
    running.await.unwrap().unwrap();
}
