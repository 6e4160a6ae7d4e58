//! Pages that every listener serves in addition to its routes: health, metrics, documents. Read by
//! probes, scrapers and developers.

use std::fmt::Write as _;

use axum::Router;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::Value;

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
    let mut page = page_start("Problems");
    page.push_str("<p>Failures are <code>application/problem+json</code> (RFC 9457).</p>");
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
    Router::new().route("/problems", get(move || std::future::ready(html(page.clone()))))
}

/// Returns the routes `/openapi.json`, `/docs` and `/metrics`.
pub(crate) fn documents(document: &Value, board: &HealthBoard) -> Router {
    let (page, json) = (Bytes::from(docs_page(document)), Bytes::from(document.to_string()));
    let json = move || {
        let json = json.clone();
        async move { ([(CONTENT_TYPE, "application/json")], json) }
    };
    Router::new()
        .route("/openapi.json", get(json))
        .route("/docs", get(move || std::future::ready(html(page.clone()))))
        .merge(metrics(board.clone()))
}

fn html(page: Bytes) -> Response {
    /// The pages have inline styles and no scripts.
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    ([("content-security-policy", POLICY)], Html(page)).into_response()
}

fn page_start(title: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>\
         body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}\
         code,pre{{font:14px/1.4 ui-monospace,monospace}}pre{{background:#8881;padding:.6rem;\
         overflow:auto}}h2{{margin-top:2rem}}</style></head><body><h1>{title}</h1>",
        title = escape(title)
    )
}

/// Renders the OpenAPI document as a page: each operation with parameters and responses, then each
/// schema.
fn docs_page(document: &serde_json::Value) -> String {
    let mut page = page_start(document["info"]["title"].as_str().unwrap_or("API"));
    page.push_str("<p>The same for machines: <a href=\"/openapi.json\">/openapi.json</a>.</p>");
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            operation_section(&mut page, method, path, operation);
        }
    }
    page.push_str("<h1>Schemas</h1>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let json = serde_json::to_string_pretty(schema).expect("a schema has only text keys");
        write!(page, "<h2 id=\"{name}\">{name}</h2><pre>{}</pre>", escape(&json))
            .expect("writing to a String cannot fail");
    }
    page.push_str("</body></html>");
    page
}

fn operation_section(page: &mut String, method: &str, path: &str, operation: &serde_json::Value) {
    let text = |key: &str| escape(operation[key].as_str().unwrap_or(""));
    write!(
        page,
        "<h2><code>{} {}</code></h2><p>{}</p><p>Who: {}</p>",
        method.to_uppercase(),
        escape(path),
        text("description"),
        text("x-access"),
    )
    .expect("writing to a String cannot fail");
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        write!(page, "<p>Body: {}</p>", reference(body)).expect("writing to a String cannot fail");
    }
    page.push_str("<ul>");
    for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
        let description = escape(answer["description"].as_str().unwrap_or(""));
        let schema = answer["content"].as_object().and_then(|types| types.values().next());
        let schema = schema.map_or_else(String::new, |media| reference(&media["schema"]));
        write!(page, "<li>{status} {description} {schema}</li>")
            .expect("writing to a String cannot fail");
    }
    page.push_str("</ul>");
}

/// Returns a link to a named schema.
fn reference(schema: &serde_json::Value) -> String {
    match schema["$ref"].as_str().and_then(|target| target.rsplit('/').next()) {
        Some(name) => format!("<a href=\"#{0}\">{0}</a>", escape(name)),
        None => String::new(),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
