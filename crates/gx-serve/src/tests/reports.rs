//! Health reports.

use std::time::Duration;

use serde_json::json;

use super::get;
use crate::{CheckResult, Entropy, HealthBoard, RequestLayer, worker_router};

fn board() -> (gx_model::Clock, HealthBoard, axum::Router) {
    let clock = super::clock();
    let board = HealthBoard::new("svc-test", clock.clone());
    let request_layer = RequestLayer::new("svc-test", clock.clone(), Entropy::system());
    let router = worker_router(&board, request_layer);
    (clock, board, router)
}

#[tokio::test]
async fn the_worst_check_that_matters_decides() {
    let (_, board, router) = board();
    let (status, json) = get(&router, "/readyz").await;
    assert_eq!((status, json["status"].as_str()), (200, Some("ready")));
    assert_eq!(json["timestamp"], "2026-03-01T12:00:00.000Z");
    assert!(json["schema"].is_null());
    assert!(json["version"].is_string());
    assert!(json["commit"].is_string());

    let mail = board.check("mail", false);
    let ledger = board.check("ledger", true);
    let (status, json) = get(&router, "/readyz").await;
    assert_eq!((status, json["status"].as_str()), (503, Some("not_ready")), "not checked yet");
    ledger.healthy();
    mail.unhealthy("refused", json!({ "port": 25 }));
    for path in ["/readyz", "/health"] {
        let (status, json) = get(&router, path).await;
        assert_eq!((status, json["status"].as_str()), (200, Some("degraded")));
        let expected = json!({ "status": "unhealthy", "critical": false, "message": "refused",
                               "value": { "port": 25 } });
        assert_eq!(json["checks"]["mail"], expected);
    }
    mail.healthy();
    assert_eq!(get(&router, "/readyz").await.1["status"], "ready");
    ledger.unknown("no peer answers");
    assert_eq!(get(&router, "/readyz").await.0, 503);
    ledger.healthy();
    board.drain();
    let (status, json) = get(&router, "/readyz").await;
    assert_eq!((status, json["status"].as_str()), (503, Some("not_ready")));
    assert_eq!(get(&router, "/livez").await.0, 200, "a process that stops is alive");
}

#[tokio::test]
async fn a_probe_that_does_not_answer_is_unknown() {
    let (_, board, router) = board();
    board.check_with("scanner", false, || Box::pin(std::future::pending()));
    let (status, json) = get(&router, "/health").await;
    assert_eq!((status, json["checks"]["scanner"]["status"].as_str()), (200, Some("unknown")));
    board.check_with("scanner", false, || Box::pin(async { CheckResult::healthy() }));
    assert_eq!(get(&router, "/health").await.1["status"], "ready");
}

/// RDY-05: a loop past its deadline fails `/livez` and leaves `/readyz` alone.
#[tokio::test]
async fn a_loop_that_stops_beating_is_stuck_until_it_beats_or_ends() {
    let (clock, board, router) = board();
    let heart = board.heart("main loop", Duration::from_secs(30));
    clock.advance(Duration::from_secs(30));
    assert_eq!(get(&router, "/livez").await.0, 200);
    clock.advance(Duration::from_secs(1));
    let (status, json) = get(&router, "/livez").await;
    let expected = json!({ "status": "stuck", "service": "svc-test", "stuck": ["main loop"] });
    assert_eq!((status, json), (503, expected));
    assert_eq!(get(&router, "/readyz").await.0, 200, "readiness is another question");
    heart.beat();
    assert_eq!(get(&router, "/livez").await.0, 200);
    clock.advance(Duration::from_secs(60));
    drop(heart);
    assert_eq!(get(&router, "/livez").await.0, 200);
}

#[tokio::test]
async fn metrics_carry_checks_and_build() {
    let (_, board, router) = board();
    board.check("disk", false).unhealthy("full", json!(1));
    let _installed = get(&router, "/metrics").await;
    let text = get(&router, "/metrics").await.1;
    let text = text.as_str().unwrap();
    assert!(text.contains("gx_health_check{service=\"svc-test\",check=\"disk\"} 0"), "{text}");
    assert!(text.contains("gx_build_info"), "{text}");
    assert!(text.contains("gx_http_requests_total"), "{text}");
}
