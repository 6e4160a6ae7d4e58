//! HTTP route `POST /api/v1/admin/users/batch-approve`: approves each person of a list in a
//! transaction of its own (OUT-07).
//!
//! Registered by [`crate::service`]. If a person cannot be approved, the others still are. For a
//! person who is already approved, the answer has the commands of that approval, so that a batch
//! can be repeated.

use axum::extract::State;
use gx_auth::Administrator;
use gx_db::{PgConnection, ProfileId};
use gx_model::CommandId;
use gx_outbox::enqueue::adopted_grant_id;
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text, text};
use gx_serve::{Json, Problem, Reply};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{command_ids, store};
use crate::acts::{Act, ActAnswer, ActOutcome, ActRequest, ActTexts, ApprovalResult, ProposedBody};
use crate::adoption::{self, KnownPerson};
use crate::claims::NOT_UNDER_REVIEW;
use crate::{ServiceState, request_act};

/// Most people in one batch.
const MAX_MEMBERS: usize = 100;
/// Longest profileId, in bytes.
const MAX_ID_BYTES: usize = 64;

struct Members(Vec<ProfileId>);

impl Field for Members {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let ids = value.as_array().ok_or_else(|| FieldError::wrong_type("a list of ids"))?;
        if !(1..=MAX_MEMBERS).contains(&ids.len()) {
            let message = format!("must name 1 to {MAX_MEMBERS} people");
            return Err(FieldError::new("range", message));
        }
        let id = |value: &Value| match text(value)? {
            id if id.len() <= MAX_ID_BYTES && !id.contains('\0') => {
                Ok(ProfileId::from(id.to_owned()))
            }
            _ => Err(FieldError::new("format", "must contain only profileIds")),
        };
        ids.iter().map(id).collect::<Result<_, _>>().map(Self)
    }
}

/// The people to approve.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct BatchApproval {
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 100,
             example = json!(["01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91"]))]
    profile_ids: Members,
    /// Note for other reviewers; it is stored with each approval.
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

/// A result for each person, in the order of the request.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchBody {
    results: Vec<MemberBody>,
}

/// The result for one person: one of `approved`, `proposed` and `refused` is present.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MemberBody {
    #[schema(value_type = String, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    profile_id: ProfileId,
    #[serde(skip_serializing_if = "Option::is_none")]
    approved: Option<ApprovedMember>,
    /// Another administrator must confirm the approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    proposed: Option<ProposedBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<RefusedMember>,
}

/// The person is approved, by this or an earlier request.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ApprovedMember {
    /// The reserved id; the profile shows it once the ledger has confirmed it.
    #[schema(example = "MY 463 AUN834 0QKZB 5821")]
    fabric_user_id: String,
    /// CREATE_USER, then DISTRIBUTE_GENESIS. For a person that the ledger already has, only the
    /// grant, or nothing.
    #[schema(value_type = Vec<String>, example = json!(["7f3e0c1a-6c3c-5b1e-9a61-0d2f3b5c7e91"]))]
    command_ids: Vec<CommandId>,
}

/// The person was not approved, and nothing was changed.
#[derive(Serialize, ToSchema)]
struct RefusedMember {
    /// The problem code that a single approval would answer with.
    #[schema(example = "incomplete")]
    code: &'static str,
    /// The detail of that problem.
    #[schema(example = "Facts are missing in the profile.")]
    detail: String,
    /// JSON Pointers to the fields that are missing in the profile, or to the documents that cannot
    /// be relied on.
    #[schema(example = json!(["/phoneNum"]))]
    missing: Vec<String>,
}

