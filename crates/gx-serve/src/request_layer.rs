//! The layer around every request of every service: it gives the request an id, limits, a log line
//! and metrics, and makes every failure a problem.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use gx_model::Clock;
use http::header::{ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tracing::Instrument as _;

use crate::build_info::BUILD;
use crate::entropy::Entropy;
use crate::extract::{ArrivedAt, BodyTimeLimit, too_large};
use crate::file_form::UploadLimits;
use crate::limits::{
    self, BODY_LIMIT_BYTES, BODY_TIME_LIMIT, REQUEST_TIME_LIMIT, UPLOAD_REQUEST_TIME_LIMIT,
};
use crate::problem::{Problem, ProblemKind, kind};
use crate::rate_limit::LimitFields;
use crate::reply::{KeepBody, LoggedActor};
use crate::request_id::RequestId;
use crate::upload_routes::UploadRoutes;

/// Header field with the id of the request, in requests and responses.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Header field of responses with the version and commit of the build.
pub const BUILD_HEADER: HeaderName = HeaderName::from_static("x-gx-build");

/// Paths of probes and scrapers, which are logged at `debug`.
const PROBE_PATHS: [&str; 4] = ["/livez", "/readyz", "/health", "/metrics"];

/// Settings of the layer around the requests of one role.
#[derive(Clone)]
pub struct RequestLayer {
    /// Name of the role, for metrics and logs.
    pub service: &'static str,
    /// Time source for request ids and arrival times.
    pub clock: Clock,
    /// Random source for request ids.
    pub entropy: Entropy,
    /// Limit from the head of a request to its response.
    pub time_limit: Duration,
    /// Limit for the body of a request to arrive.
    pub body_time_limit: Duration,
    /// Limit from the head of a request with a file to its response.
    pub upload_time_limit: Duration,
    /// Limits of the bodies with a file.
    pub upload_limits: UploadLimits,
}

impl RequestLayer {
    /// Creates the layer of a service with the default time limits.
    pub fn new(service: &'static str, clock: Clock, entropy: Entropy) -> Self {
        Self {
            service,
            clock,
            entropy,
            time_limit: REQUEST_TIME_LIMIT,
            body_time_limit: BODY_TIME_LIMIT,
            upload_time_limit: UPLOAD_REQUEST_TIME_LIMIT,
            upload_limits: UploadLimits::default(),
        }
    }
}

/// Extension of a request that the listener rejects: the layer answers with the problem.
#[derive(Clone)]
pub(crate) struct Refused(pub(crate) Problem);

/// Limits of a request, by its route.
#[derive(Clone, Copy)]
struct RouteLimits {
    body_bytes: usize,
    time: Duration,
}

impl RouteLimits {
    fn of(layer: &RequestLayer, takes_file: bool) -> Self {
        if takes_file {
            Self { body_bytes: layer.upload_limits.max_bytes, time: layer.upload_time_limit }
        } else {
            Self { body_bytes: BODY_LIMIT_BYTES, time: layer.time_limit }
        }
    }
}

/// Handles one request inside the layer.
pub(crate) async fn around(
    (layer, uploads): (RequestLayer, UploadRoutes),
    mut request: Request,
    next: Next,
) -> Response {
    let id = request_id(&layer, &request);
    let path = request.uri().path().to_owned();
    let method = method_name(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |matched| matched.as_str().to_owned());
    request.extensions_mut().insert(RequestId(id.clone()));
    request.extensions_mut().insert(ArrivedAt(layer.clock.now()));
    request.extensions_mut().insert(BodyTimeLimit(layer.body_time_limit));
    request.extensions_mut().insert(layer.upload_limits);
    let address = request.extensions().get::<crate::peer_address::PeerAddress>().map(|peer| peer.0);
    let started = tokio::time::Instant::now();
    // Every log line of the request carries the id that the client can quote. The span has the
    // highest level, so that no log filter removes the id.
    let span = tracing::error_span!("request", request_id = %id);
    let limits = RouteLimits::of(&layer, uploads.has(method, &route));
    let answered = answer(&layer, (method, route.as_str()), limits, request, next);
    let answered = answered.instrument(span);
    let mut response = answered.await;
    let limits = response.extensions_mut().remove::<LimitFields>();
    let mut response = as_problem(response, &id, &path);
    label(&mut response, &id);
    if let Some(limits) = limits {
        limits.write(response.headers_mut());
    }
    let (status, took) = (response.status().as_u16(), started.elapsed());
    let labels = [
        ("service", layer.service.to_owned()),
        ("method", method.to_owned()),
        ("route", route.clone()),
        ("status", status.to_string()),
    ];
    metrics::counter!("gx_http_requests_total", &labels).increment(1);
    metrics::histogram!("gx_http_request_seconds", &labels[..3]).record(took.as_secs_f64());
    let (person, admin) = match response.extensions().get::<LoggedActor>() {
        Some(LoggedActor::Person(id)) => (Some(id.as_str()), None),
        Some(LoggedActor::Admin(id)) => (None, Some(id.as_str())),
        None => (None, None),
    };
    let problem = response.extensions().get::<Problem>().map(|problem| problem.kind().code);
    if let Some(code) = problem {
        metrics::counter!("gx_problems_total", "service" => layer.service, "code" => code)
            .increment(1);
    }
    let client = address.map(tracing::field::display);
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(
                service = layer.service, request_id = %id, method, route = %route,
                status, took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX), client,
                person, admin, problem, "answered {method} {route} with {status}"
            )
        };
    }
    // Probes and scrapers repeat every few seconds.
    if PROBE_PATHS.contains(&route.as_str()) {
        log!(debug);
    } else {
        log!(info);
    }
    response
}

