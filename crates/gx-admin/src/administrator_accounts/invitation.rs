//! Invitations: a new administrator gets a token with which to set the first password, once. Called
//! by the routes of the parent module.

use std::time::Duration;

use gx_auth::{Administrator, Email, NewPassword, PasswordOwner, PasswordRefusal, audit};
use gx_db::{AdminId, PgConnection};
use gx_serve::idempotency::is_repeated;
use gx_serve::{Entropy, Problem};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use time::OffsetDateTime;

use super::store::{self, AdministratorItem};
use super::{ADMINISTRATOR_EXISTS, INVALID_INVITATION, NewAccount};
use crate::ServiceState;

/// How long an invitation is valid.
const LIFETIME: Duration = Duration::from_hours(24);
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

/// An invited administrator.
pub(crate) struct Invited {
    pub(crate) account: AdministratorItem,
    /// The token and the time of its end. `None` if a repeated request finds it used.
    pub(crate) token: Option<(SecretString, OffsetDateTime)>,
}

/// Adds an administrator without a password, and writes the audit row. If the same request has
/// finished before (SEC-API-02), replaces the token of that invitation instead.
pub(crate) async fn invite(
    state: &ServiceState,
    who: &Administrator,
    new: &NewAccount<'_>,
) -> Result<Invited, Problem> {
    let base = &state.base;
    let now = base.clock.now();
    let token = new_token(&base.entropy);
    if is_repeated() {
        return invite_again(state, new.email, token).await;
    }
    // A password that nobody knows.
    let nobody = hex::encode(base.entropy.bytes::<TOKEN_BYTES>());
    let hash = base.auth.hasher.hash(&nobody.into()).await?;
    let admin_id = AdminId::from(base.entropy.id(now).to_string());
    let mut tx = base.begin().await?;
    store::insert(&mut tx, &admin_id, new, &hash, now).await.map_err(|error| {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("AdminUser_email_key") => {
                let detail = "Change the role of that account, or give another address.";
                Problem::new(&ADMINISTRATOR_EXISTS, detail)
            }
            _ => error.into(),
        }
    })?;
    let expires_at =
        store::set_invitation(&mut tx, &admin_id, &token_hash(&token), LIFETIME).await?;
    let entry = audit::Entry {
        after: Some(json!({ "role": new.role.name() })),
        ..who.audit_entry("admin.invited", "AdminUser", Some(admin_id.as_str()))
    };
    audit::append(&mut tx, entry, now).await?;
    let account = stored(&mut tx, &admin_id).await?;
    tx.commit().await?;
    Ok(Invited { account, token: Some((token, expires_at)) })
}

async fn invite_again(
    state: &ServiceState,
    email: &Email,
    token: SecretString,
) -> Result<Invited, Problem> {
    let mut conn = state.base.connection().await?;
    let admin_id = store::id_by_email(&mut conn, email.as_str()).await?;
    let admin_id = admin_id.ok_or_else(invalid)?;
    let hash = token_hash(&token);
    let expires_at = store::replace_invitation(&mut conn, &admin_id, &hash, LIFETIME).await?;
    let account = stored(&mut conn, &admin_id).await?;
    Ok(Invited { account, token: expires_at.map(|at| (token, at)) })
}

async fn stored(conn: &mut PgConnection, admin_id: &AdminId) -> Result<AdministratorItem, Problem> {
    store::administrator(conn, admin_id).await?.ok_or_else(invalid)
}

/// Sets the first password of an invited administrator, uses the invitation up and writes the audit
/// row. A problem means that the invitation is still valid, if it was.
pub(crate) async fn set_first_password(
    state: &ServiceState,
    token: &SecretString,
    password: &NewPassword,
    request_id: &str,
) -> Result<(), Problem> {
    let base = &state.base;
    let hash = token_hash(token);
    let invited = store::invited(&mut *base.connection().await?, &hash).await?;
    let invited = invited.ok_or_else(invalid)?;
    let names = [invited.display_name.as_str()];
    let owner = PasswordOwner { names: &names, email: &invited.email };
    let refused = |refusal: PasswordRefusal| refusal.problem("/newPassword");
    password.check(owner).map_err(refused)?;
    let password_hash = base.auth.hasher.hash_new(password).await?.map_err(refused)?;
    let now = base.clock.now();
    let _ticket = base.row_ticket(invited.admin_id.as_str()).await?;
    let mut tx = base.begin().await?;
    if !store::use_invitation(&mut tx, &hash).await?
        || !store::set_password(&mut tx, &invited.admin_id, &password_hash, now).await?
    {
        // Another request has used it, or the account was locked meanwhile.
        return Err(invalid());
    }
    let (actor, id) = (audit::Actor::Admin(&invited.admin_id), Some(invited.admin_id.as_str()));
    let entry = audit::Entry::new(actor, "admin.password_set", "AdminUser", id, Some(request_id));
    audit::append(&mut tx, entry, now).await?;
    Ok(tx.commit().await?)
}

fn invalid() -> Problem {
    Problem::new(&INVALID_INVITATION, "Ask a SUPER_ADMIN for another invitation.")
}

fn new_token(entropy: &Entropy) -> SecretString {
    hex::encode(entropy.bytes::<TOKEN_BYTES>()).into()
}

/// Returns the SHA-256 of a token, which has so many random bits that the hash needs no salt.
fn token_hash(token: &SecretString) -> Vec<u8> {
    let text = token.expose_secret().as_bytes();
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text).as_ref().to_vec()
}
