//! Makes the token of a mail when it is first sent. Called by the sender of mails.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gx_db::PgConnection;
use gx_mail::{ClaimedMail, MailContent, MailKind, MailOwner, Prepare};
use gx_serve::Entropy;
use time::OffsetDateTime;

use super::store::{self, MailedAccount, NewToken};
use super::{
    CODE_LIFE, GivenCode, GivenToken, INVITATION_LIFE, TOKEN_LIFE, TokenPurpose, password_mark,
};
use crate::email::GivenEmail;
use crate::foundation::Foundation;
use crate::key_ring::KeyRing;
use crate::realm::{Realm, Subject};

/// Makes codes and tokens of mails.
#[derive(Clone)]
pub struct MailPreparer {
    ring: KeyRing,
    entropy: Entropy,
}

impl MailPreparer {
    /// Creates it from a service's resources.
    pub fn new(base: &Foundation) -> Self {
        Self { ring: base.key_ring.clone(), entropy: base.entropy.clone() }
    }

    async fn make(
        &self,
        conn: &mut PgConnection,
        mail: &ClaimedMail,
        now: OffsetDateTime,
    ) -> Result<Option<MailContent>, sqlx::Error> {
        let Some(account) = account_of(conn, mail).await? else { return Ok(None) };
        let (purpose, address, life) = match mail.kind {
            MailKind::EmailVerification if !account.is_verified => {
                (TokenPurpose::VerifyEmail, account.email.clone(), TOKEN_LIFE)
            }
            MailKind::EmailChange if may_change(conn, &account.subject, &mail.content).await? => {
                (TokenPurpose::ChangeEmail, mail.content.to.clone(), TOKEN_LIFE)
            }
            MailKind::PasswordReset if !account.is_locked => {
                (TokenPurpose::ResetPassword, account.email.clone(), TOKEN_LIFE)
            }
            // Once a password is set, there is no invitation any more.
            MailKind::AdminInvitation
                if !account.is_locked
                    && store::extend_invitation(conn, &account.subject, now + INVITATION_LIFE)
                        .await? =>
            {
                (TokenPurpose::ResetPassword, account.email.clone(), INVITATION_LIFE)
            }
            _ => return Ok(None),
        };
        let token = GivenToken::draw(&self.entropy);
        let code = GivenCode::draw(&self.entropy);
        let has_code = purpose != TokenPurpose::ResetPassword;
        let code_hash = has_code.then(|| code.hashes(&self.ring, &mail.mail_id)[0]);
        let new = NewToken {
            token_id: &mail.mail_id,
            purpose,
            owner: &account.subject,
            address: &address,
            token_hash: token.hash(),
            code_hash,
            now,
            code_expires_at: now + CODE_LIFE,
            expires_at: now + life,
        };
        store::insert(conn, &new).await?;
        Ok(Some(MailContent {
            to: address,
            typed: None,
            password_mark: None,
            token: Some(token.expose().to_owned()),
            code: has_code.then(|| code.expose().to_owned()),
            ..mail.content.clone()
        }))
    }
}

impl Prepare for MailPreparer {
    fn prepare<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        mail: &'a ClaimedMail,
        now: OffsetDateTime,
    ) -> BoxFuture<'a, Result<Option<MailContent>, sqlx::Error>> {
        self.make(conn, mail, now).boxed()
    }
}

/// Returns whether an account may get the address to which a mail goes: it is not locked, its
/// password has not changed since the mail was asked for, and no other account has the address. The
/// account stays locked in the transaction, so that a change of the password ends the token, too.
async fn may_change(
    conn: &mut PgConnection,
    subject: &Subject,
    content: &MailContent,
) -> Result<bool, sqlx::Error> {
    let Some(account) = store::lock_account(conn, subject).await? else { return Ok(false) };
    let mark = password_mark(&account.password_hash);
    Ok(!account.is_locked
        && content.password_mark.as_deref() == Some(mark.as_str())
        && !store::is_taken(conn, subject, &content.to).await?)
}

/// Returns the account of a mail, or `None` if there is none.
async fn account_of(
    conn: &mut PgConnection,
    mail: &ClaimedMail,
) -> Result<Option<MailedAccount>, sqlx::Error> {
    let subject = match &mail.owner {
        MailOwner::Person(id) => Subject::User(id.clone()),
        MailOwner::Admin(id) => Subject::Admin(id.clone()),
        MailOwner::Unknown => {
            let realm = if mail.content.is_admin { Realm::Admin } else { Realm::User };
            let typed = mail.content.typed.as_deref().unwrap_or(&mail.content.to);
            return store::account_by_email(conn, realm, &GivenEmail::new(typed)).await;
        }
    };
    store::account(conn, &subject).await
}
