//! Sets a new password with the link of a mail, for people and administrators who have forgotten
//! theirs. The second factor is neither asked for nor removed, unless the reset is what confirms a
//! person's address for the first time.

mod http;
mod store;

use gx_db::PgConnection;
use gx_mail::MailKind;
use gx_serve::Problem;
use serde_json::json;

pub use self::http::{forgot_password_route, reset_password_route};
use crate::audit;
use crate::devices;
use crate::email::GivenEmail;
use crate::email_confirmation::request_by_address;
use crate::foundation::Foundation;
use crate::mail_tokens::{
    self, GivenToken, TokenPurpose, end_mail_tokens, invalid, store::lock_account,
};
use crate::notices::{FactorChange, Notice, factor_changed};
use crate::passkeys::Passkeys;
use crate::password::{NewPassword, PasswordOwner, PasswordRefusal};
use crate::realm::{Realm, Subject};
use crate::second_factor::SecondFactors;

/// Queues the mail with the link. An address without an account costs the same work: which account
/// has it is looked up when the mail is sent (AUTHN-10).
async fn request(base: &Foundation, realm: Realm, email: &GivenEmail) -> Result<(), Problem> {
    request_by_address(base, realm, MailKind::PasswordReset, email).await
}

/// Sets the password, ends all sessions, all codes and links of mails and an administrator's
/// invitation, and forgets failed sign-ins and known devices, in one transaction. Removes the
/// factors of an unconfirmed account.
async fn reset(
    base: &Foundation,
    realm: Realm,
    token: &GivenToken,
    new: &NewPassword,
    request_id: &str,
) -> Result<(), Problem> {
    let hash = token.hash();
    let purposes = [TokenPurpose::ResetPassword.name().to_owned()];
    let mut conn = base.connection().await?;
    let now = base.clock.now();
    let subject = mail_tokens::store::subject_of_token(&mut conn, realm, &hash, &purposes, now);
    let subject = subject.await?.ok_or_else(refused)?;
    let account = store::account(&mut conn, &subject).await?.ok_or_else(refused)?;
    drop(conn);
    let names: Vec<&str> = account.names.iter().map(String::as_str).collect();
    let rules = PasswordOwner { names: &names, email: &account.mailbox };
    let weak = |refusal: PasswordRefusal| refusal.problem("/newPassword");
    new.check(rules).map_err(weak)?;
    let password_hash = base.auth.hasher.hash_new(new).await?.map_err(weak)?;

    let _ticket = base.row_ticket(subject.as_str()).await?;
    let mut tx = base.begin().await?;
    let locked = lock_account(&mut tx, &subject).await?.ok_or_else(refused)?;
    let used = mail_tokens::use_token(&mut tx, realm, token, &purposes, now).await?;
    let Some(used) = used else { return Err(refused()) };
    if !store::set_password(&mut tx, &subject, &password_hash, &used.address, now).await? {
        return Err(refused());
    }
    end_mail_tokens(&mut tx, &subject).await?;
    devices::forget_all(&mut tx, &subject, None).await?;
    let email = GivenEmail::new(&account.mailbox);
    base.forget_sign_in_failures(&mut tx, realm, &email).await?;
    let sessions = &base.auth.sessions;
    let ended = sessions.end(&mut tx, &subject, None, "password reset").await?;
    base.mailing().notify(&mut tx, &subject, Notice::PasswordChanged).await?;
    let mut after = json!({ "ended": ended });
    if let Subject::Admin(id) = &subject
        && store::end_invitation(&mut tx, id).await?
    {
        after["wasInvited"] = true.into();
    }
    if realm == Realm::User && !locked.is_verified {
        after["factorsRemoved"] = remove_factors(base, &mut tx, &subject).await?.into();
    }
    let (actor, action, table) = match &subject {
        Subject::User(id) => (audit::Actor::User(id), "user.password_reset", "UserProfile"),
        Subject::Admin(id) => (audit::Actor::Admin(id), "admin.password_reset", "AdminUser"),
    };
    let id = Some(subject.as_str());
    let entry = audit::Entry {
        after: Some(after),
        ..audit::Entry::new(actor, action, table, id, Some(request_id))
    };
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    metrics::counter!("gx_mail_tokens_total", "outcome" => "accepted").increment(1);
    Ok(())
}

/// Removes the authenticator and the passkeys of a person whose address a reset confirms for the
/// first time, and returns how many there were. Somebody else may have registered the address and
/// added them. An administrator's account is added by GX and not by anybody who knows an address,
/// so that its factors stay.
async fn remove_factors(
    base: &Foundation,
    conn: &mut PgConnection,
    subject: &Subject,
) -> Result<u64, sqlx::Error> {
    let factors = SecondFactors::new(base);
    let had_totp = factors.remove(conn, subject).await?;
    let passkeys = Passkeys::new(base, &factors).remove_all(conn, subject).await?;
    let mailing = base.mailing();
    if had_totp {
        factor_changed(&mailing, conn, subject, FactorChange::TotpDisabled).await?;
    }
    if passkeys > 0 {
        factor_changed(&mailing, conn, subject, FactorChange::PasskeyRemoved).await?;
    }
    Ok(passkeys + u64::from(had_totp))
}

fn refused() -> Problem {
    metrics::counter!("gx_mail_tokens_total", "outcome" => "refused").increment(1);
    invalid()
}
