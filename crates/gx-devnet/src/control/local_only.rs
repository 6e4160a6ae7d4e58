//! Protects the control endpoint from pages in a browser on this machine, which can also reach the
//! loopback interface. Each request passes [`local_programs_only`] first.

use std::net::IpAddr;

use axum::Json;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The header with which a browser says which page caused a request (Fetch Metadata).
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Answers 403 to what a page causes, which browsers mark with `Origin` or `Sec-Fetch-Site`, and to
/// a `Host` that is not a loopback address: the name of a page can lead to this machine (DNS
/// rebinding).
pub(super) async fn local_programs_only(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let is_from_page = headers.contains_key(header::ORIGIN) || headers.contains_key(SEC_FETCH_SITE);
    if is_from_page || !names_loopback(headers) {
        let text = "the control endpoint answers programs on this machine only";
        return (StatusCode::FORBIDDEN, Json(serde_json::json!({ "error": text }))).into_response();
    }
    next.run(request).await
}

fn names_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(Ok(authority)) = host.map(str::parse::<Authority>) else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_hosts_are_local() {
        let is_local = |host: &'static str| {
            let value = header::HeaderValue::from_static(host);
            names_loopback(&HeaderMap::from_iter([(header::HOST, value)]))
        };
        for host in ["localhost", "localhost:9", "127.0.0.1:9", "127.0.0.2", "[::1]", "[::1]:9"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["", "gx.example", "127.0.0.1.gx.example:9", "10.0.0.1", "[::2]", "::1"] {
            assert!(!is_local(host), "{host}");
        }
        assert!(!names_loopback(&HeaderMap::new()));
    }
}
