//! Pages that every listener serves in addition to its routes: health, metrics, documents. Read by
//! probes, scrapers and developers.

use std::fmt::Write as _;

use axum::Router;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::docs_page;
use crate::health::{HealthBoard, Readiness};
use crate::idempotency::PROBLEMS;
use crate::problem::{ProblemKind, kind};
use crate::reply::KeepBody;
use crate::reply::Reply;
use crate::telemetry;

/// Returns the routes `/livez`, `/readyz` and `/health`.
pub(crate) fn health(board: HealthBoard) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/health", get(readyz))
        .with_state(board)
}

async fn livez(State(board): State<HealthBoard>) -> Response {
    let life = board.life();
    let status =
        if life.stuck.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    kept(Reply(status, life))
}

async fn readyz(State(board): State<HealthBoard>) -> Response {
    let report = board.report().await;
    let status = match report.status {
        Readiness::Ready | Readiness::Degraded => StatusCode::OK,
        Readiness::NotReady => StatusCode::SERVICE_UNAVAILABLE,
    };
    kept(Reply(status, report))
}

/// Keeps the body of a health report at status 503, because a report is not a problem.
fn kept(reply: impl IntoResponse) -> Response {
    let mut response = reply.into_response();
    response.extensions_mut().insert(KeepBody);
    response
}

/// Returns the route `/metrics`. It makes the health checks first, so that their gauges are
/// current.
pub(crate) fn metrics(board: HealthBoard) -> Router {
    Router::new().route("/metrics", get(render_metrics)).with_state(board)
}

async fn render_metrics(State(board): State<HealthBoard>) -> Response {
    let recorder = telemetry::metrics();
    let _gauges_are_set = board.report().await;
    recorder.run_upkeep();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.render())
        .into_response()
}

/// Returns the route `/problems`, which describes the `type` of each problem.
pub(crate) fn problems(own: &[&'static ProblemKind]) -> Router {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Problems</title>\
         <style>{STYLE}</style></head><body><h1>Problems</h1>\
         <p>Failures are <code>application/problem+json</code> (RFC 9457).</p>"
    );
    let mut kinds: Vec<_> = kind::ALL.iter().chain(&PROBLEMS).chain(own).copied().collect();
    kinds.sort_by_key(|kind| (kind.status, kind.code));
    kinds.dedup_by_key(|kind| kind.code);
    for kind in kinds {
        let ProblemKind { code, status, title } = kind;
        let fragment = kind.fragment();
        write!(
            page,
            "<h2 id=\"{fragment}\">{status} <code>{code}</code></h2><p>{}.</p>",
            escape(title)
        )
        .expect("writing to a String cannot fail");
    }
    page.push_str("</body></html>");
    let page = Bytes::from(page);
    Router::new().route("/problems", get(move || std::future::ready(styled(page.clone()))))
}

/// Returns the routes `/openapi.json`, `/docs` and `/metrics`. `sends_requests` says whether the
/// routes of the document are at the same origin, so that `/docs` can try them.
pub(crate) fn documents(document: &Value, board: &HealthBoard, sends_requests: bool) -> Router {
    let json = Bytes::from(document.to_string());
    let json = move || {
        let json = json.clone();
        async move { ([(CONTENT_TYPE, "application/json")], json) }
    };
    let title = document["info"]["title"].as_str().unwrap_or("API");
    Router::new()
        .route("/openapi.json", get(json))
        .merge(docs_page::routes(title, sends_requests))
        .merge(metrics(board.clone()))
}

/// Style of the page of problems.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
                     padding:0 1rem}code{font:14px/1.4 ui-monospace,monospace}\
                     h2{margin-top:2rem}";

/// Returns a page with [`STYLE`], which the policy permits by its hash, and without scripts.
fn styled(page: Bytes) -> Response {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!("default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'");
    ([("content-security-policy", policy)], Html(page)).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
