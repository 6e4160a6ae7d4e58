//! Changes the password of the signed-in person or administrator, and ends all sessions.

mod http;
mod store;

use gx_serve::{Problem, ProblemKind};
use secrecy::SecretString;
use serde_json::json;

use crate::audit;
use crate::devices::{self, DeviceToken};
use crate::email::GivenEmail;
use crate::foundation::Foundation;
use crate::mail_tokens::end_mail_tokens;
use crate::notices::Notice;
use crate::password::{NewPassword, PasswordOwner, PasswordRefusal};
use crate::realm::{Realm, Subject};
use crate::session_owner::SessionOwner;
use crate::session_recheck::recheck;
use crate::sign_in_throttle::SignInAccount;

pub use http::change_password_route;

/// The given password, or the code of the second factor, is not the account's; the answer does not
/// tell which. The status is not 401, because the session is valid.
pub const WRONG_PASSWORD: ProblemKind =
    ProblemKind::new("wrong_password", 403, "The current password or the code is not right");

/// Replaces the password, ends all sessions and all codes and links of mails, forgets the devices
/// except the caller's, and writes the audit row, in one transaction. A wrong current password
/// counts as a failed sign-in.
async fn change(
    base: &Foundation,
    owner: &SessionOwner,
    current: &SecretString,
    new: &NewPassword,
    device: Option<&DeviceToken>,
) -> Result<(), Problem> {
    let realm = owner.subject.realm();
    let account = store::account(&mut *base.connection().await?, &owner.subject).await?;
    let stored = SignInAccount { password_hash: account.password_hash.clone(), may_sign_in: true };
    let email = GivenEmail::new(&account.email);
    let compared = base.compare_password(realm, &email, current, Some(stored)).await?;
    if !compared.matches {
        return Err(refuse_wrong_password(realm, &owner.request_id));
    }
    let names: Vec<&str> = account.names.iter().map(String::as_str).collect();
    let rules = PasswordOwner { names: &names, email: &account.email };
    let refused = |refusal: PasswordRefusal| refusal.problem("/newPassword");
    new.check(rules).map_err(refused)?;
    let hash = base.auth.hasher.hash_new(new).await?.map_err(refused)?;
    store_change(base, owner, [&account.password_hash, &hash], device).await
}

async fn store_change(
    base: &Foundation,
    owner: &SessionOwner,
    [old_hash, new_hash]: [&str; 2],
    device: Option<&DeviceToken>,
) -> Result<(), Problem> {
    let subject = &owner.subject;
    let now = base.clock.now();
    let _ticket = base.row_ticket(subject.as_str()).await?;
    let mut tx = base.begin().await?;
    if !store::replace(&mut tx, subject, old_hash, new_hash, now).await? {
        // Another request has changed the password since it was compared.
        return Err(wrong_password());
    }
    recheck(base, &mut tx, owner).await?;
    end_mail_tokens(&mut tx, subject).await?;
    devices::forget_all(&mut tx, subject, device).await?;
    let because = "password changed";
    let ended = base.auth.sessions.end(&mut tx, subject, None, because).await?;
    let (action, table) = match subject {
        Subject::User(_) => ("user.password_changed", "UserProfile"),
        Subject::Admin(_) => ("admin.password_changed", "AdminUser"),
    };
    let entry = audit::Entry {
        after: Some(json!({ "ended": ended })),
        ..owner.audit_entry(action, table, Some(subject.as_str()))
    };
    audit::append(&mut tx, entry, now).await?;
    base.mailing().notify(&mut tx, subject, Notice::PasswordChanged).await?;
    Ok(tx.commit().await?)
}

/// Counts and logs a change whose password is wrong, and returns its problem.
pub(crate) fn refuse_wrong_password(realm: Realm, request_id: &str) -> Problem {
    metrics::counter!("gx_wrong_passwords_total", "realm" => realm.name()).increment(1);
    tracing::info!(request_id, "a change was refused: the password is wrong");
    wrong_password()
}

/// Returns the one answer in a valid session to a wrong password and a wrong code.
pub(crate) fn wrong_password() -> Problem {
    Problem::new(&WRONG_PASSWORD, "Check what you sent and try again.")
}
