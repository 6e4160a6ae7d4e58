//! Confirms e-mail addresses: the one that an account has, and one that it is to have. Both realms
//! have the routes in `http`.

mod http;
mod store;

use gx_db::PgConnection;
use gx_mail::{MailContent, MailKind, MailOwner};
use gx_serve::problem::InvalidField;
use gx_serve::{Problem, ProblemKind};
use secrecy::SecretString;
use serde_json::json;
use time::OffsetDateTime;

pub use self::http::{change_email_route, email_verification_route, verify_email_route};
use crate::audit;
use crate::email::{Email, GivenEmail};
use crate::foundation::Foundation;
use crate::mail_tokens::{
    self, GivenCode, GivenToken, TokenPurpose, UsedToken, end_mail_tokens, invalid, password_mark,
    store::account, store::account_by_email, store::lock_account, store::subject_of_token,
};
use crate::mailing::owner_of;
use crate::notices::Notice;
use crate::password_change::{refuse_wrong_password, wrong_password};
use crate::realm::{Realm, Subject};
use crate::session_owner::SessionOwner;
use crate::session_recheck::recheck_and_lock;
use crate::sign_in_throttle::SignInAccount;

/// Another account has this mailbox.
pub const EMAIL_TAKEN: ProblemKind =
    ProblemKind::new("email_taken", 409, "Another account has this e-mail address");

/// How a mail proves that its reader has the mailbox.
enum EmailProof {
    /// By the token of its link.
    Token(GivenToken),
    /// By its code, which belongs to the account of the session or to that of an address.
    Code { code: GivenCode, owner: Option<Subject>, email: Option<GivenEmail> },
}

/// Queues a mail that confirms the address of the signed-in account.
async fn request_own(base: &Foundation, owner: &SessionOwner) -> Result<(), Problem> {
    let subject = &owner.subject;
    let is_admin = subject.realm() == Realm::Admin;
    let content = MailContent { is_admin, ..MailContent::default() };
    let mut tx = base.begin().await?;
    let mailing = base.mailing();
    mailing.enqueue(&mut tx, MailKind::EmailVerification, &owner_of(subject), &content).await?;
    Ok(tx.commit().await?)
}

/// Queues a mail about an address, whether or not an account has it (AUTHN-10).
pub(crate) async fn request_by_address(
    base: &Foundation,
    realm: Realm,
    kind: MailKind,
    email: &GivenEmail,
) -> Result<(), Problem> {
    let content = MailContent {
        to: email.form().to_owned(),
        typed: Some(email.typed().to_owned()),
        is_admin: realm == Realm::Admin,
        ..MailContent::default()
    };
    let mut tx = base.begin().await?;
    base.mailing().enqueue(&mut tx, kind, &MailOwner::Unknown, &content).await?;
    Ok(tx.commit().await?)
}

/// Returns the address of the signed-in account.
async fn own_address(base: &Foundation, owner: &SessionOwner) -> Result<String, Problem> {
    let account = account(&mut *base.connection().await?, &owner.subject).await?;
    let account = account.ok_or_else(|| Problem::unauthenticated("Sign in again.", true))?;
    Ok(account.email)
}

