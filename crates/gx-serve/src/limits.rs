//! How much one request may cost: every limit with its name and unit.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Uri};
use http_body_util::BodyExt;

use crate::problem::{Problem, kind};

/// Longest JSON body.
pub const BODY_LIMIT_BYTES: usize = 1024 * 1024;
/// How much of a body that is too large is read and dropped, so that the client reads the
/// refusal instead of a broken connection.
const DISCARD_LIMIT_BYTES: usize = 16 * 1024 * 1024;
/// How long that may take.
const DISCARD_TIME_LIMIT: Duration = Duration::from_secs(10);
/// Longest path and query.
pub const URI_LIMIT_BYTES: usize = 8 * 1024;
/// All header fields together, names and values.
pub const HEADERS_LIMIT_BYTES: usize = 32 * 1024;
/// How long a request may take from its header to its answer.
pub const REQUEST_TIME_LIMIT: Duration = Duration::from_secs(30);
/// How long the header of a request may take to arrive.
pub const HEADER_TIME_LIMIT: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take.
pub const HANDSHAKE_TIME_LIMIT: Duration = Duration::from_secs(10);
/// Connections that one listener holds; further ones wait to be accepted.
pub const CONNECTION_LIMIT: usize = 4096;
/// How long open requests may take to finish once the process is told to stop.
pub const DRAIN_TIME_LIMIT: Duration = Duration::from_secs(25);

/// Refuses a request whose address or header is too large.
pub(crate) fn check_head(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let uri_bytes = uri.path_and_query().map_or(0, |text| text.as_str().len());
    if uri_bytes > URI_LIMIT_BYTES {
        let detail = format!("Path and query may have at most {URI_LIMIT_BYTES} bytes.");
        return Err(Problem::new(&kind::URI_TOO_LONG, detail));
    }
    let header_bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if header_bytes > HEADERS_LIMIT_BYTES {
        let detail = format!("All header fields may have at most {HEADERS_LIMIT_BYTES} bytes.");
        return Err(Problem::new(&kind::HEADERS_TOO_LARGE, detail));
    }
    Ok(())
}

/// Whether the body says that it is too large.
pub(crate) fn announces_too_much(headers: &HeaderMap) -> bool {
    headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        .is_some_and(|bytes| bytes > BODY_LIMIT_BYTES as u64)
}

/// Reads and drops the rest of a body, within limits.
pub(crate) async fn discard(mut body: Body) {
    let reading = async {
        let mut dropped = 0;
        while let Some(Ok(frame)) = body.frame().await {
            dropped += frame.data_ref().map_or(0, bytes::Bytes::len);
            if dropped > DISCARD_LIMIT_BYTES {
                break;
            }
        }
    };
    // A client too slow to be told is cut off, as it would have been without this courtesy.
    let _cut_off = tokio::time::timeout(DISCARD_TIME_LIMIT, reading).await;
}
