//! Requests for a verify or a rebuild, through the router.

use gx_auth::AdminRole;
use gx_auth::testing::CHANNEL;
use gx_outbox::tasks::{self, Task};
use serde_json::json;

use crate::tests::host;

/// PRJ-07, PRJ-12: an administrator requests a verify, a rebuild or a dry run; each is a task with
/// the administrator's id, is audited with its reason, and its report can be read. Reviewers and
/// auditors are refused.
#[tokio::test]
async fn a_verify_and_a_rebuild_are_stored_as_tasks_and_audited() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let reviewer = host.add_administrator(AdminRole::Reviewer).await.access_token;
    let rebuild = |switch| Task::RebuildProjection { switch };
    let why = "a balance looked wrong";
    for (path, body, task, action) in [
        ("verify", json!({ "reason": why }), Task::VerifyProjection {}, "verify_asked"),
        ("rebuild", json!({ "reason": why, "dryRun": true }), rebuild(false), "rebuild_asked"),
        ("rebuild", json!({ "reason": why }), rebuild(true), "rebuild_asked"),
    ] {
        let path = format!("/api/v1/admin/projection/{path}");
        assert_eq!(host.post(&path, &reviewer, &body).await.code(), 403);
        let answer = host.post(&path, &token, &body).await;
        assert_eq!((answer.code(), &answer.json["state"]), (202, &json!("WAITING")));
        let audit = host.get("/api/v1/admin/audit?limit=1", &token).await;
        let row = &audit.json["items"][0];
        assert_eq!(row["action"], format!("projection.{action}"));
        assert_eq!(row["after"]["reason"], why);

        let mut tx = host.base.begin().await.unwrap();
        assert!(
            tasks::begin(&mut tx, CHANNEL, &tasks::BETWEEN_BLOCKS, host.clock.now())
                .await
                .unwrap()
                .is_none()
        );
        let row = tasks::begin(&mut tx, CHANNEL, &tasks::BESIDE_BLOCKS, host.clock.now())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(row.task().unwrap(), task);
        let report = json!({ "differences": 0 });
        tasks::finish(&mut tx, &row.task_id, report.clone(), host.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        let done = host.get(answer.text_at("/location"), &token).await;
        assert_eq!((&done.json["state"], &done.json["report"]), (&json!("DONE"), &report));
    }
}