/// Confirms an address: sets the account's address as confirmed, or changes it. A registration that
/// must be confirmed needs its password, too: somebody else may have registered the address, and
/// the owner of the mailbox must not open that account by confirming.
async fn confirm(
    base: &Foundation,
    realm: Realm,
    proof: &EmailProof,
    password: Option<&SecretString>,
    request_id: &str,
) -> Result<(), Problem> {
    let now = base.clock.now();
    let purposes = TokenPurpose::of_addresses();
    let owner = proof.owner(base, realm, &purposes).await?;
    let matched = matched_hash(base, realm, proof, owner.as_ref(), password).await?;
    let _ticket = base.row_ticket(&proof.queue(owner.as_ref())).await?;
    let mut tx = base.begin().await?;
    // The account is locked before its tokens: uses of two mails of one account wait in order.
    let nobody = Subject::User(String::new().into());
    let account = lock_account(&mut tx, owner.as_ref().unwrap_or(&nobody)).await?;
    let used = match proof {
        EmailProof::Token(token) => {
            mail_tokens::use_token(&mut tx, realm, token, &purposes, now).await?
        }
        EmailProof::Code { code, .. } => {
            let ring = &base.key_ring;
            mail_tokens::use_code(&mut tx, ring, owner.as_ref(), code, &purposes, now).await?
        }
    };
    let Some((used, account)) = used.zip(account) else {
        // The counted failure stays.
        tx.commit().await?;
        metrics::counter!("gx_mail_tokens_total", "outcome" => "refused").increment(1);
        return Err(invalid());
    };
    if account.must_verify_email && matched.as_ref() != Some(&account.password_hash) {
        // Nothing is committed, so that the code or link can be sent again.
        if password.is_none() {
            return Err(password_required());
        }
        return Err(refuse_wrong_password(realm, request_id));
    }
    if used.purpose == TokenPurpose::ChangeEmail.name() {
        change(base, &mut tx, &used, &account.email, request_id, now).await?;
        // A link that went to the former address must not open the account.
        end_mail_tokens(&mut tx, &used.subject).await?;
    } else if !store::set_verified(&mut tx, &used.subject, &used.address, now).await? {
        // The account has another address by now.
        tx.commit().await?;
        return Err(invalid());
    } else {
        let action = match used.subject {
            Subject::User(_) => "user.email_verified",
            Subject::Admin(_) => "admin.email_verified",
        };
        append(&mut tx, &used.subject, action, request_id, now).await?;
        mail_tokens::store::delete_all(&mut tx, &used.subject, &purposes).await?;
    }
    tx.commit().await?;
    metrics::counter!("gx_mail_tokens_total", "outcome" => "accepted").increment(1);
    Ok(())
}

/// Compares a password that was sent with a proof, and returns the hash of the account if it
/// matches. The comparison counts as a sign-in, and is the same if an address has no account
/// (AUTHN-10).
async fn matched_hash(
    base: &Foundation,
    realm: Realm,
    proof: &EmailProof,
    owner: Option<&Subject>,
    password: Option<&SecretString>,
) -> Result<Option<String>, Problem> {
    let Some(password) = password else { return Ok(None) };
    let nobody = Subject::User(String::new().into());
    let mut conn = base.connection().await?;
    let found = store::credentials(&mut conn, owner.unwrap_or(&nobody)).await?;
    drop(conn);
    let email = match (&found, proof) {
        (Some(found), _) => GivenEmail::new(&found.mailbox),
        (None, EmailProof::Code { email: Some(email), .. }) => email.clone(),
        (None, _) => return Ok(None),
    };
    let hash = found.map(|found| found.password_hash);
    let stored = hash.clone();
    let stored = stored.map(|password_hash| SignInAccount { password_hash, may_sign_in: true });
    let compared = base.compare_password(realm, &email, password, stored).await?;
    Ok(hash.filter(|_| compared.matches))
}

/// Returns the problem of a proof that needs the password of the registration. Only a client with
/// the right code or token sees it.
fn password_required() -> Problem {
    Problem::invalid(vec![InvalidField {
        pointer: "/password".to_owned(),
        code: "required",
        message: "the password of the registration is required".to_owned(),
    }])
}

impl EmailProof {
    /// Returns the account that the proof is about, or `None` if there is none.
    async fn owner(
        &self,
        base: &Foundation,
        realm: Realm,
        purposes: &[String],
    ) -> Result<Option<Subject>, Problem> {
        let mut conn = base.connection().await?;
        Ok(match self {
            Self::Token(token) => {
                let (hash, now) = (token.hash(), base.clock.now());
                subject_of_token(&mut conn, realm, &hash, purposes, now).await?
            }
            Self::Code { owner: Some(owner), .. } => Some(owner.clone()),
            Self::Code { email: Some(email), .. } => {
                let account = account_by_email(&mut conn, realm, email).await?;
                account.map(|account| account.subject)
            }
            Self::Code { .. } => None,
        })
    }

    /// Returns the name of the queue in which the request waits: that of the account, or one of the
    /// proof if there is no account.
    fn queue(&self, owner: Option<&Subject>) -> String {
        match (owner, self) {
            (Some(owner), _) => owner.as_str().to_owned(),
            (None, Self::Token(token)) => format!("mail token {}", hex::encode(token.hash())),
            (None, Self::Code { email, .. }) => {
                format!("mail code {}", email.as_ref().map_or("", GivenEmail::form))
            }
        }
    }
}

