//! Ways to deliver a mail: SMTP, a folder in development, and a list in tests.

mod folder;
mod smtp;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox};
use lettre::{Address, Message};

use crate::settings::{MailSettings, MailSettingsError};
use crate::text::MailText;

pub(crate) use smtp::{SMTP_WAITS, SmtpTransport};

/// A mail that was delivered into the memory of a test.
#[derive(Clone, Debug)]
pub struct SentMail {
    /// The receiver's address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The text.
    pub body: String,
}

/// Where mails go.
#[derive(Clone)]
pub enum Transport {
    /// A mail server.
    #[doc(hidden)]
    Smtp(Box<SmtpTransport>),
    /// A folder with a file for each mail.
    Folder(PathBuf),
    /// The memory of a test.
    Memory(Arc<Mutex<Vec<SentMail>>>),
    /// None is set: mails wait.
    Unset,
}

/// Why a mail was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeliveryFailure {
    /// Nothing can be delivered at the moment, whatever the mail. The text says why.
    Unavailable(String),
    /// The server takes this mail later, perhaps.
    Later(String),
    /// The server never takes this mail.
    Refused(String),
}

impl DeliveryFailure {
    /// Returns the failure as one of the server, with the same text.
    fn into_outage(self) -> Self {
        match self {
            Self::Unavailable(text) | Self::Later(text) | Self::Refused(text) => {
                Self::Unavailable(text)
            }
        }
    }
}

impl Transport {
    /// Creates the transport of the settings.
    ///
    /// # Errors
    /// [`MailSettingsError`] if the settings cannot work.
    pub fn new(settings: &MailSettings) -> Result<Self, MailSettingsError> {
        match &settings.smtp_url {
            Some(server) => Ok(Self::Smtp(Box::new(SmtpTransport::new(server, settings)?))),
            None => Ok(Self::Unset),
        }
    }

    /// Returns whether mails can be delivered at all.
    pub(crate) fn is_set(&self) -> bool {
        !matches!(self, Self::Unset)
    }

    /// Delivers one mail.
    pub(crate) async fn deliver(
        &self,
        mail_id: &str,
        from: &Mailbox,
        to: &str,
        text: MailText,
    ) -> Result<(), DeliveryFailure> {
        let address: Address =
            to.parse().map_err(|_| DeliveryFailure::Refused(ADDRESS.to_owned()))?;
        match self {
            Self::Smtp(smtp) => smtp.send(message(mail_id, from, address, text)?).await,
            Self::Folder(path) => {
                folder::write(path, mail_id, &message(mail_id, from, address, text)?.formatted())
                    .await
            }
            Self::Memory(mails) => {
                let mut mails = mails.lock().unwrap_or_else(PoisonError::into_inner);
                let MailText { subject, body } = text;
                mails.push(SentMail { to: to.to_owned(), subject, body });
                Ok(())
            }
            Self::Unset => Err(DeliveryFailure::Unavailable("GX_SMTP_URL is not set".to_owned())),
        }
    }
}

/// Limit of a line, in characters (RFC 5321, 4.5.3.1.6).
const MAX_LINE: usize = 998;

/// Failure of an address that cannot be written in a mail, or that the server cannot take.
pub(crate) const ADDRESS: &str = "address";

fn message(
    mail_id: &str,
    from: &Mailbox,
    to: Address,
    text: MailText,
) -> Result<Message, DeliveryFailure> {
    let id = format!("<{mail_id}@{}>", from.email.domain());
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(text.subject)
        .message_id(Some(id))
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN)
        .body(body(text.body))
        .map_err(|_| DeliveryFailure::Refused(ADDRESS.to_owned()))
}

/// Returns the text in lines as they are, so that links stay whole. Texts are ASCII, and their
/// lines shorter than the 998 characters that SMTP allows.
fn body(text: String) -> Body {
    let is_plain = text.is_ascii() && text.lines().all(|line| line.len() <= MAX_LINE);
    if is_plain {
        let lines = text.replace('\n', "\r\n").into_bytes();
        Body::dangerous_pre_encoded(lines, ContentTransferEncoding::SevenBit)
    } else {
        Body::new(text)
    }
}

/// The field that keeps other programs from answering (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl lettre::message::header::Header for AutoSubmitted {
    fn name() -> lettre::message::header::HeaderName {
        lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> lettre::message::header::HeaderValue {
        let value = "auto-generated".to_owned();
        lettre::message::header::HeaderValue::new(Self::name(), value)
    }
}
