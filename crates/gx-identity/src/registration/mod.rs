//! Registers a person and opens the first session. Called by the route `register`.

pub(crate) mod http;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Credentials, DeviceToken, GivenEmail, GivenPassword, Subject, audit};
use gx_db::ProfileId;
use gx_serve::idempotency::is_repeated;
use gx_serve::{Client, Problem};
use serde_json::json;
use time::OffsetDateTime;

use crate::ServiceState;
use crate::login::{OpenedSession, log_in};
use crate::taken::taken_problem;
use http::Registration;

/// What a registration answers with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum RegistrationMode {
    /// A session at once; an address or phone number that is taken is refused by name
    #[default]
    Open,
    /// The same answer for every address; nobody signs in before a mail was confirmed
    Verified,
}

/// Adds a person, opens a session and writes the audit row, in one transaction. Returns the problem
/// and adds nothing if another account has the e-mail address or phone number. If the same request
/// has finished before (SEC-API-02), signs the person in instead.
pub(crate) async fn register(
    state: &ServiceState,
    wanted: &Registration,
    device: Option<&DeviceToken>,
    client: &Client,
    request_id: &str,
) -> Result<OpenedSession, Problem> {
    if is_repeated() {
        let given = Credentials {
            email: GivenEmail::new(wanted.email.as_str()),
            password: GivenPassword(wanted.password.secret().clone()),
            totp: None,
            device_token: None,
        };
        return log_in(state, &given, device, client, request_id).await;
    }
    let base = &state.base;
    let hashed = base.auth.hasher.hash_new(&wanted.password).await?;
    let password_hash = hashed.map_err(|refusal| refusal.problem("/password"))?;
    let now = base.clock.now();
    let profile_id = ProfileId::from(base.entropy.id(now).to_string());
    let mut tx = base.begin().await?;
    let new = new_profile(wanted, &profile_id, &password_hash, now);
    let user = store::insert(&mut tx, &new).await.map_err(taken_problem)?;
    let subject = Subject::User(profile_id.clone());
    let tokens = base.auth.sessions.open(&mut tx, &subject, None, client).await?;
    let device = base.remember_device(&mut tx, &subject, None, client, true).await?;
    let (actor, id) = (audit::Actor::User(&profile_id), Some(profile_id.as_str()));
    let entry = audit::Entry {
        after: Some(json!({ "status": user.status })),
        ..audit::Entry::new(actor, "user.registered", "UserProfile", id, Some(request_id))
    };
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    metrics::counter!("gx_registrations_total").increment(1);
    tracing::info!(person = profile_id.as_str(), request_id, "person {profile_id} registered");
    Ok(OpenedSession { tokens, user, device })
}

fn new_profile<'a>(
    wanted: &'a Registration,
    profile_id: &'a ProfileId,
    password_hash: &'a str,
    now: OffsetDateTime,
) -> store::NewProfile<'a> {
    store::NewProfile {
        profile_id,
        first_name: &wanted.fname.0,
        last_name: wanted.lname.as_ref().map(|name| name.0.as_str()),
        email: wanted.email.as_str(),
        phone_num: wanted.phone_num.as_ref().map(|phone| phone.0.as_str()),
        password_hash,
        date_of_birth: wanted.date_of_birth.0,
        gender: wanted.gender.0.name(),
        nationality: wanted.nationality_country_code.map(|country| country.0.to_string()),
        now,
    }
}

/// Adds a person who must confirm the address, and queues the mail, in one transaction. If an
/// account has the address, its mailbox is told so, with the same work and the same answer
/// (AUTHN-10).
pub(crate) async fn register_by_mail(
    state: &ServiceState,
    wanted: &Registration,
    request_id: &str,
) -> Result<(), Problem> {
    let base = &state.base;
    let hashed = base.auth.hasher.hash_new(&wanted.password).await?;
    let password_hash = hashed.map_err(|refusal| refusal.problem("/password"))?;
    let now = base.clock.now();
    let profile_id = ProfileId::from(base.entropy.id(now).to_string());
    let new = new_profile(wanted, &profile_id, &password_hash, now);
    let mut tx = base.begin().await?;
    let is_new = store::insert_unverified(&mut tx, &new).await.map_err(taken_problem)?;
    let email = GivenEmail::new(wanted.email.as_str());
    base.mailing().welcome(&mut tx, &email, is_new).await?;
    // An attempt with a known address is recorded without naming the account.
    let (action, id) = match is_new {
        true => ("user.registered", Some(profile_id.as_str())),
        false => ("user.registration_repeated", None),
    };
    let actor = match is_new {
        true => audit::Actor::User(&profile_id),
        false => audit::Actor::System("registration"),
    };
    let entry = audit::Entry {
        after: Some(json!({ "mustVerifyEmail": is_new })),
        ..audit::Entry::new(actor, action, "UserProfile", id, Some(request_id))
    };
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    metrics::counter!("gx_registrations_total").increment(u64::from(is_new));
    tracing::info!(request_id, "a registration waits for its mail to be confirmed");
    Ok(())
}
