//! HTTP routes `GET /api/v1/users/me/kyc` and `POST /api/v1/users/me/kyc/submit`, registered by
//! [`crate::service`]. A `Problem` is the answer to the client.

use axum::extract::State;
use gx_auth::Person;
use gx_serve::fields::Nothing;
use gx_serve::{Json, Problem, Reply};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::store::{self, ReviewResult};
use crate::ServiceState;
use crate::documents::{self, AskedDocument, DocumentItem};

/// The state of the person's review.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Review {
    /// The account's status.
    #[schema(example = "PENDING_ADMIN_APPROVAL")]
    status: &'static str,
    /// The documents that the person has handed in.
    documents: Vec<DocumentItem>,
    /// The documents that the reviewers ask for again. The clock of the review stands still until
    /// all of them are there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    asked_again: Vec<AskedDocument>,
    /// The last decision, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    decision: Option<ReviewResult>,
}

/// The result of a submission for review.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Submitted {
    /// `PENDING_ADMIN_APPROVAL`.
    #[schema(example = "PENDING_ADMIN_APPROVAL")]
    status: &'static str,
    #[serde(with = "gx_serve::moment")]
    submitted_at: OffsetDateTime,
}

/// Returns the status, the documents and the last decision.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/kyc",
    tag = "review",
    responses((status = 200, description = "Status, documents and the last decision.", body = Review))
)]
pub(crate) async fn get_kyc(
    State(state): State<ServiceState>,
    person: Person,
) -> Result<Reply<Review>, Problem> {
    let documents = documents::all(&state, &person).await?;
    let mut conn = state.base.connection().await?;
    Ok(Reply::ok(Review {
        status: person.status.name(),
        documents,
        asked_again: documents::asked_again(&mut conn, &person).await?,
        decision: store::last_result(&mut conn, &person.profile_id).await?,
    }))
}

/// Submits the account for review.
#[utoipa::path(
    post,
    path = "/api/v1/users/me/kyc/submit",
    tag = "review",
    responses((status = 200, description = "The account is under review.", body = Submitted))
)]
pub(crate) async fn submit(
    State(state): State<ServiceState>,
    person: Person,
    Json(_empty): Json<Nothing>,
) -> Result<Reply<Submitted>, Problem> {
    let submitted_at = super::submit(&state, &person).await?;
    let status = gx_model::AccountStatus::PendingAdminApproval.name();
    Ok(Reply::ok(Submitted { status, submitted_at }))
}
