//! Limits of one request and one connection, each with its unit. The server, the request layer and
//! the extractors apply them.

use std::time::Duration;

use http::{HeaderMap, Uri};

use crate::problem::{Problem, kind};

/// Largest body of a route that takes no file. Each route has a limit of its own below this one.
pub const BODY_LIMIT_BYTES: usize = 1024 * 1024;
/// Largest body of a route that takes a file: a file of 10 MiB, and the fields before it.
pub const UPLOAD_BODY_LIMIT_BYTES: usize = 10 * 1024 * 1024 + UPLOAD_FIELDS_LIMIT_BYTES;
/// Limit of the fields of a form, with their heads, before its file.
pub const UPLOAD_FIELDS_LIMIT_BYTES: usize = 64 * 1024;
/// Largest body of a route that sets no limit.
pub const USUAL_BODY_LIMIT_BYTES: usize = 64 * 1024;
/// Largest body of a route that needs no token.
pub const PUBLIC_BODY_LIMIT_BYTES: usize = 16 * 1024;
/// Limit for a body to arrive.
pub const BODY_TIME_LIMIT: Duration = Duration::from_secs(20);
/// Limit for the body of a route that takes a file to arrive.
pub const UPLOAD_TIME_LIMIT: Duration = Duration::from_mins(5);
/// Least rate at which a file arrives, in bytes per second.
pub const UPLOAD_MIN_BYTES_PER_S: u32 = 16 * 1024;
/// Limit of the time by which a file may fall behind that rate.
pub const UPLOAD_PAUSE_LIMIT: Duration = Duration::from_secs(10);
/// Longest path and query.
pub const URI_LIMIT_BYTES: usize = 8 * 1024;
/// Limit of all header fields together, names and values.
pub const HEADERS_LIMIT_BYTES: usize = 16 * 1024;
/// Limit of the number of header fields of a request.
pub(crate) const HEADER_FIELDS_LIMIT: usize = 100;
/// Limit of a request's head including separators; also the largest buffer of an HTTP/1.1
/// connection.
pub(crate) const HEAD_LIMIT_BYTES: usize = 32 * 1024;
/// Limit from the head of a request to its response.
pub const REQUEST_TIME_LIMIT: Duration = Duration::from_secs(30);
/// Limit from the head of a request with a file to its response: the file arrives, is looked at
/// and is stored.
pub const UPLOAD_REQUEST_TIME_LIMIT: Duration = Duration::from_mins(6);
/// Limit for the head of a request to arrive; for the first request, from the start of the
/// connection.
pub const HEADER_TIME_LIMIT: Duration = Duration::from_secs(10);
/// Limit of a TLS handshake.
pub const HANDSHAKE_TIME_LIMIT: Duration = Duration::from_secs(10);
/// Limit for a client to take no part of a response that is ready.
pub const STALL_TIME_LIMIT: Duration = Duration::from_secs(30);
/// Limit for a connection to end once it is being closed.
pub const PARTING_TIME_LIMIT: Duration = Duration::from_secs(10);
/// Bytes that are read and dropped from a client whose request was rejected, so that the client
/// reads the response instead of a broken connection.
pub(crate) const DROPPED_LIMIT_BYTES: usize = 16 * 1024 * 1024;
/// Limit of open streams of an HTTP/2 connection.
pub(crate) const HTTP2_STREAMS_LIMIT: u32 = 100;
/// Bytes that an HTTP/2 connection may send before they are read, for all its streams together.
pub(crate) const HTTP2_WINDOW_BYTES: u32 = 64 * 1024;
/// Bytes of a response that are kept for a client that does not take them, for each stream.
pub(crate) const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Bytes of responses that the operating system keeps for each connection.
pub(crate) const SOCKET_SEND_BYTES: u32 = 128 * 1024;
/// Bytes of unread requests that the operating system keeps for each connection.
pub(crate) const SOCKET_RECEIVE_BYTES: u32 = 64 * 1024;
/// Interval of HTTP/2 pings that show whether the client is still there.
pub(crate) const PEER_PING_INTERVAL: Duration = Duration::from_secs(10);
/// Limit for open requests to finish once the process is told to stop.
pub const DRAIN_TIME_LIMIT: Duration = Duration::from_secs(25);

/// Rejects a request whose address or header fields are too large. The request layer calls it
/// before any route.
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

/// Returns whether Content-Length is larger than `limit_bytes`.
pub(crate) fn announces_more(headers: &HeaderMap, limit_bytes: usize) -> bool {
    headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        .is_some_and(|bytes| bytes > limit_bytes as u64)
}

/// Returns whether the body has a content coding, which no route decodes.
pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(http::header::CONTENT_ENCODING).iter().any(|value| {
        let codings = value.to_str().unwrap_or("unreadable").split(',').map(str::trim);
        codings
            .filter(|coding| !coding.is_empty())
            .any(|coding| !coding.eq_ignore_ascii_case("identity"))
    })
}
