//! HTTP route `POST /api/v1/admin/projection/adopt`, registered by [`crate::service`]. A `Problem`
//! is the answer to the client.

use ::http::StatusCode;
use axum::extract::State;
use gx_auth::{Administrator, not_enqueued};
use gx_db::ProfileId;
use gx_model::FabricUserId;
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text, text};
use gx_serve::{Json, Problem, ProblemKind, Reply};
use serde_json::Value;
use utoipa::ToSchema;

use super::AdoptError;
use crate::ServiceState;
use crate::audit_reason::AuditReason;
use crate::commands::AuditedDecision;
use crate::dead_events::http::TaskBody;
use crate::users::no_user;

/// No applied block created a person with this id.
pub(crate) const NO_LEDGER_PERSON: ProblemKind =
    ProblemKind::new("no_ledger_person", 404, "The read model has no person with this id");
/// The account or the person belongs to another one, or a pending command may change that.
pub(crate) const NOT_ADOPTABLE: ProblemKind =
    ProblemKind::new("not_adoptable", 409, "The account cannot adopt this person");
/// The facts in the id are not those of the account.
pub(crate) const OTHER_PERSON: ProblemKind =
    ProblemKind::new("other_person", 422, "The id does not belong to this person");

struct LedgerId(FabricUserId);

impl Field for LedgerId {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let id = FabricUserId::from_pasted(text(value)?).map(Self);
        id.map_err(|why| FieldError::new("format", format!("is not a Fabric User ID: {why}")))
    }
}

/// The account, the person of the ledger that it adopts, and the reason.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct AdoptBody {
    /// Id of the person on the ledger.
    #[schema(value_type = String, example = "MY 463 AUN834 0QKZB 5821")]
    fabric_user_id: LedgerId,
    /// The account that gets the person.
    #[schema(value_type = String, min_length = 1, max_length = 64,
             example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    profile_id: Text<64>,
    /// Reason for the audit log.
    #[schema(value_type = String, min_length = 1, max_length = 200,
             example = "The person was created before the account")]
    reason: AuditReason,
}

impl FromFields for AdoptBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let fabric_user_id = fields.required("fabricUserId");
        let profile_id = fields.required("profileId");
        let reason = fields.required("reason");
        Some(Self { fabric_user_id: fabric_user_id?, profile_id: profile_id?, reason: reason? })
    }
}

/// Lets an account adopt a person of the ledger that has no owner. The projector sets the owner.
#[utoipa::path(
    post,
    path = "/api/v1/admin/projection/adopt",
    tag = "operations",
    responses((status = 202, description = "The task is stored.", body = TaskBody))
)]
pub(crate) async fn adopt(
    State(state): State<ServiceState>,
    who: Administrator,
    Json(body): Json<AdoptBody>,
) -> Result<Reply<TaskBody>, Problem> {
    let decision = AuditedDecision::of(&who, &body.reason, &state.base.entropy);
    let (now, channel) = (state.base.clock.now(), state.base.channel());
    let task_id = state.base.entropy.id(now).to_string();
    let profile_id = ProfileId::from(body.profile_id.0);
    let _ticket = state.base.row_ticket(profile_id.as_str()).await?;
    let mut tx = state.base.begin().await?;
    let whom = (&body.fabric_user_id.0, &profile_id);
    let asked = super::ask_adoption(&mut tx, channel, whom, &task_id, &decision, now).await;
    let adoption = asked.map_err(refused)?;
    tx.commit().await?;
    if adoption.grant.is_some() {
        state.waker.wake();
    }
    Ok(Reply(StatusCode::ACCEPTED, adoption.task.into()))
}

/// Returns the problem for an adoption that is not possible. The text of the error has the remedy;
/// a command in it is replaced by the route that does the same.
fn refused(error: AdoptError) -> Problem {
    let detail = match &error {
        AdoptError::UnknownPerson(id) => format!(
            "The read model has no person with the id {id}; check the id, and at \
             `/api/v1/admin/projection` that every block is applied."
        ),
        AdoptError::DeadLetter { profile_id, dead_event_id } => format!(
            "The ledger has a person for profile {profile_id}, but dead event {dead_event_id} \
             could not be applied; replay it first at `/api/v1/admin/dead-events`."
        ),
        AdoptError::ApprovalUnderWay { profile_id, command_id, status } => format!(
            "An approval of profile {profile_id} is in progress: command {command_id} is \
             {status}; wait until the command ends, or discard it."
        ),
        AdoptError::UnknownProfile(_)
        | AdoptError::AlreadyOwned { .. }
        | AdoptError::BelongsToAnother { .. }
        | AdoptError::HasAnother { .. }
        | AdoptError::Incomplete(_)
        | AdoptError::OtherFacts { .. }
        | AdoptError::Grant(_)
        | AdoptError::Database(_) => sentence(&error.to_string()),
    };
    match error {
        AdoptError::UnknownProfile(_) => no_user(),
        AdoptError::UnknownPerson(_) => Problem::new(&NO_LEDGER_PERSON, detail),
        AdoptError::AlreadyOwned { .. }
        | AdoptError::BelongsToAnother { .. }
        | AdoptError::HasAnother { .. }
        | AdoptError::DeadLetter { .. }
        | AdoptError::ApprovalUnderWay { .. } => Problem::new(&NOT_ADOPTABLE, detail),
        AdoptError::Incomplete(_) | AdoptError::OtherFacts { .. } => {
            Problem::new(&OTHER_PERSON, detail)
        }
        AdoptError::Grant(error) => not_enqueued(error),
        AdoptError::Database(error) => error.into(),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
