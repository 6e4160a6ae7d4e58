//! The steps of a person's registration on the ledger. Shown by `GET /api/v1/users/me/onchain`.

use gx_auth::Person;
use gx_db::Named;
use gx_model::{CommandStatus, OnchainStatus};
use gx_serve::Problem;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::store::{self, CommandRow};
use crate::ServiceState;

/// A person's status and steps on the ledger.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Onchain {
    #[schema(value_type = String, example = "PENDING")]
    onchain_status: Named<OnchainStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    fabric_user_id: Option<String>,
    /// Registration, then the genesis grant; empty before an approval.
    steps: Vec<Step>,
}

/// One step of the registration.
#[derive(Serialize, ToSchema)]
pub(crate) struct Step {
    /// `registration` or `genesisGrant`.
    #[schema(example = "registration")]
    name: &'static str,
    /// `waiting`, `sent`, `done` or `refused`.
    #[schema(example = "sent")]
    state: &'static str,
    /// When the step got this state.
    #[serde(with = "gx_serve::moment::option", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    at: Option<OffsetDateTime>,
    /// Code of the rule that refused the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
}

/// Reads the status from the profile and the steps from the outbox.
pub(crate) async fn onchain(state: &ServiceState, person: &Person) -> Result<Onchain, Problem> {
    let mut conn = state.base.connection().await?;
    let profile = store::get(&mut conn, &person.profile_id).await?;
    let commands = store::commands(&mut conn, &person.profile_id).await?;
    Ok(Onchain {
        onchain_status: profile.onchain_status,
        fabric_user_id: profile.fabric_user_id,
        steps: commands.iter().map(step).collect(),
    })
}

/// Returns the step that a command stands for.
fn step(command: &CommandRow) -> Step {
    let state = match command.status.known() {
        Some(CommandStatus::Submitted) => "sent",
        Some(CommandStatus::Committed | CommandStatus::CommittedUnverified) => "done",
        Some(CommandStatus::Refused | CommandStatus::Discarded) => "refused",
        _ => "waiting",
    };
    let code = command
        .outcome
        .as_ref()
        .and_then(|outcome| Some(outcome.pointer("/rejection/code")?.as_str()?.to_owned()));
    let name = if command.kind == "CREATE_USER" { "registration" } else { "genesisGrant" };
    Step { name, state, at: Some(command.updated_at), reason: code }
}
