//! HTTP routes `POST /api/v1/admin/users/{id}/suspend`, `/reinstate`, `/close`, and `POST` and
//! `DELETE` of `/legal-hold`, registered by [`crate::service`]. A `Problem` is the answer to the
//! client.

use axum::extract::State;
use gx_auth::Administrator;
use gx_model::AccountStatus;
use gx_serve::{Json, Problem, Reply};
use serde::Serialize;
use utoipa::ToSchema;

use crate::ServiceState;
use crate::account_locks::http::LockRequest;
use crate::users::ProfilePath;

/// The status of the account now.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountStatusBody {
    #[schema(example = "SUSPENDED")]
    status: &'static str,
}

fn reply(status: AccountStatus) -> Reply<AccountStatusBody> {
    Reply::ok(AccountStatusBody { status: status.name() })
}

/// Suspends an account that is ACTIVE or FROZEN. All of its tokens are refused from the next
/// request on.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/suspend",
    tag = "account states",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 200, description = "Suspended.", body = AccountStatusBody))
)]
pub(crate) async fn suspend(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(request): Json<LockRequest>,
) -> Result<Reply<AccountStatusBody>, Problem> {
    Ok(reply(super::suspend(&state, &who, &id, &request.reason()).await?))
}

/// Ends the suspension of an account. The person must sign in again.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/reinstate",
    tag = "account states",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 200, description = "Reinstated.", body = AccountStatusBody))
)]
pub(crate) async fn reinstate(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(request): Json<LockRequest>,
) -> Result<Reply<AccountStatusBody>, Problem> {
    Ok(reply(super::reinstate(&state, &who, &id, &request.reason()).await?))
}

/// Closes an account for ever. All of its tokens are refused from the next request on.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/close",
    tag = "account states",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 200, description = "Closed.", body = AccountStatusBody))
)]
pub(crate) async fn close(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(request): Json<LockRequest>,
) -> Result<Reply<AccountStatusBody>, Problem> {
    Ok(reply(super::close(&state, &who, &id, &request.reason()).await?))
}

/// Puts an account on legal hold: nothing of it is removed until the hold ends.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/legal-hold",
    tag = "account states",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 200, description = "On legal hold.", body = AccountStatusBody))
)]
pub(crate) async fn set_legal_hold(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(request): Json<LockRequest>,
) -> Result<Reply<AccountStatusBody>, Problem> {
    Ok(reply(super::set_legal_hold(&state, &who, &id, true, &request.reason()).await?))
}

/// Ends the legal hold of an account.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/users/{id}/legal-hold",
    tag = "account states",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 200, description = "The hold has ended.", body = AccountStatusBody))
)]
pub(crate) async fn end_legal_hold(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(request): Json<LockRequest>,
) -> Result<Reply<AccountStatusBody>, Problem> {
    Ok(reply(super::set_legal_hold(&state, &who, &id, false, &request.reason()).await?))
}
