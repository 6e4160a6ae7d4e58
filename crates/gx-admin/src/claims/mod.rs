//! Claims: a reviewer says who reviews a person, for the time of a lease, so that two reviewers do
//! not work on the same person (KYC-01). Called by the routes `claim`, `release` and `assign`, and
//! by each decision.
//!
//! The database's clock decides whether a lease lasts, because every replica asks the same one. A
//! lease that is over needs no further write: the next claim replaces it.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{AdminRole, Administrator, audit};
use gx_db::{AdminId, PgConnection, ProfileId};
use gx_model::AccountStatus;
use gx_serve::{Problem, ProblemKind};
use serde_json::json;
use time::OffsetDateTime;

use crate::ServiceState;
use crate::administrator_id::no_administrator;
use crate::users::no_user;

/// The status of the account allows no claim and no decision.
pub(crate) const NOT_UNDER_REVIEW: ProblemKind =
    ProblemKind::new("not_under_review", 409, "The account is not under review");
/// Another administrator's claim lasts.
pub(crate) const CLAIMED_BY_OTHER: ProblemKind =
    ProblemKind::new("claimed_by_other", 409, "Another reviewer has claimed the person");
/// The person cannot be assigned to this administrator.
pub(crate) const CANNOT_REVIEW: ProblemKind =
    ProblemKind::new("cannot_review", 409, "The administrator may not review people");

/// Who reviews a person, and until when.
pub(crate) struct Assignment {
    pub(crate) assignee: AdminId,
    pub(crate) lease_until: OffsetDateTime,
}

/// Claims a person for the administrator of the request, or renews the lease.
pub(crate) async fn claim(
    state: &ServiceState,
    who: &Administrator,
    profile_id: &ProfileId,
) -> Result<Assignment, Problem> {
    assign_to(state, who, profile_id, &who.admin_id, "review.claimed").await
}

/// Assigns a person to a reviewer. An administrator of at least ADMIN may take a person from
/// another one; a REVIEWER may hand on an own claim.
pub(crate) async fn assign(
    state: &ServiceState,
    who: &Administrator,
    profile_id: &ProfileId,
    assignee: &AdminId,
) -> Result<Assignment, Problem> {
    let mut conn = state.base.connection().await?;
    let reviewer = store::administrator(&mut conn, assignee).await?.ok_or_else(no_administrator)?;
    drop(conn);
    let role = AdminRole::from_name(&reviewer.role);
    if reviewer.is_locked || !role.is_some_and(|role| role.includes(AdminRole::Reviewer)) {
        let detail = "Choose an administrator of at least REVIEWER who is not locked.";
        return Err(Problem::new(&CANNOT_REVIEW, detail));
    }
    assign_to(state, who, profile_id, assignee, "review.assigned").await
}

async fn assign_to(
    state: &ServiceState,
    who: &Administrator,
    profile_id: &ProfileId,
    assignee: &AdminId,
    action: &str,
) -> Result<Assignment, Problem> {
    let base = &state.base;
    let _ticket = base.row_ticket(profile_id.as_str()).await?;
    let mut tx = base.begin().await?;
    let status = store::lock_person(&mut tx, profile_id).await?.ok_or_else(no_user)?;
    if status != AccountStatus::PendingAdminApproval {
        return Err(not_under_review(status));
    }
    let before = require_own(&mut tx, profile_id, who, action == "review.assigned").await?;
    let lease_until = store::set(&mut tx, profile_id, assignee, state.review.review_lease).await?;
    if before.as_ref() != Some(assignee) {
        let entry = audit::Entry {
            before: Some(json!({ "assignee": before })),
            after: Some(json!({ "assignee": assignee })),
            ..who.audit_entry(action, "UserProfile", Some(profile_id.as_str()))
        };
        audit::append(&mut tx, entry, base.clock.now()).await?;
    }
    tx.commit().await?;
    Ok(Assignment { assignee: assignee.clone(), lease_until })
}

/// Ends the claim on a person. Asked again, it changes nothing. An administrator of at least ADMIN
/// may end the claim of another one.
pub(crate) async fn release(
    state: &ServiceState,
    who: &Administrator,
    profile_id: &ProfileId,
) -> Result<(), Problem> {
    let base = &state.base;
    let _ticket = base.row_ticket(profile_id.as_str()).await?;
    let mut tx = base.begin().await?;
    store::lock_person(&mut tx, profile_id).await?.ok_or_else(no_user)?;
    let before = require_own(&mut tx, profile_id, who, true).await?;
    store::remove(&mut tx, profile_id).await?;
    if before.is_some() {
        let entry = audit::Entry {
            before: Some(json!({ "assignee": before })),
            after: Some(json!({ "assignee": null })),
            ..who.audit_entry("review.released", "UserProfile", Some(profile_id.as_str()))
        };
        audit::append(&mut tx, entry, base.clock.now()).await?;
    }
    Ok(tx.commit().await?)
}

/// Returns the administrator with a valid lease, or `None` if no lease is valid. Another
/// administrator's lease is a problem, unless the administrator of the request may overrule it.
async fn require_own(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    who: &Administrator,
    admins_overrule: bool,
) -> Result<Option<AdminId>, Problem> {
    let Some(claim) = store::claim(conn, profile_id).await?.filter(|claim| claim.lasts) else {
        return Ok(None);
    };
    let overrules = admins_overrule && who.role.includes(AdminRole::Admin);
    if claim.admin_id != who.admin_id && !overrules {
        return Err(claimed_by_other(&claim.admin_id));
    }
    Ok(Some(claim.admin_id))
}

/// Returns the problem if an administrator has a valid lease and `is_own` is false for that
/// administrator. The caller has locked the row of the person's account.
pub(crate) async fn require_free(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    is_own: impl Fn(&AdminId) -> bool,
) -> Result<(), Problem> {
    match store::claim(conn, profile_id).await? {
        Some(claim) if claim.lasts && !is_own(&claim.admin_id) => {
            Err(claimed_by_other(&claim.admin_id))
        }
        _ => Ok(()),
    }
}

/// Locks the row of a person's account, and returns the problem if it is not under review or if
/// another administrator's lease lasts.
pub(crate) async fn require_review(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    who: &Administrator,
) -> Result<(), Problem> {
    let status = store::lock_person(conn, profile_id).await?.ok_or_else(no_user)?;
    if status != AccountStatus::PendingAdminApproval {
        return Err(not_under_review(status));
    }
    require_free(conn, profile_id, |admin_id| *admin_id == who.admin_id).await
}

/// Ends the claim on a person who was decided, in the caller's transaction.
pub(crate) async fn end(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<(), sqlx::Error> {
    store::remove(conn, profile_id).await
}

/// Returns the problem of an account that is not under review.
pub(crate) fn not_under_review(status: AccountStatus) -> Problem {
    Problem::new(&NOT_UNDER_REVIEW, format!("The account is {status}."))
}

fn claimed_by_other(admin_id: &AdminId) -> Problem {
    let detail = format!("Wait for the end of the lease of {admin_id}, or have it released.");
    Problem::new(&CLAIMED_BY_OTHER, detail)
}
