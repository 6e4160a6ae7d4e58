//! Decides whether the session or the enrolment token of a request is valid. Called by the
//! authorization of each request, and by [`crate::session_recheck`].

use gx_db::{AdminId, PgConnection, ProfileId, SessionId};
use gx_model::{AccountAccess, AccountStatus};
use gx_serve::Problem;
use time::OffsetDateTime;

use crate::account_access::access_of;
use crate::realm::Realm;
use crate::sessions::{Sessions, password_version};
use crate::store;

/// A valid session of a person.
pub(crate) struct ValidPerson {
    pub(crate) status: AccountStatus,
    pub(crate) access: AccountAccess,
    pub(crate) last_used_at: OffsetDateTime,
}

/// Returns a person's session, or `None` if it has ended or the account permits no sign-in.
pub(crate) async fn person(
    conn: &mut PgConnection,
    session_id: &SessionId,
    profile_id: &ProfileId,
    now: OffsetDateTime,
) -> Result<Option<ValidPerson>, sqlx::Error> {
    let row = store::person(conn, session_id, profile_id).await?;
    let row = row.filter(|row| !row.is_revoked && row.expires_at > now);
    Ok(row.and_then(|row| {
        let last_used_at = row.last_used_at;
        let (status, access) = access_of(&row)?;
        Some(ValidPerson { status, access, last_used_at })
    }))
}

/// Returns an administrator's session, or `None` if it has ended or the account is locked.
pub(crate) async fn administrator(
    sessions: &Sessions,
    conn: &mut PgConnection,
    session_id: &SessionId,
    admin_id: &AdminId,
    now: OffsetDateTime,
) -> Result<Option<store::AdministratorRow>, sqlx::Error> {
    let row = store::administrator(conn, session_id, admin_id).await?;
    Ok(row.filter(|row| {
        !row.is_revoked
            && !row.is_locked
            && row.expires_at > now
            && !sessions.is_idle(Realm::Admin, row.last_used_at, now)
    }))
}

/// Returns the role of an administrator whose enrolment token has this version of the password.
/// `None` if the password was changed, a factor is in force, or the account is locked.
pub(crate) async fn enrolling_role(
    conn: &mut PgConnection,
    admin_id: &AdminId,
    version: Option<&str>,
) -> Result<Option<String>, sqlx::Error> {
    let row = store::enrolling_administrator(conn, admin_id).await?;
    let is_unchanged = |row: &store::EnrollingAdministratorRow| {
        version == Some(&*password_version(&row.password_hash))
    };
    Ok(row.filter(is_unchanged).map(|row| row.role))
}

/// Returns the problem of a session that is not valid.
pub(crate) fn session_ended() -> Problem {
    Problem::unauthenticated("The session has ended. Sign in again.", true)
}
