//! The steps before the routes: finds the client's address, takes a slot for the request, and
//! checks the rules of HTTP. hyper calls it for every request. A request that fails here still
//! passes through the request layer, which answers it with the problem.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::host;
use super::response_body::ResponseBody;
use crate::admission::{Activity, Admission, BodyMemoryCounter, ReachedLimit};
use crate::limits::{HEADERS_LIMIT_BYTES, URI_LIMIT_BYTES};
use crate::peer_address::PeerAddress;
use crate::problem::{Problem, ProblemKind, kind};
use crate::request_layer::Refused;

/// Header field in which proxies name the client.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Seconds after which a client may try again if no slot was free.
const SLOT_RETRY_AFTER_S: u32 = 1;

/// The routes, as one connection uses them.
#[derive(Clone)]
pub(super) struct ConnectionService {
    pub(super) router: Router,
    pub(super) admission: Admission,
    pub(super) activity: Arc<Activity>,
    pub(super) peer: IpAddr,
    /// Cancelled when clients are told to look for another instance.
    pub(super) notice: CancellationToken,
}

impl ConnectionService {
    pub(super) fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Returns the service's own response to an unreadable head, as bytes of HTTP/1.1.
    pub(super) fn refusal(&self, kind: &'static ProblemKind) -> BoxFuture<'static, Vec<u8>> {
        // The routes answer a substitute request, so that its id, header fields, log line and
        // counters are the same as for every other request.
        let method = Method::from_bytes(b"UNREADABLE").expect("letters make a method");
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        request.extensions_mut().insert(PeerAddress(self.peer));
        request.extensions_mut().insert(Refused(Problem::new(kind, detail_of(kind))));
        let answered = self.router.clone().oneshot(request);
        async move {
            let Ok(response) = answered.await;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            as_bytes(&parts, &body)
        }
        .boxed()
    }

    /// Returns the client of a request: the peer, or the client that trusted proxies name, read
    /// from the right.
    fn client(&self, headers: &HeaderMap) -> IpAddr {
        let settings = self.admission.settings();
        let named = headers.get_all(FORWARDED_FOR).iter().rev();
        let named = named.flat_map(|value| value.as_bytes().rsplit(|b| *b == b',').map(address_in));
        let mut client = self.peer;
        for address in named {
            match address {
                Some(address) if settings.trusts(client) => client = address,
                _ => break,
            }
        }
        client
    }

    /// Returns the problem if the routes must not answer the request.
    fn refused(parts: &Parts, full: Option<ReachedLimit>) -> Option<Problem> {
        let why = match full {
            None => return host::check(parts).err(),
            Some(ReachedLimit::Client) => "Too many requests from your address are in progress.",
            Some(ReachedLimit::Total) => "Too many requests are in progress.",
        };
        Some(Problem::unavailable(why, SLOT_RETRY_AFTER_S))
    }
}

impl hyper::service::Service<Request<Incoming>> for ConnectionService {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<ResponseBody>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let is_http2 = parts.version == Version::HTTP_2;
        let address = self.client(&parts.headers);
        let client = self.admission.client(address);
        let (slot, full) = match self.admission.request(client, &self.activity) {
            Ok(slot) => (Some(slot), None),
            Err(full) => (None, Some(full)),
        };
        let open = self.activity.begin(is_http2, slot);
        parts.extensions.insert(PeerAddress(address));
        if let Some(problem) = Self::refused(&parts, full) {
            parts.extensions.insert(Refused(problem));
        }
        let request = Arc::clone(&open);
        parts.extensions.insert(BodyMemoryCounter {
            admission: self.admission.clone(),
            client,
            request,
        });
        let body = RequestBody { body, is_read: false, activity: Arc::clone(&self.activity) };
        let answered = self.router.clone().oneshot(Request::from_parts(parts, body));
        let notice = self.notice.clone();
        async move {
            let Ok(response) = answered.await;
            let mut response = response.map(|body| ResponseBody::new(body, open));
            let is_last = response.status() == StatusCode::REQUEST_TIMEOUT;
            if !is_http2 && (is_last || notice.is_cancelled()) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
        .boxed()
    }
}

/// A request's body that records whether it was read to its end.
struct RequestBody {
    body: Incoming,
    is_read: bool,
    activity: Arc<Activity>,
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.is_read |= matches!(polled, Poll::Ready(None));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.is_read && !self.body.is_end_stream() {
            self.activity.left_unread();
        }
    }
}

/// Reads one element of `X-Forwarded-For`: an address, behind which some proxies write its port.
/// Bytes elsewhere in the field, which clients choose, do not matter.
fn address_in(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?.trim();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse::<IpAddr>().ok().or_else(with_port)
}

fn detail_of(kind: &ProblemKind) -> String {
    if *kind == kind::URI_TOO_LONG {
        format!("Path and query may have at most {URI_LIMIT_BYTES} bytes.")
    } else if *kind == kind::HEADERS_TOO_LARGE {
        format!("All header fields may have at most {HEADERS_LIMIT_BYTES} bytes, 100 in number.")
    } else if *kind == kind::REQUEST_TIMEOUT {
        "The header fields of the request did not arrive in time.".to_owned()
    } else {
        "The request line or a header field is not HTTP/1.1 (RFC 9112).".to_owned()
    }
}

/// Writes a response that ends its connection.
fn as_bytes(parts: &http::response::Parts, body: &[u8]) -> Vec<u8> {
    let reason = parts.status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", parts.status.as_str()).into_bytes();
    for (name, value) in &parts.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let last = format!("connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    bytes.extend_from_slice(last.as_bytes());
    bytes.extend_from_slice(body);
    bytes
}