/// Returns the method for metrics and logs, or `other`: clients can send any number of method
/// names.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// Returns the client's request id if it is short and plain, and a new id otherwise.
fn request_id(layer: &RequestLayer, request: &Request) -> String {
    const LIMIT: usize = 64;
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|text| (1..=LIMIT).contains(&text.len()) && text.as_bytes().iter().all(plain))
        .map_or_else(|| layer.entropy.id(layer.clock.now()).to_string(), str::to_owned)
}

/// Returns the response of the routes, or the problem of a request that is rejected, panics or
/// takes too long.
async fn answer(
    layer: &RequestLayer,
    (method, route): (&str, &str),
    limits: RouteLimits,
    mut request: Request,
    next: Next,
) -> Response {
    use axum::response::IntoResponse;
    if let Err(problem) = check(&mut request, limits.body_bytes) {
        return problem.into_response();
    }
    let handling = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(limits.time, handling).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            tracing::error!(
                method,
                route,
                error = panic_message(&*panic),
                "the handler of {method} {route} panicked; report the text in `error`"
            );
            metrics::counter!("gx_http_panics_total", "service" => layer.service).increment(1);
            Problem::recorded().into_response()
        }
        Err(_) => {
            let limit_s = limits.time.as_secs();
            Problem::new(&kind::TIMEOUT, format!("No response within {limit_s} s. Try again."))
                .into_response()
        }
    }
}

/// Rejects requests that the route does not answer, whatever they ask for.
fn check(request: &mut Request, body_limit_bytes: usize) -> Result<(), Problem> {
    if let Some(Refused(problem)) = request.extensions_mut().remove::<Refused>() {
        return Err(problem);
    }
    limits::check_head(request.uri(), request.headers())?;
    if limits::is_encoded(request.headers()) {
        let detail = "Send the body without a Content-Encoding.";
        let problem = Problem::new(&kind::UNSUPPORTED_MEDIA_TYPE, detail);
        return Err(problem.with_header(ACCEPT_ENCODING, "identity"));
    }
    if limits::announces_more(request.headers(), body_limit_bytes) {
        return Err(too_large(body_limit_bytes));
    }
    Ok(())
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Turns a failure into a problem with the request's id and path.
fn as_problem(mut response: Response, id: &str, path: &str) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error())
        || response.extensions().get::<KeepBody>().is_some()
    {
        return response;
    }
    let problem = response.extensions_mut().remove::<Problem>();
    let actor = response.extensions_mut().remove::<LoggedActor>();
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
        StatusCode::NOT_FOUND => "This path does not exist.",
        StatusCode::METHOD_NOT_ALLOWED => "The header Allow names the methods of this path.",
        _ => "The request cannot be handled; change it before repeating it.",
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
