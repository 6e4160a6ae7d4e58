//! What a sender of mails works with, and what it reports.

use std::sync::Arc;

use gx_db::PgPool;
use gx_model::Clock;
use lettre::message::Mailbox;

use crate::content::ContentCipher;
use crate::prepare::Prepare;
use crate::settings::MailLinks;
use crate::transport::Transport;

/// What a sender works with. Clones share it.
#[derive(Clone)]
pub struct SenderParts {
    /// Database of the queue.
    pub pool: PgPool,
    /// Encrypts and decrypts contents.
    pub cipher: Arc<dyn ContentCipher>,
    /// Makes tokens and codes.
    pub preparer: Arc<dyn Prepare>,
    /// Where mails go.
    pub transport: Transport,
    /// Sender of all mails.
    pub from: Mailbox,
    /// Where links lead.
    pub links: MailLinks,
    /// Time source.
    pub clock: Clock,
}

/// What one step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepReport {
    /// Mails that were taken.
    pub taken: usize,
    /// Mails that the server has now.
    pub sent: usize,
    /// Mails that were given up.
    pub failed: usize,
    /// Why nothing can be delivered at the moment.
    pub outage: Option<String>,
}
