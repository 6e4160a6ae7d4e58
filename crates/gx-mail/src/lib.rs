//! Mail to people and administrators.
//!
//! A service adds a mail to the queue in the transaction that causes it ([`enqueue`]). A
//! [`MailSender`] in each process of svc-identity takes mails that are due, one lease at a time,
//! and delivers them by SMTP, or into a folder in development. Addresses, codes and tokens are
//! encrypted while they wait and dropped when they are sent.

mod content;
mod delivery;
mod kind;
mod operator;
mod parts;
mod prepare;
mod queue;
mod sender;
mod settings;
mod text;
mod transport;
mod watch;

pub use content::{ContentCipher, EncryptedContent, MailContent};
pub use kind::{LinkPage, MailKind};
pub use operator::{MailFilter, NotRetriable, QueuedMail, list, retry, retry_all};
pub use parts::{SenderParts, StepReport};
pub use prepare::{ClaimedMail, NothingToPrepare, Prepare};
pub use queue::{MailOwner, MailState, NewMail, enqueue};
pub use sender::MailSender;
pub use settings::{MailLinks, MailSettings, MailSettingsError, SmtpServer};
pub use text::MailText;
pub use transport::{SentMail, Transport};
