//! How tokens and codes of mails are made. gx-auth implements it; the sender calls it before the
//! first delivery of a mail that needs them.

use futures_util::future::BoxFuture;
use gx_db::PgConnection;
use time::OffsetDateTime;

use crate::content::MailContent;
use crate::kind::MailKind;
use crate::queue::MailOwner;

/// A mail that was taken, with its content.
#[derive(Debug)]
pub struct ClaimedMail {
    /// Its id.
    pub mail_id: String,
    /// What it is about.
    pub kind: MailKind,
    /// The account that it is for.
    pub owner: MailOwner,
    /// What it is made from.
    pub content: MailContent,
}

/// Makes tokens and codes of mails, at the moment when they are sent. A request that asked
/// for the mail has only queued it, so that it took the same time for every address.
pub trait Prepare: Send + Sync {
    /// Stores a token in the transaction and returns the content with it. Returns `None` if the
    /// mail has no receiver any more. The content may have a token that was drawn for an
    /// earlier try; it is no longer stored.
    fn prepare<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        mail: &'a ClaimedMail,
        now: OffsetDateTime,
    ) -> BoxFuture<'a, Result<Option<MailContent>, sqlx::Error>>;
}

/// Makes no tokens, for tests of the queue.
pub struct NothingToPrepare;

impl Prepare for NothingToPrepare {
    fn prepare<'a>(
        &'a self,
        _: &'a mut PgConnection,
        mail: &'a ClaimedMail,
        _: OffsetDateTime,
    ) -> BoxFuture<'a, Result<Option<MailContent>, sqlx::Error>> {
        Box::pin(std::future::ready(Ok(Some(mail.content.clone()))))
    }
}
