//! The queue of mails in the database: added in the caller's transaction, taken with leases, and
//! settled by the process that holds the lease.

pub(crate) mod store;

use gx_db::{AdminId, PgConnection, ProfileId};
use time::OffsetDateTime;

use crate::content::{ContentCipher, MailContent};
use crate::kind::MailKind;

/// The account that a mail is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailOwner {
    /// A person.
    Person(ProfileId),
    /// An administrator.
    Admin(AdminId),
    /// Only the address is known; the account is looked for when the mail is sent.
    Unknown,
}

impl MailOwner {
    /// Returns the two columns of the owner.
    pub(crate) fn columns(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Person(id) => (Some(id.as_str()), None),
            Self::Admin(id) => (None, Some(id.as_str())),
            Self::Unknown => (None, None),
        }
    }

    pub(crate) fn of_columns(profile_id: Option<String>, admin_id: Option<String>) -> Self {
        match (profile_id, admin_id) {
            (Some(id), _) => Self::Person(id.into()),
            (None, Some(id)) => Self::Admin(id.into()),
            (None, None) => Self::Unknown,
        }
    }
}

/// State of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailState {
    /// Not sent yet.
    Waiting,
    /// Taken by the mail server, or no longer of use.
    Sent,
    /// Given up.
    Failed,
}

impl MailState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Sent, Self::Failed];

    /// Returns the name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Sent => "SENT",
            Self::Failed => "FAILED",
        }
    }
}

impl std::str::FromStr for MailState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|state| state.name() == text);
        found.ok_or_else(|| "must be WAITING, SENT or FAILED".to_owned())
    }
}

/// A mail to be queued.
#[derive(Debug)]
pub struct NewMail<'a> {
    /// Its id, a UUIDv7.
    pub mail_id: String,
    /// What it is about.
    pub kind: MailKind,
    /// The account that it is for.
    pub owner: &'a MailOwner,
    /// What it is made from.
    pub content: &'a MailContent,
}

/// Adds a mail in the caller's transaction.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn enqueue(
    conn: &mut PgConnection,
    cipher: &dyn ContentCipher,
    new: &NewMail<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let content = new.content.encrypted(cipher, &new.mail_id);
    store::insert(conn, new, &content, now).await?;
    metrics::counter!("gx_mail_queued_total", "kind" => new.kind.name()).increment(1);
    Ok(())
}
