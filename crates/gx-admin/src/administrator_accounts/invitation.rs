//! Invitations: a new administrator gets a mail with a link, by which the first password is set.
//! The one who invites never knows a way into the account. Called by the route of the parent
//! module.
//!
//! The link works as that of a forgotten password, and setting a password ends the invitation.

use gx_auth::{Administrator, INVITATION_LIFE, audit};
use gx_db::AdminId;
use gx_serve::Problem;
use serde_json::json;

use super::store::{self, AdministratorItem};
use super::{ADMINISTRATOR_EXISTS, NewAccount};
use crate::ServiceState;
use crate::administrator_id::no_administrator;

/// Random bytes of a password that nobody knows.
const PASSWORD_BYTES: usize = 32;

/// Adds an administrator without a known password, queues the mail and writes the audit row.
pub(crate) async fn invite(
    state: &ServiceState,
    who: &Administrator,
    new: &NewAccount<'_>,
) -> Result<AdministratorItem, Problem> {
    let base = &state.base;
    let now = base.clock.now();
    let nobody = hex::encode(base.entropy.bytes::<PASSWORD_BYTES>());
    let hash = base.auth.hasher.hash(&nobody.into()).await?;
    let admin_id = AdminId::from(base.entropy.id(now).to_string());
    let mut tx = base.begin().await?;
    store::insert(&mut tx, &admin_id, new, &hash, now).await.map_err(|error| {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("AdminUser_email_key") => {
                let detail = "Change the role of that account, or give another address. Who has \
                              lost the invitation asks for a new password by mail.";
                Problem::new(&ADMINISTRATOR_EXISTS, detail)
            }
            _ => error.into(),
        }
    })?;
    store::insert_invitation(&mut tx, &admin_id, now + INVITATION_LIFE).await?;
    base.mailing().invite(&mut tx, &admin_id, new.email.as_str()).await?;
    let entry = audit::Entry {
        after: Some(json!({ "role": new.role.name() })),
        ..who.audit_entry("admin.invited", "AdminUser", Some(admin_id.as_str()))
    };
    audit::append(&mut tx, entry, now).await?;
    let account = store::administrator(&mut tx, &admin_id).await?.ok_or_else(no_administrator)?;
    tx.commit().await?;
    Ok(account)
}
