//! Answers of handlers, and the marks by which a handler tells the request layer about its answer.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use gx_db::{AdminId, ProfileId};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;

use crate::problem::Problem;

/// A JSON response.
pub struct Reply<T>(pub StatusCode, pub T);

impl<T> Reply<T> {
    /// Creates a response with status 200.
    pub fn ok(body: T) -> Self {
        Self(StatusCode::OK, body)
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.1) {
            Ok(json) => {
                (self.0, [(CONTENT_TYPE, "application/json")], Body::from(json)).into_response()
            }
            Err(error) => Problem::internal(&error).into_response(),
        }
    }
}

/// Marks a response of 4xx or 5xx whose body is meant to be no problem, such as a health report or
/// a page for people.
#[derive(Clone, Copy, Debug)]
pub struct KeepBody;

/// The caller that a request's log line names. The layer that authorizes the request adds it to the
/// response.
#[derive(Clone, Debug)]
pub enum LoggedActor {
    /// A person.
    Person(ProfileId),
    /// An administrator.
    Admin(AdminId),
}
