//! Administrators: how the first one comes to be, and how they sign in.

pub(crate) mod http;
mod store;

use gx_auth::{AdminRole, Administrator, Hasher, NewPassword, PasswordRefusal, Realm, Subject};
use gx_auth::{TokenPair, audit};
use gx_db::PgConnection;
use gx_serve::{Client, Entropy, Problem, ProblemKind};
use secrecy::SecretString;
use serde_json::json;
use sqlx::Acquire;
use time::OffsetDateTime;

use crate::State;
pub(crate) use store::AdministratorRow;

/// Whatever is wrong: the address, the password or the account.
pub(crate) const INVALID_CREDENTIALS: ProblemKind =
    ProblemKind::new("invalid_credentials", 401, "E-mail address and password do not let you in");
/// The refresh token gives nothing.
pub(crate) const INVALID_REFRESH_TOKEN: ProblemKind =
    ProblemKind::new("invalid_refresh_token", 401, "The refresh token is not valid any more");

/// An administrator who is to be added.
#[derive(Clone, Debug)]
pub struct NewAdministrator {
    /// Where to reach them; also what they sign in with.
    pub email: String,
    /// What others see.
    pub display_name: String,
    /// What they may do.
    pub role: AdminRole,
    /// What they sign in with.
    pub password: NewPassword,
}

/// Why an administrator was not added.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The address belongs to one already.
    #[error("{0} is an administrator already")]
    Exists(String),
    /// Not an address.
    #[error("{0} is not an e-mail address")]
    Email(String),
    /// The password is not good enough.
    #[error("the password {}", .0.field_error().message)]
    Password(PasswordRefusal),
    /// No hash could be made.
    #[error("the password could not be hashed")]
    Hashing,
    /// The database failed.
    #[error("the administrator could not be stored")]
    Database(#[from] sqlx::Error),
}

/// Whether there is any administrator at all.
///
/// # Errors
/// The database's.
pub async fn has_administrators(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    store::exist(conn).await
}

/// Adds an administrator and the audit row, in one transaction. `by` names the command or
/// person that did it. Gives the new id.
///
/// # Errors
/// In one sentence, why not.
pub async fn create_administrator(
    conn: &mut PgConnection,
    hasher: &Hasher,
    entropy: &Entropy,
    new: &NewAdministrator,
    by: &str,
    now: OffsetDateTime,
) -> Result<String, CreateError> {
    let email = new.email.trim().to_lowercase();
    if !email.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && domain.len() > 1) {
        return Err(CreateError::Email(email));
    }
    let subject = Subject { names: &[&new.display_name], email: &email };
    new.password.check(subject).map_err(CreateError::Password)?;
    let hash = hasher.hash(new.password.secret()).await.map_err(|_| CreateError::Hashing)?;
    let admin_id = entropy.id(now).to_string();
    let row = AdministratorRow {
        admin_id: admin_id.clone(),
        email: email.clone(),
        display_name: new.display_name.clone(),
        role: new.role.name().to_owned(),
    };
    let mut tx = conn.begin().await?;
    store::insert(&mut tx, &row, &hash, now).await.map_err(|error| {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("AdminUser_email_key") => CreateError::Exists(email),
            _ => error.into(),
        }
    })?;
    let entry = audit::Entry {
        actor: audit::Actor::System(by),
        action: "admin.created",
        target_type: "AdminUser",
        target_id: Some(&admin_id),
        before: None,
        after: Some(json!({ "role": new.role.name() })),
        request_id: None,
    };
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    Ok(admin_id)
}

/// Opens a session for an administrator who knows the password.
pub(crate) async fn log_in(
    state: &State,
    email: &str,
    password: &SecretString,
    client: &Client,
    request_id: &str,
) -> Result<(TokenPair, AdministratorRow), Problem> {
    let base = &state.base;
    let account = store::by_email(&mut *base.connection().await?, &email.to_lowercase()).await?;
    let stored = account.as_ref().map(|account| account.password_hash.clone());
    let verified = base.auth.hasher.verify(password, stored).await?;
    let Some(account) = account.filter(|account| verified.matches && !account.is_locked) else {
        metrics::counter!("gx_admin_logins_total", "outcome" => "refused").increment(1);
        tracing::info!(request_id, "an administrator's login was refused");
        return Err(Problem::new(&INVALID_CREDENTIALS, "Check both and try again."));
    };
    let (hash, account) = (account.password_hash, account.row);
    let now = base.clock.now();
    let mut tx = base.begin().await?;
    if let Some(upgraded) = verified.upgrade {
        store::replace_hash(&mut tx, &account.admin_id, &hash, &upgraded).await?;
    }
    let sessions = &base.auth.sessions;
    let (id, role) = (account.admin_id.as_str(), Some(account.role.as_str()));
    let pair = sessions.open(&mut tx, Realm::Admin, id, role, client).await?;
    audit::append(&mut tx, entry(id, "admin.signed_in", request_id), now).await?;
    tx.commit().await?;
    metrics::counter!("gx_admin_logins_total", "outcome" => "success").increment(1);
    tracing::info!(admin_id = id, request_id, "an administrator signed in");
    Ok((pair, account))
}

/// Ends the administrator's session.
pub(crate) async fn log_out(
    state: &State,
    who: &Administrator,
    request_id: &str,
) -> Result<(), Problem> {
    let base = &state.base;
    let mut tx = base.begin().await?;
    let (id, session) = (&who.admin_id, Some(who.session_id.as_str()));
    base.auth.sessions.end(&mut tx, Realm::Admin, id, session, "signed out").await?;
    audit::append(&mut tx, entry(id, "admin.signed_out", request_id), base.clock.now()).await?;
    Ok(tx.commit().await?)
}

fn entry<'a>(admin_id: &'a str, action: &'a str, request_id: &'a str) -> audit::Entry<'a> {
    audit::Entry {
        actor: audit::Actor::Admin(admin_id),
        action,
        target_type: "AdminUser",
        target_id: Some(admin_id),
        before: None,
        after: None,
        request_id: Some(request_id),
    }
}
