//! Resets the second factors and passkeys of somebody who has lost them, and ends all sessions of
//! the account. Called by the routes `factors/reset`.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Administrator, Subject, audit};
use gx_db::{AdminId, PgConnection, ProfileId};
use gx_serve::Problem;
use serde_json::Value;

use crate::ServiceState;
use crate::acts::Performer;
use crate::administrator_id::no_administrator;
use crate::users::no_user;

/// Resets a person's second factors and writes the audit row, in the caller's transaction.
pub(crate) async fn reset_user(
    state: &ServiceState,
    conn: &mut PgConnection,
    who: &Administrator,
    profile_id: &ProfileId,
    reason: Option<&str>,
) -> Result<(), Problem> {
    let base = &state.base;
    if !store::person_exists(conn, profile_id).await? {
        return Err(no_user());
    }
    let subject = Subject::User(profile_id.clone());
    let after = remove_factors(state, conn, &subject).await?;
    let entry = audit::Entry {
        after: Some(after),
        ..who.audit_entry("user.factors_reset", "UserProfile", Some(profile_id.as_str()))
    };
    let entry = entry.with_text("reason", reason, &base.entropy);
    Ok(audit::append(conn, entry, base.clock.now()).await?)
}

/// Resets the second factors of another administrator and writes the audit row, in the caller's
/// transaction. Administrators disable their own factors with password and code, and neither
/// propose nor confirm a reset of them.
pub(crate) async fn reset_administrator(
    state: &ServiceState,
    conn: &mut PgConnection,
    by: Performer<'_>,
    admin_id: &AdminId,
    reason: Option<&str>,
) -> Result<(), Problem> {
    if by.includes(admin_id) {
        return Err(Problem::forbidden(
            "Disable your own factor at /api/v1/admin/me/totp/disable.",
        ));
    }
    let base = &state.base;
    if !store::administrator_exists(conn, admin_id).await? {
        return Err(no_administrator());
    }
    let subject = Subject::Admin(admin_id.clone());
    let after = remove_factors(state, conn, &subject).await?;
    let entry = audit::Entry {
        after: Some(after),
        ..by.who.audit_entry("admin.factors_reset", "AdminUser", Some(admin_id.as_str()))
    };
    let entry = entry.with_text("reason", reason, &base.entropy);
    Ok(audit::append(conn, entry, base.clock.now()).await?)
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
