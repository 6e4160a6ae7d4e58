//! Registers a person and opens the first session. Called by the route `register`.

pub(crate) mod http;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Credentials, GivenEmail, GivenPassword, Subject, TokenPair, audit};
use gx_db::ProfileId;
use gx_serve::idempotency::is_repeated;
use gx_serve::{Client, Problem};
use serde_json::json;

use crate::ServiceState;
use crate::login::log_in;
use crate::profile::UserSummary;
use crate::taken::taken_problem;
use http::Registration;

/// Adds a person, opens a session and writes the audit row, in one transaction. Returns the problem
/// and adds nothing if another account has the e-mail address or phone number. If the same request
/// has finished before (SEC-API-02), signs the person in instead.
pub(crate) async fn register(
    state: &ServiceState,
    wanted: &Registration,
    client: &Client,
    request_id: &str,
) -> Result<(TokenPair, UserSummary), Problem> {
    if is_repeated() {
        let given = Credentials {
            email: GivenEmail::new(wanted.email.as_str()),
            password: GivenPassword(wanted.password.secret().clone()),
            totp: None,
        };
        return log_in(state, &given, client, request_id).await;
    }
    let base = &state.base;
    let hashed = base.auth.hasher.hash_new(&wanted.password).await?;
    let password_hash = hashed.map_err(|refusal| refusal.problem("/password"))?;
    let now = base.clock.now();
    let profile_id = ProfileId::from(base.entropy.id(now).to_string());
    let mut tx = base.begin().await?;
    let new = store::NewProfile {
        profile_id: &profile_id,
        first_name: &wanted.fname.0,
        last_name: wanted.lname.as_ref().map(|name| name.0.as_str()),
        email: wanted.email.as_str(),
        phone_num: wanted.phone_num.as_ref().map(|phone| phone.0.as_str()),
        password_hash: &password_hash,
        date_of_birth: wanted.date_of_birth.0,
        gender: wanted.gender.0.name(),
        nationality: wanted.nationality_country_code.map(|country| country.0.to_string()),
        now,
    };
    let user = store::insert(&mut tx, &new).await.map_err(taken_problem)?;
    let subject = Subject::User(profile_id.clone());
    let pair = base.auth.sessions.open(&mut tx, &subject, None, client).await?;
    let (actor, id) = (audit::Actor::User(&profile_id), Some(profile_id.as_str()));
    let entry = audit::Entry {
        after: Some(json!({ "status": user.status })),
        ..audit::Entry::new(actor, "user.registered", "UserProfile", id, Some(request_id))
    };
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    metrics::counter!("gx_registrations_total").increment(1);
    tracing::info!(person = profile_id.as_str(), request_id, "person {profile_id} registered");
    Ok((pair, user))
}