/// Gives the account the address that the mail went to, and tells the former one.
async fn change(
    base: &Foundation,
    conn: &mut PgConnection,
    used: &UsedToken,
    former: &str,
    request_id: &str,
    now: OffsetDateTime,
) -> Result<(), Problem> {
    let subject = &used.subject;
    if !store::set_email(conn, subject, &used.address, now).await.map_err(taken)? {
        return Err(invalid());
    }
    let notice = Notice::EmailChanged { former };
    base.mailing().notify(conn, subject, notice).await?;
    let action = match subject {
        Subject::User(_) => "user.email_changed",
        Subject::Admin(_) => "admin.email_changed",
    };
    Ok(append(conn, subject, action, request_id, now).await?)
}

fn taken(error: sqlx::Error) -> Problem {
    let constraint = error.as_database_error().and_then(|error| error.constraint());
    match constraint {
        Some("UserProfile_email_key" | "UserProfile_mailbox_key" | "AdminUser_email_key") => {
            Problem::new(&EMAIL_TAKEN, "Ask for another address.").with_errors(vec![InvalidField {
                pointer: "/newEmail".to_owned(),
                code: "taken",
                message: "belongs to an account already".to_owned(),
            }])
        }
        _ => error.into(),
    }
}

/// Queues the mail that confirms another address, and tells the present one. A wrong password
/// counts as a failed sign-in.
async fn request_change(
    base: &Foundation,
    owner: &SessionOwner,
    password: &SecretString,
    new: &Email,
) -> Result<(), Problem> {
    let subject = &owner.subject;
    let found = store::credentials(&mut *base.connection().await?, subject).await?;
    let found = found.ok_or_else(|| Problem::unauthenticated("Sign in again.", true))?;
    let hash = found.password_hash;
    let stored = SignInAccount { password_hash: hash.clone(), may_sign_in: true };
    let email = GivenEmail::new(&found.mailbox);
    let compared = base.compare_password(subject.realm(), &email, password, Some(stored)).await?;
    if !compared.matches {
        return Err(refuse_wrong_password(subject.realm(), &owner.request_id));
    }
    let now = base.clock.now();
    let is_admin = subject.realm() == Realm::Admin;
    let to = new.as_str().to_owned();
    let password_mark = Some(password_mark(&hash));
    let content =
        MailContent { to, is_admin, at: Some(now), password_mark, ..MailContent::default() };
    let mailing = base.mailing();
    let _ticket = base.row_ticket(subject.as_str()).await?;
    let mut tx = base.begin().await?;
    let locked = lock_account(&mut tx, subject).await?;
    if locked.is_none_or(|account| account.password_hash != hash) {
        // Another request has changed the password since it was compared.
        return Err(wrong_password());
    }
    recheck_and_lock(base, &mut tx, owner).await?;
    // A link of an earlier request must not change the address later.
    let earlier = [TokenPurpose::ChangeEmail.name().to_owned()];
    mail_tokens::store::delete_all(&mut tx, subject, &earlier).await?;
    mailing.enqueue(&mut tx, MailKind::EmailChange, &owner_of(subject), &content).await?;
    mailing.notify(&mut tx, subject, Notice::EmailChangeRequested).await?;
    let (action, table) = match subject {
        Subject::User(_) => ("user.email_change_requested", "UserProfile"),
        Subject::Admin(_) => ("admin.email_change_requested", "AdminUser"),
    };
    let entry = owner.audit_entry(action, table, Some(subject.as_str()));
    audit::append(&mut tx, entry, now).await?;
    Ok(tx.commit().await?)
}

/// Appends an entry about an act that a mail permitted: its reader is the owner of the account.
async fn append(
    conn: &mut PgConnection,
    subject: &Subject,
    action: &str,
    request_id: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (actor, table) = match subject {
        Subject::User(id) => (audit::Actor::User(id), "UserProfile"),
        Subject::Admin(id) => (audit::Actor::Admin(id), "AdminUser"),
    };
    let id = Some(subject.as_str());
    let entry = audit::Entry {
        after: Some(json!({ "by": "mail" })),
        ..audit::Entry::new(actor, action, table, id, Some(request_id))
    };
    audit::append(conn, entry, now).await
}
