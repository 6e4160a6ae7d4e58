//! Shows and changes the profile of the signed-in person. Called by the routes under
//! `/api/v1/users/me`.

mod changes;
pub(crate) mod http;
mod onchain;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Person, audit};
use gx_db::{Named, ProfileId};
use gx_model::AccountStatus;
use gx_serve::{Problem, ProblemKind};
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::ServiceState;
use crate::taken::taken_problem;
pub(crate) use onchain::{Onchain, onchain};
pub(crate) use store::Profile;

/// The profile is under review or has been reviewed.
pub(crate) const PROFILE_CLOSED: ProblemKind =
    ProblemKind::new("profile_closed", 409, "The profile can no longer be changed");

/// The facts about a person that a client shows after a login.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserSummary {
    #[schema(value_type = String, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    pub(crate) profile_id: ProfileId,
    #[schema(example = "sarah.johnson@gxtest.com")]
    pub(crate) email: String,
    /// Whether the address was confirmed by mail.
    #[schema(example = true)]
    pub(crate) email_verified: bool,
    #[schema(example = "Sarah")]
    pub(crate) first_name: String,
    /// `null` for people who have one name.
    #[schema(required, example = "Johnson")]
    pub(crate) last_name: Option<String>,
    #[schema(value_type = String, example = "REGISTERED")]
    pub(crate) status: Named<AccountStatus>,
    #[serde(with = "gx_serve::moment")]
    pub(crate) created_at: OffsetDateTime,
}

/// Returns the person's profile.
pub(crate) async fn profile(state: &ServiceState, person: &Person) -> Result<Profile, Problem> {
    let mut conn = state.base.connection().await?;
    Ok(store::get(&mut conn, &person.profile_id).await?)
}

/// Changes the profile of a person who is not yet under review, and writes the audit row.
/// Otherwise, or if the phone number is taken, returns the problem and changes nothing.
pub(crate) async fn change(
    state: &ServiceState,
    person: &Person,
    changes: &changes::ProfileChanges,
) -> Result<Profile, Problem> {
    let now = state.base.clock.now();
    let _ticket = state.base.row_ticket(person.profile_id.as_str()).await?;
    let mut tx = state.base.begin().await?;
    let status = store::lock_status(&mut tx, &person.profile_id).await?;
    let open = [AccountStatus::Registered, AccountStatus::Denied];
    if !open.contains(&status) {
        return Err(Problem::new(
            &PROFILE_CLOSED,
            "It was submitted for review. Ask support to correct it.",
        ));
    }
    store::change(&mut tx, &person.profile_id, changes, now).await.map_err(taken_problem)?;
    let profile = store::get(&mut tx, &person.profile_id).await?;
    let id = person.profile_id.as_str();
    let entry = audit::Entry {
        // Only names of fields: the audit log stays when a profile is erased.
        after: Some(json!({ "fields": changes.fields() })),
        ..person.audit_entry("user.profile_changed", "UserProfile", Some(id))
    };
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    Ok(profile)
}
