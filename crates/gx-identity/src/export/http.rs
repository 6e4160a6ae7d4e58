//! HTTP route `GET /api/v1/users/me/export`, registered by [`crate::service`]. A `Problem` is the
//! answer to the client.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use gx_auth::Person;
use gx_serve::Problem;
use http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};

use crate::ServiceState;
use crate::documents::check_destination;

/// Returns all that GX keeps about you: a ZIP archive with `person.json` and the files of your
/// documents. It is written while it is sent; an archive that ends early is not complete.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/export",
    tag = "profile",
    responses((status = 200, description = "The archive.", content(("application/zip"))))
)]
pub(crate) async fn export(
    State(state): State<ServiceState>,
    person: Person,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    check_destination(&headers)?;
    let archive = super::export(&state, &person).await?;
    let fields = [
        (CONTENT_TYPE, "application/zip"),
        (CONTENT_DISPOSITION, "attachment; filename=\"gx-export.zip\""),
        (CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
    ];
    Ok((StatusCode::OK, fields, Body::from_stream(archive)).into_response())
}
