//! The accounts of administrators: a list, invitations, roles and locks (AUTHZ). Called by the
//! routes under `/api/v1/admin/administrators`.
//!
//! One SUPER_ADMIN who is not locked is always left: a change that could remove the last one locks
//! the rows of all of them first, so that changes at the same time are judged one after the other.

pub(crate) mod http;
mod invitation;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{AdminRole, Administrator, Email, Subject, audit, end_mail_tokens};
use gx_db::AdminId;
use gx_serve::{Problem, ProblemKind};
use serde_json::json;

use crate::ServiceState;
use crate::administrator_id::no_administrator;
pub(crate) use invitation::invite;
pub(crate) use store::AdministratorItem;

/// An administrator has this e-mail address.
pub(crate) const ADMINISTRATOR_EXISTS: ProblemKind =
    ProblemKind::new("administrator_exists", 409, "An administrator has this e-mail address");
/// The change would leave no SUPER_ADMIN who can sign in.
pub(crate) const LAST_SUPER_ADMIN: ProblemKind =
    ProblemKind::new("last_super_admin", 409, "The last SUPER_ADMIN stays as it is");

/// An administrator to invite.
pub(crate) struct NewAccount<'a> {
    pub(crate) email: &'a Email,
    pub(crate) display_name: &'a str,
    pub(crate) role: AdminRole,
}

/// A change of an administrator's account; `None` keeps a value.
pub(crate) struct AccountChange<'a> {
    pub(crate) role: Option<AdminRole>,
    pub(crate) is_locked: Option<bool>,
    pub(crate) reason: Option<&'a str>,
}

/// Changes role and lock of an administrator, and writes the audit row. Another role and a lock end
/// all sessions of the account, and a lock the links of its mails. A change that changes nothing is
/// answered with the account as it is.
pub(crate) async fn change(
    state: &ServiceState,
    who: &Administrator,
    admin_id: &AdminId,
    wanted: &AccountChange<'_>,
) -> Result<AdministratorItem, Problem> {
    let base = &state.base;
    let now = base.clock.now();
    let _ticket = base.row_ticket(admin_id.as_str()).await?;
    let mut tx = base.begin().await?;
    let takes_power = wanted.role.is_some_and(|role| role != AdminRole::SuperAdmin)
        || wanted.is_locked == Some(true);
    let super_admins = match takes_power {
        true => store::lock_super_admins(&mut tx).await?,
        false => Vec::new(),
    };
    let account = store::lock(&mut tx, admin_id).await?.ok_or_else(no_administrator)?;
    if super_admins.iter().all(|id| id == admin_id) && !super_admins.is_empty() {
        let detail = "Make somebody else SUPER_ADMIN first.";
        return Err(Problem::new(&LAST_SUPER_ADMIN, detail));
    }
    let role = wanted.role.map_or_else(|| account.role.as_str(), |role| role.name());
    let is_locked = wanted.is_locked.unwrap_or(account.is_locked);
    let has_new_role = role != account.role;
    if has_new_role || is_locked != account.is_locked {
        store::change(&mut tx, admin_id, role, is_locked, now).await?;
        let mut ended = 0;
        if has_new_role || is_locked {
            let (subject, because) = (Subject::Admin(admin_id.clone()), "account changed");
            ended = base.auth.sessions.end(&mut tx, &subject, None, because).await?;
            if is_locked {
                end_mail_tokens(&mut tx, &subject).await?;
            }
        }
        let entry = audit::Entry {
            before: Some(json!({ "role": account.role, "isLocked": account.is_locked })),
            after: Some(json!({ "role": role, "isLocked": is_locked, "ended": ended })),
            ..who.audit_entry("admin.changed", "AdminUser", Some(admin_id.as_str()))
        };
        let entry = entry.with_text("reason", wanted.reason, &base.entropy);
        audit::append(&mut tx, entry, now).await?;
    }
    let changed = store::administrator(&mut tx, admin_id).await?.ok_or_else(no_administrator)?;
    tx.commit().await?;
    Ok(changed)
}
