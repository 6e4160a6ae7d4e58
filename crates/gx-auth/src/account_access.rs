//! The access that the account of a person permits. Called by [`crate::sessions`] and by the
//! authorization of each request, which end with 401 if it permits none.

use gx_db::Parsed;
use gx_model::{AccountAccess, AccountStatus};

use crate::store::PersonRow;

/// Returns the status and access of a person's account, or `None` if the account permits no
/// sign-in.
pub(crate) fn access_of(row: &PersonRow) -> Option<(AccountStatus, AccountAccess)> {
    let denial = row.denial_finality.map(|Parsed(finality)| finality);
    let access = row.status.access(denial);
    let open = !row.is_locked && !row.is_deleted && access != AccountAccess::Refused;
    open.then_some((row.status, access))
}
