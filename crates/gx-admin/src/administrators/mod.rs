//! Adds administrators, and opens and ends their sessions. Called by `gx admin create`, by the
//! first start of `gx dev` and by the session routes of svc-admin.

pub(crate) mod http;
pub(crate) mod passkey_check;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{
    AdminRole, Administrator, Credentials, DeviceToken, Email, Hasher, NewPassword,
    PASSKEY_REQUIRED, PassedFactor, PasskeySignIn, PasswordOwner, PasswordRefusal, Realm,
    SignInAccount, Subject, TokenPair, audit, invalid_credentials, is_refusal,
};
use gx_db::{AdminId, PgConnection};
use gx_serve::fields::FieldError;
use gx_serve::{Client, Entropy, Problem, ProblemKind};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::Acquire;
use time::OffsetDateTime;

use crate::ServiceState;
pub(crate) use store::AdministratorRow;

/// The password is right, and a second factor must be enrolled before the sign-in.
pub(crate) const SECOND_FACTOR_ENROLMENT_REQUIRED: ProblemKind = ProblemKind::new(
    "second_factor_enrolment_required",
    403,
    "An administrator needs a second factor",
);

/// An administrator to add.
#[derive(Clone, Debug)]
pub struct NewAdministrator {
    /// E-mail address to sign in with.
    pub email: String,
    /// Name that other administrators see.
    pub display_name: String,
    /// Role that decides which routes they may call.
    pub role: AdminRole,
    /// Password to sign in with.
    pub password: NewPassword,
}

/// The reason that an administrator was not added.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// An administrator has this e-mail address.
    #[error("{0} is already an administrator; give another e-mail address")]
    Exists(String),
    /// The text is not an e-mail address.
    #[error("the e-mail address {}; correct `--email`", .0.message)]
    Email(FieldError),
    /// The password breaks a rule.
    #[error("the password {}; choose another one", .0.field_error().message)]
    Password(PasswordRefusal),
    /// The hash could not be computed.
    #[error("the password cannot be hashed; report this with the log")]
    Hashing,
    /// The database failed.
    #[error("the administrator cannot be stored; check the database and its log")]
    Database(#[from] sqlx::Error),
}

/// A new session with its administrator, and the token of the device.
pub(crate) struct OpenedSession {
    pub(crate) tokens: TokenPair,
    pub(crate) administrator: AdministratorRow,
    pub(crate) device: DeviceToken,
}

/// Returns whether any administrator exists.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn has_administrators(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    store::exist(conn).await
}

/// Adds an administrator and the audit row in one transaction, and returns the new id. `by` is the
/// name of the command that adds it.
///
/// # Errors
/// [`CreateError`] says which value is refused; nothing is added then.
pub async fn create_administrator(
    conn: &mut PgConnection,
    hasher: &Hasher,
    entropy: &Entropy,
    new: &NewAdministrator,
    by: &str,
    now: OffsetDateTime,
) -> Result<AdminId, CreateError> {
    let email = Email::parse(&new.email).map_err(CreateError::Email)?.as_str().to_owned();
    let subject = PasswordOwner { names: &[&new.display_name], email: &email };
    new.password.check(subject).map_err(CreateError::Password)?;
    let hashed = hasher.hash_new(&new.password).await.map_err(|_| CreateError::Hashing)?;
    let hash = hashed.map_err(CreateError::Password)?;
    let admin_id = AdminId::from(entropy.id(now).to_string());
    let row = AdministratorRow {
        admin_id: admin_id.clone(),
        email: email.clone(),
        display_name: new.display_name.clone(),
        role: new.role.name().to_owned(),
        email_verified: false,
    };
    let mut tx = conn.begin().await?;
    store::insert(&mut tx, &row, &hash, now).await.map_err(|error| {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("AdminUser_email_key") => CreateError::Exists(email),
            _ => error.into(),
        }
    })?;
    let (actor, id) = (audit::Actor::System(by), Some(admin_id.as_str()));
    let entry = audit::Entry {
        after: Some(json!({ "role": new.role.name() })),
        ..audit::Entry::new(actor, "admin.created", "AdminUser", id, None)
    };
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    Ok(admin_id)
}

