//! What is around every request of every service: its id, its limits, its log line, its
//! metrics, and the promise that every failure is a problem.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use gx_model::Clock;
use http::header::{ALLOW, CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tracing::Instrument as _;

use crate::build_info::BUILD;
use crate::entropy::Entropy;
use crate::extract::{ArrivedAt, RequestId, too_large};
use crate::limits::{self, REQUEST_TIME_LIMIT};
use crate::problem::{Problem, ProblemKind, kind};

/// Header field that carries the request's id in both directions.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Header field that names the build that answered.
pub const BUILD_HEADER: HeaderName = HeaderName::from_static("x-gx-build");

/// What machines ask all the time.
const PROBED: [&str; 4] = ["/livez", "/readyz", "/health", "/metrics"];

/// What the envelope needs.
#[derive(Clone)]
pub struct Envelope {
    /// The role's name, for metrics and logs.
    pub service: &'static str,
    /// To number requests.
    pub clock: Clock,
    /// To number requests.
    pub entropy: Entropy,
    /// How long a request may take.
    pub time_limit: Duration,
}

impl Envelope {
    /// The envelope of a service, with the usual time limit.
    pub fn new(service: &'static str, clock: Clock, entropy: Entropy) -> Self {
        Self { service, clock, entropy, time_limit: REQUEST_TIME_LIMIT }
    }
}

/// Marks an answer of 4xx or 5xx whose body is not a problem on purpose (health reports).
#[derive(Clone, Copy)]
pub(crate) struct KeepBody;

/// The layer.
pub(crate) async fn around(envelope: Envelope, mut request: Request, next: Next) -> Response {
    let id = request_id(&envelope, &request);
    let path = request.uri().path().to_owned();
    let method = method_name(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |matched| matched.as_str().to_owned());
    request.extensions_mut().insert(RequestId(id.clone()));
    request.extensions_mut().insert(ArrivedAt(envelope.clock.now()));
    let address = request.extensions().get::<crate::server::PeerAddress>().map(|peer| peer.0);
    let started = tokio::time::Instant::now();
    // Whatever is logged on the way carries the id that the client is told to quote. The level
    // is the highest, so that no filter leaves the id out.
    let span = tracing::error_span!("request", request_id = %id);
    let response = answer(&envelope, request, next).instrument(span).await;
    let mut response = as_problem(response, &id, &path);
    label(&mut response, &id);
    let (status, took) = (response.status().as_u16(), started.elapsed());
    let labels = [
        ("service", envelope.service.to_owned()),
        ("method", method.to_owned()),
        ("route", route.clone()),
        ("status", status.to_string()),
    ];
    metrics::counter!("gx_http_requests_total", &labels).increment(1);
    metrics::histogram!("gx_http_request_seconds", &labels[..3]).record(took.as_secs_f64());
    let actor = response.extensions().get::<Actor>().map(|actor| actor.0.clone());
    let problem = response.extensions().get::<Problem>().map(|problem| problem.kind().code);
    if let Some(code) = problem {
        metrics::counter!("gx_problems_total", "service" => envelope.service, "code" => code)
            .increment(1);
    }
    let client = address.map(tracing::field::display);
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(
                service = envelope.service, request_id = %id, method, route = %route,
                status, took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX), client,
                actor = actor.as_deref(), problem, "answered"
            )
        };
    }
    // Probes and scrapes come every few seconds and say nothing new.
    if PROBED.contains(&route.as_str()) {
        log!(debug);
    } else {
        log!(info);
    }
    response
}

/// Who asked, set on the answer by the layer that has verified it, for the log line.
#[derive(Clone, Debug)]
pub struct Actor(pub String);

/// The method for metrics and logs. Clients may make up others, without end.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// The client's id when it is short and plain, else a new one.
fn request_id(envelope: &Envelope, request: &Request) -> String {
    const LIMIT: usize = 64;
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|text| (1..=LIMIT).contains(&text.len()) && text.as_bytes().iter().all(plain))
        .map_or_else(|| envelope.entropy.id(envelope.clock.now()).to_string(), str::to_owned)
}

async fn answer(envelope: &Envelope, request: Request, next: Next) -> Response {
    use axum::response::IntoResponse;
    if let Err(problem) = limits::check_head(request.uri(), request.headers()) {
        return problem.into_response();
    }
    if limits::announces_too_much(request.headers()) {
        limits::discard(request.into_body()).await;
        return too_large().into_response();
    }
    let handling = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(envelope.time_limit, handling).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            tracing::error!(panic = panic_message(&*panic), "a handler panicked");
            metrics::counter!("gx_http_panics_total", "service" => envelope.service).increment(1);
            Problem::new(
                &kind::INTERNAL,
                "The failure has been recorded. Quote the requestId when asking.",
            )
            .into_response()
        }
        Err(_) => {
            let limit_s = envelope.time_limit.as_secs();
            Problem::new(&kind::TIMEOUT, format!("No answer within {limit_s} s. Try again."))
                .into_response()
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Writes every failure as a problem with the request's id and path.
fn as_problem(mut response: Response, id: &str, path: &str) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error())
        || response.extensions().get::<KeepBody>().is_some()
    {
        return response;
    }
    let problem = response.extensions_mut().remove::<Problem>();
    let actor = response.extensions_mut().remove::<Actor>();
    let problem = problem.unwrap_or_else(|| {
        let problem = Problem::new(kind_of(status), detail_of(status));
        match response.headers().get(ALLOW).and_then(|value| value.to_str().ok()) {
            Some(allow) => problem.with_header(ALLOW, allow),
            None => problem,
        }
    });
    let mut written = problem.respond(id, path);
    written.extensions_mut().insert(problem);
    if let Some(actor) = actor {
        written.extensions_mut().insert(actor);
    }
    written
}

fn kind_of(status: StatusCode) -> &'static ProblemKind {
    let same = |kind: &&&'static ProblemKind| kind.status == status.as_u16();
    match status {
        StatusCode::BAD_REQUEST => &kind::BAD_REQUEST,
        _ if status.is_server_error() => {
            kind::ALL.iter().find(same).copied().unwrap_or(&kind::INTERNAL)
        }
        _ => kind::ALL.iter().find(same).copied().unwrap_or(&kind::BAD_REQUEST),
    }
}

fn detail_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "There is nothing at this path.",
        StatusCode::METHOD_NOT_ALLOWED => "The header Allow names the methods of this path.",
        _ => "The request could not be handled as it was sent.",
    }
}

fn label(response: &mut Response, id: &str) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Ok(build) = HeaderValue::from_str(&BUILD.to_string()) {
        headers.insert(BUILD_HEADER, build);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
