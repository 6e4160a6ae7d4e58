//! The problems in the document. An operation has one response for each status; the response names
//! the codes.
//!
//! If none of the codes belongs to single routes, the response is said once, in
//! `components.responses`, and the operations refer to it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::extract::JSON;
use crate::idempotency;
use crate::problem::{ProblemKind, kind};
use crate::route_info::{RouteAccess, RouteInfo};

/// The responses that several operations have.
#[derive(Default)]
pub(super) struct SharedResponses(Map<String, Value>);

impl SharedResponses {
    /// Adds the problems of a route to its operation: `own`, which only this route has, and those
    /// of every route of its kind.
    pub(super) fn add_problems(
        &mut self,
        operation: &mut Map<String, Value>,
        route: &RouteInfo,
        own: &[&'static ProblemKind],
    ) {
        let general = general_problems(operation, route);
        let own = own.iter().filter(|kind| !general.contains(*kind));
        let mut by_status: BTreeMap<u16, Vec<&ProblemKind>> = BTreeMap::new();
        for kind in own.chain(&general) {
            by_status.entry(kind.status).or_default().push(kind);
        }
        let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else {
            return;
        };
        for (status, kinds) in by_status {
            let is_shared = kinds.iter().all(|kind| general.contains(kind));
            let response =
                if is_shared { self.share(&kinds, route) } else { response(&kinds, route) };
            responses.insert(status.to_string(), response);
        }
    }

    /// Returns a reference to the response with these problems.
    fn share(&mut self, kinds: &[&ProblemKind], route: &RouteInfo) -> Value {
        let names: Vec<String> = kinds.iter().map(|kind| pascal_case(kind.code)).collect();
        let name = names.join("Or");
        let reference = json!({ "$ref": format!("#/components/responses/{name}") });
        self.0.entry(name).or_insert_with(|| response(kinds, route));
        reference
    }

    /// Returns the responses by their names.
    pub(super) fn into_components(self) -> Map<String, Value> {
        self.0
    }
}

/// Returns the problems that every route with such an operation has. The first of each status is
/// its example.
fn general_problems(
    operation: &Map<String, Value>,
    route: &RouteInfo,
) -> Vec<&'static ProblemKind> {
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let has_query = parameters.into_iter().flatten().any(|one| one["in"] == "query");
    let body = operation.get("requestBody");
    let has_body = body.is_some();
    let has_json = body.is_some_and(|body| body["content"].get(JSON).is_some());
    let mut general = Vec::new();
    if has_query || has_body {
        general.push(&kind::VALIDATION_FAILED);
    }
    if has_json {
        general.push(&kind::MALFORMED_JSON);
    }
    general.push(&kind::BAD_REQUEST);
    if route.method != "GET" {
        general.extend(idempotency::PROBLEMS);
    }
    if route.access != RouteAccess::Public {
        general.extend([&kind::UNAUTHENTICATED, &kind::FORBIDDEN]);
    }
    general.extend([
        &kind::REQUEST_TIMEOUT,
        &kind::BODY_TOO_LARGE,
        &kind::URI_TOO_LONG,
        &kind::UNSUPPORTED_MEDIA_TYPE,
        &kind::QUOTA_EXCEEDED,
        &kind::HEADERS_TOO_LARGE,
        &kind::INTERNAL,
        &kind::UNAVAILABLE,
        &kind::LOCKED,
        &kind::TIMEOUT,
    ]);
    general
}

/// Returns the response with one of these problems, which have the same status.
fn response(kinds: &[&ProblemKind], route: &RouteInfo) -> Value {
    let texts: Vec<String> =
        kinds.iter().map(|kind| format!("`{}`: {}.", kind.code, kind.title)).collect();
    let first = kinds.first().expect("a status comes with a problem");
    let mut response = json!({
        "description": texts.join(" "),
        "content": { "application/problem+json": {
            "schema": { "$ref": "#/components/schemas/Problem" },
            "example": example(first, route),
        } },
    });
    if let Some((name, header)) = header(first.status) {
        response["headers"] = json!({ name: header });
    }
    response
}

/// Returns the header field that problems of a status have, with its description.
fn header(status: u16) -> Option<(&'static str, Value)> {
    let (name, kind, description) = match status {
        401 => ("WWW-Authenticate", "string", "How to authenticate (RFC 6750)."),
        429 | 503 => ("Retry-After", "integer", "Seconds after which the request may be repeated."),
        _ => return None,
    };
    Some((name, json!({ "description": description, "schema": { "type": kind } })))
}

fn example(kind: &ProblemKind, route: &RouteInfo) -> Value {
    let mut problem = json!({
        "type": kind.uri(),
        "title": kind.title,
        "status": kind.status,
        "detail": format!("{}.", kind.title),
        "instance": route.path,
        "code": kind.code,
        "requestId": "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91",
    });
    if *kind == kind::VALIDATION_FAILED {
        problem["errors"] =
            json!([{ "pointer": "/name", "code": "unknown", "message": "is unknown" }]);
    }
    problem
}

/// Returns a code such as `request_timeout` as `RequestTimeout`.
fn pascal_case(code: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(1.min(word.len()));
        format!("{}{rest}", first.to_ascii_uppercase())
    };
    code.split('_').map(word).collect()
}
