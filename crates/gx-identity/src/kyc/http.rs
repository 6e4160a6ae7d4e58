//! `GET /api/v1/users/me/kyc` and `POST /api/v1/users/me/kyc/submit`.

use axum::extract::State as Axum;
use gx_auth::Person;
use gx_serve::fields::Nothing;
use gx_serve::problem::ProblemBody;
use gx_serve::{Json, Problem, Reply, RequestId};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::store::{self, Decision, DocumentSummary};
use crate::State;

/// Where the review stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct Review {
    /// The account's status.
    status: &'static str,
    /// What was handed in.
    documents: Vec<DocumentSummary>,
    /// The last decision, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    decision: Option<Decision>,
}

/// A submission.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Submitted {
    /// `PENDING_ADMIN_APPROVAL`.
    status: &'static str,
    #[serde(with = "gx_serve::moment")]
    submitted_at: OffsetDateTime,
}

/// Where the review stands.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/kyc",
    tag = "review",
    responses((status = 200, description = "Status, documents and the last decision.", body = Review))
)]
pub(crate) async fn get_kyc(
    Axum(state): Axum<State>,
    person: Person,
) -> Result<Reply<Review>, Problem> {
    let mut conn = state.base.connection().await?;
    Ok(Reply::ok(Review {
        status: person.status.name(),
        documents: store::documents(&mut conn, &person.profile_id).await?,
        decision: store::last_decision(&mut conn, &person.profile_id).await?,
    }))
}

/// Hands in for review.
#[utoipa::path(
    post,
    path = "/api/v1/users/me/kyc/submit",
    tag = "review",
    request_body = Nothing,
    responses(
        (status = 200, description = "Under review.", body = Submitted),
        (status = 409, description = "`kyc_not_open`.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 422, description = "`kyc_incomplete`; `errors` lists what is missing.",
         body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn submit(
    Axum(state): Axum<State>,
    person: Person,
    RequestId(request_id): RequestId,
    Json(_empty): Json<Nothing>,
) -> Result<Reply<Submitted>, Problem> {
    let submitted_at = super::submit(&state, &person, &request_id).await?;
    let status = gx_model::AccountStatus::PendingAdminApproval.name();
    Ok(Reply::ok(Submitted { status, submitted_at }))
}
