//! What operators see of the queue, and the retry of mails that were given up. Called by `gx mail`.

mod store;

use std::time::Duration;

use gx_db::PgConnection;
use time::OffsetDateTime;

pub use store::QueuedMail;

use crate::kind::MailKind;
use crate::queue::MailState;

/// How long sending is tried after a retry.
const RETRY_LIFE: Duration = Duration::from_hours(72);
/// Mails that one statement of a retry of all sets.
const RETRY_BATCH: i64 = 500;

/// Which mails are listed.
#[derive(Clone, Debug)]
pub struct MailFilter {
    /// Only mails in this state.
    pub state: MailState,
    /// Only mails of this kind.
    pub kind: Option<MailKind>,
    /// Only mails with a smaller id: the last one of the page before.
    pub below: Option<String>,
    /// Most mails to list.
    pub limit: i64,
}

/// Why a mail cannot be retried.
#[derive(Debug, thiserror::Error)]
pub enum NotRetriable {
    /// The mail is unknown, waits, was sent, or has no content any more.
    #[error("the mail {0} cannot be sent again; take one that `gx mail list` shows as retriable")]
    Mail(String),
    /// The database failed.
    #[error("the queue of mails cannot be written; check the database and its log")]
    Database(#[from] sqlx::Error),
}

/// Returns mails, the newest first, without addresses and contents.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn list(
    conn: &mut PgConnection,
    filter: &MailFilter,
) -> Result<Vec<QueuedMail>, sqlx::Error> {
    store::list(conn, filter).await
}

/// Sets one mail that was given up to be sent again.
///
/// # Errors
/// [`NotRetriable`] if the mail was not given up, or cannot be made again.
pub async fn retry(
    conn: &mut PgConnection,
    mail_id: &str,
    now: OffsetDateTime,
) -> Result<(), NotRetriable> {
    match store::retry(conn, mail_id, now, now + RETRY_LIFE).await? {
        1 => Ok(()),
        _ => Err(NotRetriable::Mail(mail_id.to_owned())),
    }
}

/// Sets all mails that were given up and can be made again to be sent, and returns their number.
///
/// # Errors
/// `sqlx::Error` if a statement fails; mails before it are set.
pub async fn retry_all(conn: &mut PgConnection, now: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let mut set = 0;
    loop {
        let batch = store::retry_some(conn, now, now + RETRY_LIFE, RETRY_BATCH).await?;
        set += batch;
        if batch == 0 {
            return Ok(set);
        }
    }
}
