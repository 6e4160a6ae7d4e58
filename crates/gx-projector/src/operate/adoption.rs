//! Carries out adoption tasks (PRJ-15), which svc-admin and `gx projection adopt` create. Called by
//! `housekeeping` between blocks. A task whose person cannot be adopted ends with the reason.

use gx_outbox::tasks::{self, Task, TaskRow};
use serde_json::{Value, json};

use crate::apply::adoption::assign_owners;
use crate::apply::store::{adoption as store, checkpoint};
use crate::context::ProjectorContext;
use crate::leader::StepProgress;

/// Limit of the people that are adopted in one transaction between two blocks.
const MAX_ADOPTIONS: i64 = 500;

/// Carries out the waiting adoption tasks and returns whether there were any. It starts from the
/// tasks, because there may be millions of people without an owner.
pub(crate) async fn adopt_waiting(
    context: &ProjectorContext,
    progress: &StepProgress,
) -> Result<bool, sqlx::Error> {
    let channel = &context.settings.channel;
    let mut tx = context.pool.begin().await?;
    let rows = tasks::take_many(&mut tx, channel, &tasks::ADOPTIONS, MAX_ADOPTIONS).await?;
    if rows.is_empty() {
        return Ok(false);
    }
    let _watched = progress.watch(&mut tx).await?;
    // The lock keeps a rebuild from setting owners, and blocks from freezing people, meanwhile.
    checkpoint::lock(&mut tx, channel).await?;
    let now = context.clock.now();
    let ids: Vec<String> = rows.iter().filter_map(person_id).collect();
    let claims = store::claims(&mut tx, &ids).await?;
    assign_owners(&mut tx, &claims, now).await?;
    let adoption_states = store::adoption_states(&mut tx, &ids).await?;
    for row in &rows {
        let id = person_id(row);
        let state = id.and_then(|id| adoption_states.iter().find(|one| one.fabric_user_id == id));
        let report = report(state);
        tracing::info!(task_id = row.task_id, by = row.requested_by, report = %report,
            "adoption task {} was carried out", row.task_id);
        tasks::finish(&mut tx, &row.task_id, report, now).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// Returns the id of the person of a task, or `None` if this release cannot read the task.
fn person_id(row: &TaskRow) -> Option<String> {
    match row.task() {
        Ok(Task::AdoptPerson { fabric_user_id }) => Some(fabric_user_id.to_string()),
        _ => None,
    }
}

/// Returns the report of an adoption task.
fn report(state: Option<&store::AdoptionState>) -> Value {
    let Some(state) = state else {
        return json!({ "error": "this release cannot read the task" });
    };
    let id = &state.fabric_user_id;
    let error = |why: String| json!({ "fabricUserId": id, "error": why });
    match (&state.owner, &state.claimant, &state.other_id) {
        (Some(owner), Some(claimant), _) if owner == claimant => {
            json!({ "fabricUserId": id, "profileId": owner, "status": state.status })
        }
        (Some(owner), _, _) => error(format!("profile {owner} owns this person")),
        (None, None, _) => error("no account here has reserved this id".to_owned()),
        (None, Some(claimant), Some(other)) => {
            error(format!("profile {claimant} owns another person of the ledger, {other}"))
        }
        (None, Some(_), None) if !state.is_created => {
            error("the read model does not have this person's creation".to_owned())
        }
        (None, Some(claimant), None) => {
            error(format!("the person could not be given to profile {claimant}"))
        }
    }
}
