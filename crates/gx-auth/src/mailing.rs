//! Adds mails to the queue. Called by everything that mails a person or an administrator.

use gx_db::{AdminId, PgConnection};
use gx_mail::{MailContent, MailKind, MailOwner, NewMail};
use gx_model::Clock;
use gx_serve::Entropy;

use crate::email::GivenEmail;
use crate::key_ring::KeyRing;
use crate::realm::Subject;

/// What a mail needs to be queued. Clones share everything.
#[derive(Clone)]
pub struct Mailing {
    ring: KeyRing,
    entropy: Entropy,
    clock: Clock,
}

impl Mailing {
    /// Creates it. [`Foundation::mailing`](crate::Foundation::mailing) does so for services.
    pub(crate) fn new(ring: KeyRing, entropy: Entropy, clock: Clock) -> Self {
        Self { ring, entropy, clock }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Queues a mail in the caller's transaction.
    ///
    /// # Errors
    /// `sqlx::Error` if the statement fails.
    pub(crate) async fn enqueue(
        &self,
        conn: &mut PgConnection,
        kind: MailKind,
        owner: &MailOwner,
        content: &MailContent,
    ) -> Result<(), sqlx::Error> {
        let now = self.clock.now();
        let mail_id = self.entropy.id(now).to_string();
        let new = NewMail { mail_id, kind, owner, content };
        gx_mail::enqueue(conn, &self.ring, &new, now).await
    }

    /// Queues the mail with which a new administrator sets the first password. The invitation is
    /// stored in the caller's transaction, too.
    ///
    /// # Errors
    /// `sqlx::Error` if the statement fails.
    pub async fn invite(
        &self,
        conn: &mut PgConnection,
        admin_id: &AdminId,
        email: &str,
    ) -> Result<(), sqlx::Error> {
        let owner = MailOwner::Admin(admin_id.clone());
        let content =
            MailContent { to: email.to_owned(), is_admin: true, ..MailContent::default() };
        self.enqueue(conn, MailKind::AdminInvitation, &owner, &content).await
    }

    /// Queues the mail about a registration that must be confirmed: a code and a link for a new
    /// account, and a notice if the address already had one. That account may be unconfirmed:
    /// the notice says how to get another code.
    ///
    /// # Errors
    /// `sqlx::Error` if the statement fails.
    pub async fn welcome(
        &self,
        conn: &mut PgConnection,
        email: &GivenEmail,
        is_new: bool,
    ) -> Result<(), sqlx::Error> {
        let kind = match is_new {
            true => MailKind::EmailVerification,
            false => MailKind::AlreadyRegistered,
        };
        let content = MailContent {
            to: email.form().to_owned(),
            typed: Some(email.typed().to_owned()),
            ..MailContent::default()
        };
        self.enqueue(conn, kind, &MailOwner::Unknown, &content).await
    }
}

/// Returns the account of a mail.
pub(crate) fn owner_of(subject: &Subject) -> MailOwner {
    match subject {
        Subject::User(id) => MailOwner::Person(id.clone()),
        Subject::Admin(id) => MailOwner::Admin(id.clone()),
    }
}
