//! A page in a browser on this machine can reach the loopback interface too: it must not
//! steer the ledger.

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Refuses what a browser sends for a page, and names that only seem to be this machine.
pub(super) async fn local_programs_only(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) || !names_loopback(request.headers()) {
        let said = "the control endpoint answers programs on this machine only";
        return (StatusCode::FORBIDDEN, Json(serde_json::json!({ "error": said }))).into_response();
    }
    next.run(request).await
}

fn names_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}
