//! Checks the session or the enrolment token of a request again, in the transaction of a change
//! that has waited for its account. Called by changes of factors, passwords and addresses.

use gx_db::PgConnection;
use gx_serve::Problem;

use crate::foundation::Foundation;
use crate::realm::Subject;
use crate::session_owner::SessionOwner;
use crate::store;
use crate::valid_sessions::{self, session_ended};

/// Checks again what the authorization has checked. The caller has locked the account: a reset, a
/// lock or a change of the password may have been committed before.
pub(crate) async fn recheck(
    base: &Foundation,
    conn: &mut PgConnection,
    who: &SessionOwner,
) -> Result<(), Problem> {
    let (sessions, session_id, now) = (&base.auth.sessions, &who.session_id, base.clock.now());
    let is_valid = match &who.subject {
        Subject::User(id) => valid_sessions::person(conn, session_id, id, now).await?.is_some(),
        Subject::Admin(id) if who.is_enrolling => {
            let version = who.password_version.as_deref();
            valid_sessions::enrolling_role(conn, id, version).await?.is_some()
        }
        Subject::Admin(id) => {
            let row = valid_sessions::administrator(sessions, conn, session_id, id, now);
            row.await?.is_some()
        }
    };
    is_valid.then_some(()).ok_or_else(session_ended)
}

/// Checks the same, and locks the session until the transaction ends: somebody who ends the session
/// either has done so, or waits until the change is committed. Lock the account before.
pub(crate) async fn recheck_and_lock(
    base: &Foundation,
    conn: &mut PgConnection,
    who: &SessionOwner,
) -> Result<(), Problem> {
    if !who.is_enrolling {
        store::lock_session(conn, &who.session_id, &who.subject).await?;
    }
    recheck(base, conn, who).await
}
