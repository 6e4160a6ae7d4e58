//! HTTP routes `GET /api/v1/admin/proposals`, `POST /proposals/{id}/confirm` and `/reject`,
//! registered by [`crate::service`]. A `Problem` is the answer to the client.

use axum::extract::State;
use gx_auth::Administrator;
use gx_db::AdminId;
use gx_model::CommandId;
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text, one_of};
use gx_serve::page::{Page, PageQuery};
use gx_serve::{Json, Problem, Query, Reply};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::store::{self, ProposalRow};
use super::{ProposalPath, ProposalState};
use crate::ServiceState;
use crate::acts::ActKind;

/// The one state that a list can be limited to.
struct OpenOnly;

impl Field for OpenOnly {
    fn read(value: &Value) -> Result<Self, FieldError> {
        one_of(value, &[ProposalState::Open], ProposalState::name).map(|_| Self)
    }
}

impl Field for ActKind {
    fn read(value: &Value) -> Result<Self, FieldError> {
        one_of(value, &Self::ALL, Self::name)
    }
}

/// Filters and page of a list of proposals.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProposalQuery {
    /// OPEN for those that can be confirmed; all by default.
    #[param(value_type = Option<String>)]
    state: Option<OpenOnly>,
    /// An act, such as APPROVE.
    #[param(value_type = Option<String>)]
    act: Option<ActKind>,
    #[param(ignore)]
    page: PageQuery<String>,
}

impl FromFields for ProposalQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (state, act) = (fields.optional("state"), fields.optional("act"));
        let page = PageQuery::from_fields(fields)?;
        Some(Self { state: state?, act: act?, page })
    }
}

/// A proposal.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProposalItem {
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    proposal_id: String,
    #[schema(example = "APPROVE")]
    act: String,
    /// Id of the person or administrator, code of the country, or `SYSTEM`.
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    target: String,
    /// Reason code of the act, or `null` if it has none.
    #[schema(required, example = "COURT_ORDER")]
    reason_code: Option<String>,
    /// Reason that the proposer gave, until the proposal is decided.
    #[schema(required, example = "phone lost")]
    reason: Option<String>,
    /// Notes of the proposer, until the proposal is decided.
    #[schema(required)]
    notes: Option<String>,
    /// OPEN, CONFIRMED, REJECTED or EXPIRED.
    #[schema(example = "OPEN")]
    state: String,
    #[schema(value_type = String, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    proposed_by: AdminId,
    #[serde(with = "gx_serve::moment")]
    proposed_at: OffsetDateTime,
    /// The last moment at which it can be confirmed, by the time of the database.
    #[serde(with = "gx_serve::moment")]
    expires_at: OffsetDateTime,
    #[schema(required, value_type = Option<String>)]
    decided_by: Option<AdminId>,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    decided_at: Option<OffsetDateTime>,
}

impl From<ProposalRow> for ProposalItem {
    fn from(row: ProposalRow) -> Self {
        let text = |name: &str| {
            let text = row.texts.as_ref().and_then(|texts| texts[name].as_str());
            text.map(str::to_owned)
        };
        Self {
            reason_code: row.arguments["reasonCode"].as_str().map(str::to_owned),
            reason: text("reason"),
            notes: text("notes"),
            proposal_id: row.proposal_id,
            act: row.act,
            target: row.target_id,
            state: row.state,
            proposed_by: row.proposed_by,
            proposed_at: row.proposed_at,
            expires_at: row.expires_at,
            decided_by: row.decided_by,
            decided_at: row.decided_at,
        }
    }
}

/// The decision on a proposal.
#[derive(ToSchema)]
pub(crate) struct DecisionRequest {
    /// Note for the audit log.
    #[schema(value_type = Option<String>, max_length = 1000)]
    note: Option<Text<1000>>,
}

impl FromFields for DecisionRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { note: fields.optional("note")? })
    }
}

impl DecisionRequest {
    fn note(&self) -> Option<&str> {
        self.note.as_ref().map(|note| note.0.as_str())
    }
}

/// The state of a proposal after the decision.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DecisionBody {
    #[schema(example = "CONFIRMED")]
    state: &'static str,
    /// The commands that the act has enqueued.
    #[schema(value_type = Vec<String>, example = json!(["7f3e0c1a-6c3c-5b1e-9a61-0d2f3b5c7e91"]))]
    command_ids: Vec<CommandId>,
}

/// Lists proposals, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/proposals",
    tag = "proposals",
    params(ProposalQuery, PageQuery<String>),
    responses((status = 200, description = "A page of proposals.", body = Page<ProposalItem>))
)]
pub(crate) async fn list(
    State(state): State<ServiceState>,
    Query(wanted): Query<ProposalQuery>,
) -> Result<Reply<Page<ProposalItem>>, Problem> {
    let mut conn = state.base.connection().await?;
    let (limit, below) = (wanted.page.limit, wanted.page.key().map(String::as_str));
    let rows = store::proposals(
        &mut conn,
        wanted.state.is_some(),
        wanted.act,
        below,
        limit.with_one_more(),
    )
    .await?;
    let page = Page::cut(rows, limit, |row| row.proposal_id.clone());
    Ok(Reply::ok(page.map(ProposalItem::from)))
}

/// Confirms a proposal of another administrator, and performs its act at once.
#[utoipa::path(
    post,
    path = "/api/v1/admin/proposals/{id}/confirm",
    tag = "proposals",
    params(("id" = String, Path, description = "proposalId")),
    responses((status = 200, description = "The act is performed.", body = DecisionBody))
)]
pub(crate) async fn confirm(
    State(state): State<ServiceState>,
    ProposalPath(id): ProposalPath,
    who: Administrator,
    Json(request): Json<DecisionRequest>,
) -> Result<Reply<DecisionBody>, Problem> {
    let outcome = super::confirm(&state, &who, &id, request.note()).await?;
    let state = ProposalState::Confirmed.name();
    Ok(Reply::ok(DecisionBody { state, command_ids: outcome.command_ids() }))
}

/// Rejects a proposal, also an own one.
#[utoipa::path(
    post,
    path = "/api/v1/admin/proposals/{id}/reject",
    tag = "proposals",
    params(("id" = String, Path, description = "proposalId")),
    responses((status = 200, description = "The act is not performed.", body = DecisionBody))
)]
pub(crate) async fn reject(
    State(state): State<ServiceState>,
    ProposalPath(id): ProposalPath,
    who: Administrator,
    Json(request): Json<DecisionRequest>,
) -> Result<Reply<DecisionBody>, Problem> {
    super::reject(&state, &who, &id, request.note()).await?;
    let state = ProposalState::Rejected.name();
    Ok(Reply::ok(DecisionBody { state, command_ids: Vec::new() }))
}
