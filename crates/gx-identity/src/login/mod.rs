//! Login, refresh and logout.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Person, Realm, TokenPair, audit};
use gx_model::{AccountStatus, DenialFinality};
use gx_serve::{Client, Problem, ProblemKind};
use secrecy::SecretString;

use crate::State;
use crate::profile::UserSummary;

/// Whatever is wrong: the address, the password or the account.
pub(crate) const INVALID_CREDENTIALS: ProblemKind =
    ProblemKind::new("invalid_credentials", 401, "E-mail address and password do not let you in");
/// The refresh token gives nothing.
pub(crate) const INVALID_REFRESH_TOKEN: ProblemKind =
    ProblemKind::new("invalid_refresh_token", 401, "The refresh token is not valid any more");

/// Opens a session for whoever knows the password, if the account lets anybody in. The
/// password is compared first, and with a hash of nobody's where there is no account, so
/// that the answer and its time say nothing about the account (API-04).
pub(crate) async fn log_in(
    state: &State,
    email: &str,
    password: &SecretString,
    client: &Client,
    request_id: &str,
) -> Result<(TokenPair, UserSummary), Problem> {
    let base = &state.base;
    let account = store::by_email(&mut *base.connection().await?, &email.to_lowercase()).await?;
    let stored = account.as_ref().map(|account| account.password_hash.clone());
    let verified = base.auth.hasher.verify(password, stored).await?;
    let account = account.filter(|account| verified.matches && may_sign_in(account));
    let Some(account) = account else {
        refused(request_id);
        return Err(Problem::new(&INVALID_CREDENTIALS, "Check both and try again."));
    };
    let profile_id = account.user.profile_id.clone();
    let mut tx = base.begin().await?;
    if let Some(upgraded) = verified.upgrade {
        store::replace_hash(&mut tx, &profile_id, &account.password_hash, &upgraded).await?;
    }
    let pair = base.auth.sessions.open(&mut tx, Realm::User, &profile_id, None, client).await?;
    tx.commit().await?;
    metrics::counter!("gx_logins_total", "outcome" => "success").increment(1);
    tracing::info!(profile_id, request_id, "a person signed in");
    Ok((pair, account.user))
}

fn refused(request_id: &str) {
    metrics::counter!("gx_logins_total", "outcome" => "refused").increment(1);
    tracing::info!(request_id, "a login was refused");
}

fn may_sign_in(account: &store::Account) -> bool {
    let denial = account.denial_finality.as_deref().and_then(DenialFinality::from_name);
    let status = AccountStatus::from_name(&account.user.status);
    !account.is_locked && status.is_some_and(|status| status.may_sign_in(denial))
}

/// Ends this session, or all of the person's.
pub(crate) async fn log_out(
    state: &State,
    person: &Person,
    everywhere: bool,
    request_id: &str,
) -> Result<(), Problem> {
    let base = &state.base;
    let session = (!everywhere).then_some(person.session_id.as_str());
    let mut tx = base.begin().await?;
    let ended = base
        .auth
        .sessions
        .end(&mut tx, Realm::User, &person.profile_id, session, "signed out")
        .await?;
    let entry = audit::Entry {
        actor: audit::Actor::User(&person.profile_id),
        action: if everywhere { "user.signed_out_everywhere" } else { "user.signed_out" },
        target_type: "UserSession",
        target_id: session,
        before: None,
        after: Some(serde_json::json!({ "ended": ended })),
        request_id: Some(request_id),
    };
    audit::append(&mut tx, entry, base.clock.now()).await?;
    Ok(tx.commit().await?)
}