/// Approves many people under review, each in a transaction of its own.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/batch-approve",
    tag = "review",
    responses((status = 200, description = "A result for each person.", body = BatchBody))
)]
pub(crate) async fn approve_batch(
    State(state): State<ServiceState>,
    who: Administrator,
    Json(batch): Json<BatchApproval>,
) -> Result<Reply<BatchBody>, Problem> {
    let note = batch.note.as_ref().map(|note| note.0.as_str());
    let mut results = Vec::new();
    for profile_id in batch.profile_ids.0 {
        let mut member = MemberBody { profile_id, approved: None, proposed: None, refused: None };
        match approve_once(&state, &who, &member.profile_id, note).await {
            Ok(MemberAnswer::Approved(approved)) => member.approved = Some(approved.into()),
            Ok(MemberAnswer::Proposed(proposal_id)) => {
                member.proposed = Some(ProposedBody { proposal_id });
            }
            // A failure on our side concerns every person: the batch can be repeated later.
            Err(problem) if problem.kind().status >= 500 => return Err(problem),
            Err(problem) => member.refused = Some(RefusedMember::from(&problem)),
        }
        results.push(member);
    }
    Ok(Reply::ok(BatchBody { results }))
}

impl From<ApprovalResult> for ApprovedMember {
    fn from(approved: ApprovalResult) -> Self {
        Self {
            fabric_user_id: approved.fabric_user_id.to_string(),
            command_ids: approved.command_ids,
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

/// What has become of one person.
enum MemberAnswer {
    Approved(ApprovalResult),
    /// The id of the proposal.
    Proposed(String),
}

/// Approves or proposes a person, or returns the approval that is in force.
async fn approve_once(
    state: &ServiceState,
    who: &Administrator,
    profile_id: &ProfileId,
    note: Option<&str>,
) -> Result<MemberAnswer, Problem> {
    let texts = ActTexts { reason: None, notes: note.map(str::to_owned) };
    let wanted = ActRequest { act: Act::Approve(profile_id.clone()), texts };
    match request_act(state, who, &wanted).await {
        Ok(ActAnswer::Proposed(id)) => Ok(MemberAnswer::Proposed(id)),
        Ok(ActAnswer::Performed(ActOutcome::Approved(approved))) => {
            Ok(MemberAnswer::Approved(approved))
        }
        Ok(ActAnswer::Performed(_)) => unreachable!("an approval is answered with an approval"),
        Err(problem) if *problem.kind() == NOT_UNDER_REVIEW => {
            let in_force = approval_in_force(state, profile_id).await?;
            in_force.map(MemberAnswer::Approved).ok_or(problem)
        }
        Err(problem) => Err(problem),
    }
}

/// Returns the last approval of a person, or `None` if the account is not approved now.
async fn approval_in_force(
    state: &ServiceState,
    profile_id: &ProfileId,
) -> Result<Option<ApprovalResult>, Problem> {
    let mut conn = state.base.connection().await?;
    let Some(approval) = store::number_in_force(&mut conn, profile_id).await? else {
        return Ok(None);
    };
    let command_ids = command_ids(profile_id, approval);
    if gx_outbox::operator::command(&mut conn, command_ids[0]).await?.is_none() {
        return adopting_approval(&mut conn, profile_id, approval).await;
    }
    let reserved = store::reserved_for(&mut conn, command_ids[0]).await?;
    let Some(reserved) = reserved else { return Ok(None) };
    let fabric_user_id = reserved.parse().map_err(|why| Problem::internal(&why))?;
    Ok(Some(ApprovalResult { fabric_user_id, command_ids: command_ids.to_vec() }))
}

/// Returns the approval that adopted a person, with the command of the grant if one was sent.
/// `None` if the read model does not have the person.
async fn adopting_approval(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    approval: i32,
) -> Result<Option<ApprovalResult>, Problem> {
    let known = adoption::known_person(conn, profile_id, approval).await?;
    let Some(KnownPerson::Person(person)) = known else { return Ok(None) };
    let fabric_user_id = person.id().map_err(|why| Problem::internal(&why))?;
    let grant = adopted_grant_id(&fabric_user_id);
    let was_sent = gx_outbox::operator::command(conn, grant).await?.is_some();
    let command_ids = if was_sent { vec![grant] } else { vec![] };
    Ok(Some(ApprovalResult { fabric_user_id, command_ids }))
}
