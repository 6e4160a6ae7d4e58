//! Registration: a person comes into being, signed in at once.

pub(crate) mod http;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Realm, TokenPair, audit};
use gx_serve::{Client, Problem, ProblemKind, problem::InvalidField};
use serde_json::json;

use crate::State;
use crate::profile::UserSummary;
use http::Registration;

/// The address has an account.
pub(crate) const EMAIL_TAKEN: ProblemKind =
    ProblemKind::new("email_taken", 409, "This e-mail address has an account");
/// The number has an account.
pub(crate) const PHONE_TAKEN: ProblemKind =
    ProblemKind::new("phone_taken", 409, "This phone number has an account");

/// Adds the person, opens a session and writes the audit row in one transaction.
pub(crate) async fn register(
    state: &State,
    wanted: &Registration,
    client: &Client,
    request_id: &str,
) -> Result<(TokenPair, UserSummary), Problem> {
    let base = &state.base;
    let password_hash = base.auth.hasher.hash(wanted.password.secret()).await?;
    let now = base.clock.now();
    let profile_id = base.entropy.id(now).to_string();
    let mut tx = base.begin().await?;
    let new = store::NewProfile {
        profile_id: &profile_id,
        first_name: &wanted.fname.0,
        last_name: &wanted.lname.0,
        email: &wanted.email.0,
        phone_num: wanted.phone_num.as_ref().map(|phone| phone.0.as_str()),
        password_hash: &password_hash,
        date_of_birth: wanted.date_of_birth.0,
        gender: wanted.gender.0.name(),
        nationality: wanted.nationality_country_code.map(|country| country.0.to_string()),
        now,
    };
    let user = store::insert(&mut tx, &new).await.map_err(taken)?;
    let pair = base.auth.sessions.open(&mut tx, Realm::User, &profile_id, None, client).await?;
    let entry = audit::Entry {
        actor: audit::Actor::User(&profile_id),
        action: "user.registered",
        target_type: "UserProfile",
        target_id: Some(&profile_id),
        before: None,
        after: Some(json!({ "status": user.status })),
        request_id: Some(request_id),
    };
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    metrics::counter!("gx_registrations_total").increment(1);
    tracing::info!(profile_id, request_id, "a person registered");
    Ok((pair, user))
}

/// Tells by the constraint which of the two is taken.
pub(crate) fn taken(error: sqlx::Error) -> Problem {
    let constraint = error.as_database_error().and_then(|error| error.constraint());
    let (kind, pointer) = match constraint {
        Some("UserProfile_email_key") => (&EMAIL_TAKEN, "/email"),
        Some("UserProfile_phoneNum_key") => (&PHONE_TAKEN, "/phoneNum"),
        _ => return error.into(),
    };
    Problem::new(kind, "Sign in, or use another one.").with_errors(vec![InvalidField {
        pointer: pointer.to_owned(),
        code: "taken",
        message: "belongs to an account already".to_owned(),
    }])
}
