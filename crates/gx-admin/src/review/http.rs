//! `POST /api/v1/admin/users/{id}/approve` and `/deny`.

use axum::extract::State as Axum;
use gx_auth::Administrator;
use gx_model::{AccountStatus, DenialFinality, ReasonCode};
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text, text};
use gx_serve::problem::ProblemBody;
use gx_serve::{Json, Problem, Reply, RequestId};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Denial;
use crate::State;
use crate::users::ProfileId;

/// An approval.
#[derive(ToSchema)]
pub(crate) struct Approval {
    /// For other reviewers.
    #[schema(value_type = Option<String>, max_length = 1000)]
    note: Option<Text<1000>>,
}

impl FromFields for Approval {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { note: fields.optional("note")? })
    }
}

/// What an approval led to.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApprovedBody {
    /// `APPROVED_PENDING_ONCHAIN`.
    status: &'static str,
    /// Reserved; the profile shows it once the ledger has confirmed it.
    fabric_user_id: String,
    /// CREATE_USER, then DISTRIBUTE_GENESIS.
    command_ids: Vec<String>,
}

/// A reason as a code of upper-case letters, digits and underscores.
pub(crate) struct Reason(pub(crate) ReasonCode);

impl Field for Reason {
    fn read(value: &Value) -> Result<Self, FieldError> {
        text(value)?.parse().map(Self).map_err(|_| {
            let message = "must be 1 to 40 upper-case letters, digits and underscores";
            FieldError::new("format", message)
        })
    }
}

struct Finality(DenialFinality);

impl Field for Finality {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let refused = || FieldError::new("format", "must be RETRY or FINAL");
        DenialFinality::from_name(text(value)?).map(Self).ok_or_else(refused)
    }
}

/// A denial.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct DenialBody {
    /// Such as `DOCUMENT_UNREADABLE`.
    #[schema(value_type = String, min_length = 1, max_length = 40)]
    reason_code: Reason,
    /// `RETRY` or `FINAL`.
    #[schema(value_type = String)]
    finality: Finality,
    /// What the person reads.
    #[schema(value_type = Option<String>, max_length = 1000)]
    public_comment: Option<Text<1000>>,
    /// What reviewers read.
    #[schema(value_type = Option<String>, max_length = 1000)]
    private_comment: Option<Text<1000>>,
}

impl FromFields for DenialBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let reason_code = fields.required("reasonCode");
        let finality = fields.required("finality");
        let public_comment = fields.optional("publicComment");
        let private_comment = fields.optional("privateComment");
        Some(Self {
            reason_code: reason_code?,
            finality: finality?,
            public_comment: public_comment?,
            private_comment: private_comment?,
        })
    }
}

/// Where the account stands now.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatusBody {
    status: &'static str,
}

/// Approves a person under review.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/approve",
    tag = "review",
    params(("id" = String, Path, description = "profileId")),
    request_body = Approval,
    responses(
        (status = 200, description = "On the way to the ledger.", body = ApprovedBody),
        (status = 404, description = "`no_user`.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "`not_under_review` or `account_locked`.",
         body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`incomplete`; `errors` lists what is missing.",
         body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`system_paused`: until the ledger is resumed.",
         body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn approve(
    Axum(state): Axum<State>,
    ProfileId(id): ProfileId,
    who: Administrator,
    RequestId(request_id): RequestId,
    Json(approval): Json<Approval>,
) -> Result<Reply<ApprovedBody>, Problem> {
    let note = approval.note.as_ref().map(|note| note.0.as_str());
    let approved = super::approve(&state, &who, &id, note, &request_id).await?;
    Ok(Reply::ok(ApprovedBody {
        status: AccountStatus::ApprovedPendingOnchain.name(),
        fabric_user_id: approved.fabric_user_id.to_string(),
        command_ids: approved.command_ids.iter().map(ToString::to_string).collect(),
    }))
}

/// Denies a person under review.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/deny",
    tag = "review",
    params(("id" = String, Path, description = "profileId")),
    request_body = DenialBody,
    responses(
        (status = 200, description = "Denied.", body = StatusBody),
        (status = 404, description = "`no_user`.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "`not_under_review`.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn deny(
    Axum(state): Axum<State>,
    ProfileId(id): ProfileId,
    who: Administrator,
    RequestId(request_id): RequestId,
    Json(body): Json<DenialBody>,
) -> Result<Reply<StatusBody>, Problem> {
    let reason_code = body.reason_code.0.to_string();
    let denial = Denial {
        reason_code: &reason_code,
        finality: body.finality.0,
        public_comment: body.public_comment.as_ref().map(|comment| comment.0.as_str()),
        private_comment: body.private_comment.as_ref().map(|comment| comment.0.as_str()),
    };
    super::deny(&state, &who, &id, &denial, &request_id).await?;
    Ok(Reply::ok(StatusBody { status: AccountStatus::Denied.name() }))
}
