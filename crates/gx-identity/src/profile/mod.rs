//! A person's own profile.

pub(crate) mod http;
mod onchain;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Person, audit};
use gx_model::AccountStatus;
use gx_serve::{Problem, ProblemKind};
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::State;
pub(crate) use onchain::{Onchain, onchain};
pub(crate) use store::Profile;

/// The facts are under review, or reviewed.
pub(crate) const PROFILE_CLOSED: ProblemKind =
    ProblemKind::new("profile_closed", 409, "These facts cannot be changed any more");

/// A person, in short.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserSummary {
    pub(crate) profile_id: String,
    pub(crate) email: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) status: String,
    #[serde(with = "gx_serve::moment")]
    pub(crate) created_at: OffsetDateTime,
}

/// The person's profile.
pub(crate) async fn profile(state: &State, person: &Person) -> Result<Profile, Problem> {
    let mut conn = state.base.connection().await?;
    Ok(store::get(&mut conn, &person.profile_id).await?)
}

/// Changes what may be changed until review.
pub(crate) async fn change(
    state: &State,
    person: &Person,
    changes: &http::ProfileChanges,
    request_id: &str,
) -> Result<Profile, Problem> {
    let now = state.base.clock.now();
    let mut tx = state.base.begin().await?;
    let status = store::lock_status(&mut tx, &person.profile_id).await?;
    let open = [AccountStatus::Registered, AccountStatus::Denied];
    if !AccountStatus::from_name(&status).is_some_and(|status| open.contains(&status)) {
        return Err(Problem::new(
            &PROFILE_CLOSED,
            "They were handed in for review. Ask support about a correction.",
        ));
    }
    store::change(&mut tx, &person.profile_id, changes, now)
        .await
        .map_err(crate::registration::taken)?;
    let profile = store::get(&mut tx, &person.profile_id).await?;
    let entry = audit::Entry {
        actor: audit::Actor::User(&person.profile_id),
        action: "user.profile_changed",
        target_type: "UserProfile",
        target_id: Some(&person.profile_id),
        before: None,
        // Names of the fields, not their values: the log outlives an erased profile.
        after: Some(json!({ "fields": changes.fields() })),
        request_id: Some(request_id),
    };
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    Ok(profile)
}
