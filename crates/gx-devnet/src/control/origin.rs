//! Protects the control endpoint from pages in a browser on this machine, which can also reach the
//! loopback interface. Each request passes it first.

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Refuses requests from pages, and requests whose host name is not this machine's, with status
/// 403.
pub(super) async fn local_programs_only(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) || !names_loopback(request.headers()) {
        let text = "the control endpoint answers programs on this machine only";
        return (StatusCode::FORBIDDEN, Json(serde_json::json!({ "error": text }))).into_response();
    }
    next.run(request).await
}

fn names_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}
