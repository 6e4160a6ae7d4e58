//! The access that the account of a person permits. Called by [`crate::sessions`] and by the
//! authorization of each request, which end with 401 if it permits none.

use gx_model::{AccountAccess, AccountStatus, DenialFinality};

use crate::store::PersonRow;

/// Returns the status and access of a person's account, or `None` if the account permits no
/// sign-in.
pub(crate) fn access_of(row: &PersonRow) -> Option<(AccountStatus, AccountAccess)> {
    let status = AccountStatus::from_name(&row.status)?;
    let denial = row.denial_finality.as_deref().and_then(DenialFinality::from_name);
    let access = status.access(denial);
    let open = !row.is_locked && !row.is_deleted && access != AccountAccess::Refused;
    open.then_some((status, access))
}
