//! `POST /api/v1/admin/users/batch-approve`: many approvals, each on its own (OUT-07).
//!
//! A member that cannot be approved keeps nobody else back, and a member whose approval
//! stands is answered with the commands of that approval, so that a batch may be repeated.

use axum::extract::State as Axum;
use gx_auth::Administrator;
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text, text};
use gx_serve::{Json, Problem, Reply, RequestId};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Approved, NOT_UNDER_REVIEW, command_ids, store};
use crate::State;

/// People in one batch.
const MEMBERS_LIMIT: usize = 100;
/// Longest id of a person.
const ID_LIMIT: usize = 64;

struct Members(Vec<String>);

impl Field for Members {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let ids = value.as_array().ok_or_else(|| FieldError::wrong_type("a list of ids"))?;
        if !(1..=MEMBERS_LIMIT).contains(&ids.len()) {
            let message = format!("must name 1 to {MEMBERS_LIMIT} people");
            return Err(FieldError::new("range", message));
        }
        let id = |value: &Value| match text(value)? {
            id if id.len() <= ID_LIMIT && !id.contains('\0') => Ok(id.to_owned()),
            _ => Err(FieldError::new("format", "must hold profileIds")),
        };
        ids.iter().map(id).collect::<Result<_, _>>().map(Self)
    }
}

/// Whom to approve.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct BatchApproval {
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 100)]
    profile_ids: Members,
    /// For other reviewers; it is kept with each approval.
    #[schema(value_type = Option<String>, max_length = 1000)]
    note: Option<Text<1000>>,
}

impl FromFields for BatchApproval {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let profile_ids = fields.required("profileIds");
        let note = fields.optional("note");
        Some(Self { profile_ids: profile_ids?, note: note? })
    }
}

/// What became of each member, in the order of the request.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchBody {
    results: Vec<MemberBody>,
}

/// What became of one member: one of the two is there.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MemberBody {
    profile_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    approved: Option<ApprovedMember>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<RefusedMember>,
}

/// On the way to the ledger, now or since an earlier request.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ApprovedMember {
    /// Reserved; the profile shows it once the ledger has confirmed it.
    fabric_user_id: String,
    /// CREATE_USER, then DISTRIBUTE_GENESIS.
    command_ids: Vec<String>,
}

/// Nothing was changed.
#[derive(Serialize, ToSchema)]
struct RefusedMember {
    /// The code that a single approval would have been refused with.
    code: &'static str,
    /// The same in words.
    detail: String,
    /// JSON Pointers into the profile, where something is missing in it.
    missing: Vec<String>,
}

/// Approves many people under review, each on its own.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/batch-approve",
    tag = "review",
    request_body = BatchApproval,
    responses((status = 200, description = "A result for each member.", body = BatchBody))
)]
pub(crate) async fn approve_batch(
    Axum(state): Axum<State>,
    who: Administrator,
    RequestId(request_id): RequestId,
    Json(batch): Json<BatchApproval>,
) -> Result<Reply<BatchBody>, Problem> {
    let note = batch.note.as_ref().map(|note| note.0.as_str());
    let mut results = Vec::new();
    for profile_id in batch.profile_ids.0 {
        let approved = approve_once(&state, &who, &profile_id, note, &request_id).await;
        let (approved, refused) = match approved {
            Ok(approved) => (Some(approved.into()), None),
            // What ails us ails every member: the batch can be repeated when it is over.
            Err(problem) if problem.kind().status >= 500 => return Err(problem),
            Err(problem) => (None, Some(RefusedMember::from(&problem))),
        };
        results.push(MemberBody { profile_id, approved, refused });
    }
    Ok(Reply::ok(BatchBody { results }))
}

impl From<Approved> for ApprovedMember {
    fn from(approved: Approved) -> Self {
        Self {
            fabric_user_id: approved.fabric_user_id.to_string(),
            command_ids: approved.command_ids.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<&Problem> for RefusedMember {
    fn from(problem: &Problem) -> Self {
        Self {
            code: problem.kind().code,
            detail: problem.detail().to_owned(),
            missing: problem.errors().iter().map(|error| error.pointer.clone()).collect(),
        }
    }
}

/// Approves, or finds the approval that stands.
async fn approve_once(
    state: &State,
    who: &Administrator,
    profile_id: &str,
    note: Option<&str>,
    request_id: &str,
) -> Result<Approved, Problem> {
    match super::approve(state, who, profile_id, note, request_id).await {
        Err(problem) if *problem.kind() == NOT_UNDER_REVIEW => {
            standing(state, profile_id).await?.ok_or(problem)
        }
        decided => decided,
    }
}

async fn standing(state: &State, profile_id: &str) -> Result<Option<Approved>, Problem> {
    let mut conn = state.base.connection().await?;
    let Some(approval) = store::standing_approval(&mut conn, profile_id).await? else {
        return Ok(None);
    };
    let command_ids = command_ids(profile_id, approval);
    let reserved = store::reserved_for(&mut conn, &command_ids[0].to_string()).await?;
    let Some(reserved) = reserved else { return Ok(None) };
    let fabric_user_id = reserved.parse().map_err(|why| Problem::internal(&why))?;
    Ok(Some(Approved { fabric_user_id, command_ids: command_ids.to_vec() }))
}
