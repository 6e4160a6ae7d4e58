//! Answers of routes whose acts may need a second administrator.

use gx_model::CommandId;
use serde::Serialize;
use utoipa::ToSchema;

use super::{ActAnswer, ActOutcome};

/// A second administrator must confirm the act.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProposedBody {
    /// Id of the proposal, to be confirmed or rejected by another administrator.
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    pub(crate) proposal_id: String,
}

/// The command that the ledger will execute, or the proposal of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommandBody {
    /// Id of the command in the outbox. Absent if a second administrator must confirm.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false,
             example = "7f3e0c1a-6c3c-5b1e-9a61-0d2f3b5c7e91")]
    command_id: Option<CommandId>,
    /// Id of the proposal, if another administrator must confirm it first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false,
             example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    proposal_id: Option<String>,
}

impl From<ActAnswer> for CommandBody {
    fn from(answer: ActAnswer) -> Self {
        match answer {
            ActAnswer::Proposed(id) => Self { command_id: None, proposal_id: Some(id) },
            ActAnswer::Performed(ActOutcome::Enqueued(id)) => {
                Self { command_id: Some(id), proposal_id: None }
            }
            ActAnswer::Performed(ActOutcome::Approved(_) | ActOutcome::Done) => {
                Self { command_id: None, proposal_id: None }
            }
        }
    }
}
