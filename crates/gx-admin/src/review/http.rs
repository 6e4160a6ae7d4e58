//! HTTP routes `POST /api/v1/admin/users/{id}/approve` and `/deny`, registered by
//! [`crate::service`]. A `Problem` is the answer to the client.

use ::http::StatusCode;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use gx_auth::Administrator;
use gx_model::{AccountStatus, CommandId, DenialFinality};
use gx_serve::fields::{Fields, FromFields, Text};
use gx_serve::{Json, Problem, Reply};
use serde::Serialize;
use utoipa::ToSchema;

use super::Denial;
use crate::acts::{Act, ActAnswer, ActOutcome, ActRequest, ActTexts, ProposedBody};
use crate::reason_code::ReasonCodeField;
use crate::users::ProfilePath;
use crate::{ServiceState, request_act};

/// The body of an approval.
#[derive(ToSchema)]
pub(crate) struct ApprovalBody {
    /// Note for other reviewers.
    #[schema(value_type = Option<String>, max_length = 1000)]
    note: Option<Text<1000>>,
}

impl FromFields for ApprovalBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { note: fields.optional("note")? })
    }
}

/// The result of an approval.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApprovedBody {
    /// `APPROVED_PENDING_ONCHAIN`.
    #[schema(example = "APPROVED_PENDING_ONCHAIN")]
    status: &'static str,
    /// The reserved id; the profile shows it once the ledger has confirmed it.
    #[schema(example = "MY 463 AUN834 0QKZB 5821")]
    fabric_user_id: String,
    /// CREATE_USER, then DISTRIBUTE_GENESIS. For a person that the ledger already has, only the
    /// grant, or nothing.
    #[schema(value_type = Vec<String>, example = json!(["7f3e0c1a-6c3c-5b1e-9a61-0d2f3b5c7e91"]))]
    command_ids: Vec<CommandId>,
}

/// The body of a denial.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct DenialBody {
    /// Reason code, such as `DOCUMENT_UNREADABLE`.
    #[schema(value_type = String, pattern = "^[A-Z0-9_]{1,40}$",
             example = "DOCUMENT_UNREADABLE")]
    reason_code: ReasonCodeField,
    /// `RETRY` if the person may submit again, `FINAL` if not.
    #[schema(value_type = String, pattern = "^(RETRY|FINAL)$", example = "RETRY")]
    finality: DenialFinality,
    /// Comment for the person.
    #[schema(value_type = Option<String>, max_length = 1000)]
    public_comment: Option<Text<1000>>,
    /// Comment for other reviewers.
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

/// The status of the account after the decision.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatusBody {
    #[schema(example = "DENIED")]
    pub(crate) status: &'static str,
}

/// The answer to an approval: the person is approved, or a second administrator must confirm.
pub(crate) enum ApprovalReply {
    Approved(ApprovedBody),
    Proposed(ProposedBody),
}

impl IntoResponse for ApprovalReply {
    fn into_response(self) -> Response {
        match self {
            Self::Approved(body) => Reply::ok(body).into_response(),
            Self::Proposed(body) => Reply(StatusCode::ACCEPTED, body).into_response(),
        }
    }
}

/// Approves a person under review, or proposes it if a second administrator must confirm.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/approve",
    tag = "review",
    params(("id" = String, Path, description = "profileId")),
    responses(
        (status = 200, description = "The person is approved.", body = ApprovedBody),
        (status = 202, description = "Another administrator must confirm.", body = ProposedBody)
    )
)]
pub(crate) async fn approve(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(approval): Json<ApprovalBody>,
) -> Result<ApprovalReply, Problem> {
    let notes = approval.note.map(|Text(note)| note);
    let wanted = ActRequest { act: Act::Approve(id), texts: ActTexts { reason: None, notes } };
    match request_act(&state, &who, &wanted).await? {
        ActAnswer::Proposed(proposal_id) => {
            Ok(ApprovalReply::Proposed(ProposedBody { proposal_id }))
        }
        ActAnswer::Performed(ActOutcome::Approved(approved)) => {
            Ok(ApprovalReply::Approved(ApprovedBody {
                status: AccountStatus::ApprovedPendingOnchain.name(),
                fabric_user_id: approved.fabric_user_id.to_string(),
                command_ids: approved.command_ids,
            }))
        }
        ActAnswer::Performed(_) => unreachable!("an approval is answered with an approval"),
    }
}

/// Denies a person under review.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/deny",
    tag = "review",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 200, description = "The person is denied.", body = StatusBody))
)]
pub(crate) async fn deny(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(body): Json<DenialBody>,
) -> Result<Reply<StatusBody>, Problem> {
    let reason_code = body.reason_code.0.to_string();
    let denial = Denial {
        reason_code: &reason_code,
        finality: body.finality,
        public_comment: body.public_comment.as_ref().map(|comment| comment.0.as_str()),
        private_comment: body.private_comment.as_ref().map(|comment| comment.0.as_str()),
    };
    super::deny(&state, &who, &id, &denial).await?;
    Ok(Reply::ok(StatusBody { status: AccountStatus::Denied.name() }))
}
