//! Notes of administrators about a person. A note is a text of the audit log, so that it can be
//! erased as other texts about people. Called by the routes under `/api/v1/admin/users/{id}/notes`.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Administrator, audit};
use gx_db::ProfileId;
use gx_serve::Problem;

use crate::ServiceState;
use crate::users::no_user;

/// The action of the entries that are notes.
const ACTION: &str = "user.note_added";
/// The member of an entry that has the text.
const FIELD: &str = "note";

/// Adds a note and returns its number.
pub(crate) async fn add(
    state: &ServiceState,
    who: &Administrator,
    profile_id: &ProfileId,
    text: &str,
) -> Result<i64, Problem> {
    let base = &state.base;
    let mut tx = base.begin().await?;
    if !store::person_exists(&mut tx, profile_id).await? {
        return Err(no_user());
    }
    let entry = who.audit_entry(ACTION, "UserProfile", Some(profile_id.as_str()));
    let entry = entry.with_text(FIELD, Some(text), &base.entropy);
    let number = audit::append_numbered(&mut tx, entry, base.clock.now()).await?;
    tx.commit().await?;
    Ok(number)
}