/// Opens a session for an administrator whose password matches and who passes the second factor,
/// and writes the audit rows. An administrator whose only factor is a passkey must sign in with it.
/// Outside development, one without any factor gets a token to enrol one instead. Any other refusal
/// is `invalid_credentials`, whatever the reason.
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
    let owner = account.as_ref().map(|account| Subject::Admin(account.row.admin_id.clone()));
    let device = base.known_device(&mut conn, owner.as_ref(), device).await?;
    drop(conn);
    let stored = account.as_ref().map(|account| SignInAccount {
        password_hash: account.password_hash.clone(),
        may_sign_in: !account.is_locked,
    });
    let (email, password) = (&given.email, &given.password.0);
    let verified =
        base.compare_password_on(Realm::Admin, email, password, stored, device.as_ref()).await?;
    let Some(account) = account.filter(|_| verified.matches) else {
        log_refusal(request_id);
        return Err(invalid_credentials());
    };
    let (hash, account) = (account.password_hash, account.row);
    let now = base.clock.now();
    let _ticket = base.row_ticket(account.admin_id.as_str()).await?;
    let mut tx = base.begin().await?;
    if !store::lock_if_unchanged(&mut tx, &account.admin_id, &hash).await? {
        log_refusal(request_id);
        return Err(invalid_credentials());
    }
    if let Some(upgraded) = verified.upgrade {
        store::replace_hash(&mut tx, &account.admin_id, &hash, &upgraded).await?;
    }
    let (id, role) = (account.admin_id.as_str(), Some(account.role.as_str()));
    let subject = Subject::Admin(account.admin_id.clone());
    let passed = state.factors.pass(tx, &subject, given.totp.as_ref()).await;
    let (mut tx, factor) = passed.inspect_err(|problem| {
        if is_refusal(problem) {
            log_refusal(request_id);
        }
    })?;
    let sessions = &base.auth.sessions;
    if factor == PassedFactor::NotEnrolled && state.passkeys.exist(&mut tx, &subject).await? {
        return Err(Problem::new(&PASSKEY_REQUIRED, "Sign in with your passkey."));
    }
    if factor == PassedFactor::NotEnrolled && !base.is_development {
        let token = sessions.enrolment_token(&mut tx, &account.admin_id, &hash).await?;
        return Err(enrolment_required(token));
    }
    let tokens = sessions.open(&mut tx, &subject, role, client).await?;
    let device = base.remember_device(&mut tx, &subject, device, client, false).await?;
    append_sign_in(&mut tx, &account.admin_id, None, request_id, now).await?;
    if factor == PassedFactor::RecoveryCode {
        state.factors.append_used_recovery_code(&mut tx, &subject, request_id).await?;
    }
    tx.commit().await?;
    metrics::counter!("gx_admin_logins_total", "outcome" => "success").increment(1);
    tracing::info!(admin = id, request_id, "administrator {id} signed in");
    Ok(OpenedSession { tokens, administrator: account, device })
}

/// Opens a session for an administrator whose passkey has signed the challenge, and writes the
/// audit row. The passkey is the second factor, too. A refusal is `invalid_credentials`, as after a
/// wrong password.
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
    let begun = state.passkeys.begin_session(Realm::Admin, given, request_id).await;
    let mut attempt = begun.inspect_err(log_if_refused)?;
    let account = match attempt.subject().clone() {
        Subject::Admin(id) => store::lock_unlocked(attempt.conn(), &id).await?,
        Subject::User(_) => None,
    };
    let Some(account) = account else {
        log_refusal(request_id);
        return Err(invalid_credentials());
    };
    let opened = attempt.open(Some(&account.role), device, client).await;
    let mut session = opened.inspect_err(log_if_refused)?;
    let (admin_id, now) = (&account.admin_id, state.base.clock.now());
    let after = json!({ "passkeyId": session.passkey_id() });
    append_sign_in(session.conn(), admin_id, Some(after), request_id, now).await?;
    let (tokens, device) = session.commit().await?;
    metrics::counter!("gx_admin_logins_total", "outcome" => "success").increment(1);
    tracing::info!(
        admin = admin_id.as_str(),
        request_id,
        "administrator {admin_id} signed in with a passkey"
    );
    Ok(OpenedSession { tokens, administrator: account, device })
}

/// Appends the audit entry of a sign-in. `after` names the passkey, if one has signed in.
async fn append_sign_in(
    conn: &mut PgConnection,
    admin_id: &AdminId,
    after: Option<Value>,
    request_id: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (actor, id) = (audit::Actor::Admin(admin_id), Some(admin_id.as_str()));
    let entry = audit::Entry {
        after,
        ..audit::Entry::new(actor, "admin.signed_in", "AdminUser", id, Some(request_id))
    };
    audit::append(conn, entry, now).await
}

fn log_refusal(request_id: &str) {
    metrics::counter!("gx_admin_logins_total", "outcome" => "refused").increment(1);
    tracing::info!(request_id, "an administrator's login was refused");
}

fn enrolment_required(token: SecretString) -> Problem {
    let detail = "Enrol one at /api/v1/admin/me/totp or /api/v1/admin/me/passkeys with the \
                  enrolmentToken, then sign in again.";
    Problem::new(&SECOND_FACTOR_ENROLMENT_REQUIRED, detail).with_enrolment_token(token)
}

/// Ends the session of the request, and writes the audit row.
pub(crate) async fn log_out(state: &ServiceState, who: &Administrator) -> Result<(), Problem> {
    let base = &state.base;
    let _ticket = base.row_ticket(who.admin_id.as_str()).await?;
    let mut tx = base.begin().await?;
    let (subject, session) = (Subject::Admin(who.admin_id.clone()), Some(&who.session_id));
    base.auth.sessions.end(&mut tx, &subject, session, "signed out").await?;
    let entry = who.audit_entry("admin.signed_out", "AdminUser", Some(who.admin_id.as_str()));
    audit::append(&mut tx, entry, base.clock.now()).await?;
    Ok(tx.commit().await?)
}
