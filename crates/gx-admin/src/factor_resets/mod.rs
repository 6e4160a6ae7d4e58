//! Resets the second factors and passkeys of somebody who has lost them, and ends all sessions of
//! the account. Called by the routes `factors/reset`.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use ::http::request::Parts;
use axum::extract::{FromRequestParts, Path};
use gx_auth::{Administrator, Subject, audit};
use gx_db::{AdminId, PgConnection, ProfileId};
use gx_serve::{Problem, ProblemKind};
use serde_json::Value;

use crate::ServiceState;
use crate::users::no_user;

/// The administrator does not exist.
pub(crate) const NO_ADMINISTRATOR: ProblemKind =
    ProblemKind::new("no_administrator", 404, "There is no such administrator");

/// An administrator's id in a path. A text that is not an id is answered like an unknown id.
pub(crate) struct AdminPath(pub(crate) AdminId);

impl<S: Send + Sync> FromRequestParts<S> for AdminPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let plain = |id: &String| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let id = path.ok().map(|Path(id)| id).filter(plain).ok_or_else(no_administrator)?;
        Ok(Self(id.into()))
    }
}

fn no_administrator() -> Problem {
    Problem::new(&NO_ADMINISTRATOR, "Take the id from the audit log.")
}

/// Resets a person's second factors and writes the audit row.
pub(crate) async fn reset_user(
    state: &ServiceState,
    who: &Administrator,
    profile_id: &ProfileId,
    reason: &str,
) -> Result<(), Problem> {
    let base = &state.base;
    let _ticket = base.row_ticket(profile_id.as_str()).await?;
    let mut tx = base.begin().await?;
    if !store::person_exists(&mut tx, profile_id).await? {
        return Err(no_user());
    }
    let subject = Subject::User(profile_id.clone());
    let after = remove_factors(state, &mut tx, &subject).await?;
    let entry = audit::Entry {
        after: Some(after),
        ..who.audit_entry("user.factors_reset", "UserProfile", Some(profile_id.as_str()))
    };
    let entry = entry.with_text("reason", Some(reason), &base.entropy);
    audit::append(&mut tx, entry, base.clock.now()).await?;
    Ok(tx.commit().await?)
}

/// Resets the second factors of another administrator and writes the audit row. Administrators
/// disable their own factors with password and code.
pub(crate) async fn reset_administrator(
    state: &ServiceState,
    who: &Administrator,
    admin_id: &AdminId,
    reason: &str,
) -> Result<(), Problem> {
    if who.admin_id == *admin_id {
        return Err(Problem::forbidden(
            "Disable your own factor at /api/v1/admin/me/totp/disable.",
        ));
    }
    let base = &state.base;
    let _ticket = base.row_ticket(admin_id.as_str()).await?;
    let mut tx = base.begin().await?;
    if !store::administrator_exists(&mut tx, admin_id).await? {
        return Err(no_administrator());
    }
    let subject = Subject::Admin(admin_id.clone());
    let after = remove_factors(state, &mut tx, &subject).await?;
    let entry = audit::Entry {
        after: Some(after),
        ..who.audit_entry("admin.factors_reset", "AdminUser", Some(admin_id.as_str()))
    };
    let entry = entry.with_text("reason", Some(reason), &base.entropy);
    audit::append(&mut tx, entry, base.clock.now()).await?;
    Ok(tx.commit().await?)
}

/// Removes the second factors and the passkeys of an account, ends its sessions, and returns the
/// values of the audit entry.
async fn remove_factors(
    state: &ServiceState,
    conn: &mut PgConnection,
    subject: &Subject,
) -> Result<Value, sqlx::Error> {
    let mut after = state.factors.reset(conn, subject).await?;
    after["passkeysRemoved"] = state.passkeys.remove_all(conn, subject).await?.into();
    Ok(after)
}
