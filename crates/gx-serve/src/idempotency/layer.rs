//! The layer that handles the key of every POST, PUT, PATCH and DELETE.

use std::sync::Mutex;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::Method;

use super::IdempotencyKey;
use super::keyed::{KeySettings, Keyed, Progress, Shared};
use crate::request_id::RequestId;

/// Handles one request inside the layer.
pub(crate) async fn around(settings: KeySettings, request: Request, next: Next) -> Response {
    let changing = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    if !changing.contains(request.method()) {
        return next.run(request).await;
    }
    let key = match IdempotencyKey::optional(request.headers()) {
        Ok(Some(key)) => key,
        Ok(None) => return next.run(request).await,
        Err(problem) => return problem.into_response(),
    };
    let method = request.method().as_str();
    let path = request.uri().path();
    let query = request.uri().query().unwrap_or_default();
    let pattern = request.extensions().get::<MatchedPath>().map_or(path, MatchedPath::as_str);
    let request_id = request.extensions().get::<RequestId>().cloned();
    let keyed = Keyed::new(Shared {
        settings,
        key,
        route: format!("{method} {pattern}"),
        target: format!("{method} {path}?{query}"),
        path: path.to_owned(),
        request_id: request_id.unwrap_or_else(|| RequestId(String::new())),
        progress: Mutex::new(Progress::default()),
    });
    keyed.run(next.run(request)).await
}
