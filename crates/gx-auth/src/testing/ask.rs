//! Requests of tests and their answers. Every answer is checked against the OpenAPI document
//! (API-09), searched for secrets (API-07), and must have been counted by the limits of its route.

use axum::Router;
use axum::body::Body;
use gx_serve::{Service, conformity, set_client_address};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::{PASSWORD, TestHost};

/// Texts that no response may contain (API-07): hashes, their columns, the password.
const SECRETS: [&str; 6] =
    ["$argon2", "passwordHash", "biometricHash", "refreshHash", "BEGIN PRIVATE", PASSWORD];
/// Pages without data of a person.
const DOCUMENTS: [&str; 3] = ["/docs", "/openapi.json", "/metrics"];

/// A request under construction.
pub struct Ask<'a> {
    pub(super) host: &'a TestHost,
    pub(super) request: http::request::Builder,
    pub(super) body: Vec<u8>,
}

impl Ask<'_> {
    /// Adds the token, unless it is empty.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        if token.is_empty() {
            self
        } else {
            self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
        }
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Sets the client's address, as a listener does.
    #[must_use]
    pub fn client(mut self, address: &str) -> Self {
        if let Some(extensions) = self.request.extensions_mut() {
            set_client_address(extensions, address.parse().unwrap());
        }
        self
    }

    /// Adds a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.bytes("application/json", body.to_string().into_bytes())
    }

    /// Adds a body of any type.
    #[must_use]
    pub fn bytes(self, content_type: &str, body: Vec<u8>) -> Self {
        let mut ask = self.header(CONTENT_TYPE.as_str(), content_type);
        ask.body = body;
        ask
    }

    /// Sends the request and checks the response against the OpenAPI document.
    pub async fn send(self) -> Answer {
        let host = self.host;
        self.exchange(host.router.clone(), &host.service.openapi).await
    }

    /// Sends the request to another service with the same resources.
    pub async fn send_to(self, service: &Service) -> Answer {
        self.exchange(service.public(true), &service.openapi).await
    }

    async fn exchange(self, router: Router, document: &Value) -> Answer {
        let request = self.request.body(Body::from(self.body)).unwrap();
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        let has_key = request.headers().contains_key(gx_serve::idempotency::HEADER);
        let response = router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let (status, headers) = (parts.status, parts.headers);
        if path.starts_with("/api/") || path.starts_with("/.well-known/") {
            conformity::check(document, &method, &path, status, &headers, &body)
                .unwrap_or_else(|why| panic!("{why}\n{}", String::from_utf8_lossy(&body)));
        }
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let text = String::from_utf8_lossy(&body).into_owned();
        let answer = Answer { status, headers, json, text };
        // A stored answer is repeated before the handler.
        if answer.status.is_success() && !has_key {
            answer.check_counted(&format!("{method} {path}"));
        }
        for secret in SECRETS.iter().filter(|_| !DOCUMENTS.contains(&path.as_str())) {
            let text = &answer.text;
            assert!(!text.contains(secret), "{method} {path} shows {secret}: {text}");
        }
        answer
    }
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body, if it is JSON.
    pub json: Value,
    /// Its body.
    pub text: String,
}

impl Answer {
    /// Returns the status as a number.
    pub fn code(&self) -> u16 {
        self.status.as_u16()
    }

    /// Returns a header field, or an empty text if there is none.
    pub fn field(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Checks that a request which succeeded was counted by every policy of its route: a handler of
    /// a route about e-mail addresses must count the address.
    fn check_counted(&self, route: &str) {
        let counted = self.field("ratelimit");
        for item in self.field("ratelimit-policy").split(", ").filter(|item| !item.is_empty()) {
            let (name, _) = item.split_once(';').unwrap();
            assert!(counted.contains(name), "{route} was not counted by {name}: {counted}");
        }
    }

    /// Returns the problem's stable code.
    pub fn problem(&self) -> &str {
        self.json["code"].as_str().unwrap_or("no problem")
    }

    /// Returns the pointers of the invalid fields.
    pub fn pointers(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array().into_iter().flatten();
        errors.filter_map(|error| error["pointer"].as_str()).collect()
    }

    /// Returns a text of the body.
    pub fn text_at(&self, pointer: &str) -> &str {
        self.json
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no text at {pointer} in {}", self.json))
    }

    /// Returns whether the body has `null` at a place; a missing field is not `null`.
    pub fn has_null_at(&self, pointer: &str) -> bool {
        self.json.pointer(pointer) == Some(&Value::Null)
    }
}
