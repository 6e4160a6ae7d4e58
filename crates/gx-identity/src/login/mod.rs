//! Opens and ends sessions of people. Called by the session routes; a registration opens its
//! session itself.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{
    Credentials, DeviceToken, PassedFactor, PasskeySignIn, Person, Realm, SignInAccount, Subject,
    TokenPair, audit, invalid_credentials, is_refusal,
};
use gx_db::{Named, SessionId};
use gx_serve::{Client, Problem};

use crate::ServiceState;
use crate::profile::UserSummary;

/// A new session with its person, and the token of the device.
pub(crate) struct OpenedSession {
    pub(crate) tokens: TokenPair,
    pub(crate) user: UserSummary,
    pub(crate) device: DeviceToken,
}

/// Opens a session if the password matches, the account may sign in, and the second factor passes.
/// A password is always compared, with a dummy hash if there is no account, so that neither the
/// answer nor its time tells whether the account exists (API-04). A refusal is
/// `invalid_credentials`, whatever the reason.
pub(crate) async fn log_in(
    state: &ServiceState,
    given: &Credentials,
    device: Option<&DeviceToken>,
    client: &Client,
    request_id: &str,
) -> Result<OpenedSession, Problem> {
    let base = &state.base;
    let mut conn = base.connection().await?;
    let account = store::by_email(&mut conn, &given.email).await?;
    let owner = account.as_ref().map(|account| Subject::User(account.user.profile_id.clone()));
    let device = base.known_device(&mut conn, owner.as_ref(), device).await?;
    drop(conn);
    let stored = account.as_ref().map(|account| SignInAccount {
        password_hash: account.password_hash.clone(),
        may_sign_in: may_sign_in(account),
    });
    let (email, password) = (&given.email, &given.password.0);
    let verified =
        base.compare_password_on(Realm::User, email, password, stored, device.as_ref()).await?;
    let account = account.filter(|_| verified.matches);
    let Some(account) = account else {
        log_refusal(request_id);
        return Err(invalid_credentials());
    };
    let profile_id = account.user.profile_id.clone();
    // A new session references the person's row, and waits for a request that locks it.
    let _ticket = base.row_ticket(profile_id.as_str()).await?;
    let mut tx = base.begin().await?;
    let hash = account.password_hash;
    let locked = store::lock_by_id(&mut tx, &profile_id).await?;
    // A lock, a closure or another password may have been committed since the comparison.
    let account = locked.filter(|account| account.password_hash == hash && may_sign_in(account));
    let Some(account) = account else {
        log_refusal(request_id);
        return Err(invalid_credentials());
    };
    if let Some(upgraded) = verified.upgrade {
        store::replace_hash(&mut tx, &profile_id, &hash, &upgraded).await?;
    }
    let subject = Subject::User(profile_id.clone());
    let passed = state.factors.pass(tx, &subject, given.totp.as_ref()).await;
    let (mut tx, factor) = passed.inspect_err(|problem| {
        if is_refusal(problem) {
            log_refusal(request_id);
        }
    })?;
    let tokens = base.auth.sessions.open(&mut tx, &subject, None, client).await?;
    let device = base.remember_device(&mut tx, &subject, device, client, false).await?;
    if factor == PassedFactor::RecoveryCode {
        state.factors.append_used_recovery_code(&mut tx, &subject, request_id).await?;
    }
    tx.commit().await?;
    metrics::counter!("gx_logins_total", "outcome" => "success").increment(1);
    tracing::info!(person = profile_id.as_str(), request_id, "person {profile_id} signed in");
    Ok(OpenedSession { tokens, user: account.user, device })
}

/// Opens a session if a passkey has signed the challenge and its account may sign in. The passkey
/// has verified the user, so that no code is asked for. A refusal is `invalid_credentials`, as
/// after a wrong password.
pub(crate) async fn log_in_with_passkey(
    state: &ServiceState,
    given: &PasskeySignIn,
    device: Option<&DeviceToken>,
    client: &Client,
    request_id: &str,
) -> Result<OpenedSession, Problem> {
    let log_if_refused = |problem: &Problem| {
        if is_refusal(problem) {
            log_refusal(request_id);
        }
    };
    let begun = state.passkeys.begin_session(Realm::User, given, request_id).await;
    let mut attempt = begun.inspect_err(log_if_refused)?;
    let account = match attempt.subject().clone() {
        Subject::User(id) => store::lock_by_id(attempt.conn(), &id).await?.filter(may_sign_in),
        Subject::Admin(_) => None,
    };
    let Some(account) = account else {
        log_refusal(request_id);
        return Err(invalid_credentials());
    };
    let session = attempt.open(None, device, client).await.inspect_err(log_if_refused)?;
    let (tokens, device) = session.commit().await?;
    metrics::counter!("gx_logins_total", "outcome" => "success").increment(1);
    let profile_id = &account.user.profile_id;
    tracing::info!(
        person = profile_id.as_str(),
        request_id,
        "person {profile_id} signed in with a passkey"
    );
    Ok(OpenedSession { tokens, user: account.user, device })
}

/// Counts and logs a refused login, without the address that was given.
fn log_refusal(request_id: &str) {
    metrics::counter!("gx_logins_total", "outcome" => "refused").increment(1);
    tracing::info!(request_id, "a login was refused");
}

/// Returns whether neither a lock nor the status of the account forbids to sign in.
fn may_sign_in(account: &store::Account) -> bool {
    // An unknown status is refused like a wrong password: an error would tell that the account
    // exists.
    let denial = account.denial_finality.as_ref().and_then(Named::known);
    let status = account.user.status.known();
    !account.is_locked
        && !account.must_verify_email
        && status.is_some_and(|status| status.may_sign_in(denial))
}

/// Ends the session of the request, or all sessions of the person, and writes the audit row.
pub(crate) async fn log_out(
    state: &ServiceState,
    person: &Person,
    everywhere: bool,
) -> Result<(), Problem> {
    let base = &state.base;
    let session = (!everywhere).then_some(&person.session_id);
    let _ticket = base.row_ticket(person.profile_id.as_str()).await?;
    let mut tx = base.begin().await?;
    let subject = Subject::User(person.profile_id.clone());
    let ended = base.auth.sessions.end(&mut tx, &subject, session, "signed out").await?;
    let action = if everywhere { "user.signed_out_everywhere" } else { "user.signed_out" };
    let entry = audit::Entry {
        after: Some(serde_json::json!({ "ended": ended })),
        ..person.audit_entry(action, "UserSession", session.map(SessionId::as_str))
    };
    audit::append(&mut tx, entry, base.clock.now()).await?;
    Ok(tx.commit().await?)
}
