//! One delivery: decrypts a mail, has its token made, delivers it and settles it. Called by the
//! sender for each mail that it has taken.

use std::time::Duration;

use gx_db::PgConnection;
use sqlx::Connection as _;
use time::OffsetDateTime;

use crate::content::{EncryptedContent, MailContent};
use crate::kind::MailKind;
use crate::parts::SenderParts;
use crate::prepare::ClaimedMail;
use crate::queue::MailOwner;
use crate::queue::store::{self, ClaimedRow};
use crate::text::MailText;
use crate::transport::DeliveryFailure;

/// Waits after the first, second, … refusal of a server. The last one is repeated.
const RETRY_DELAYS_S: [u64; 8] = [15, 30, 60, 120, 300, 600, 1_800, 3_600];
/// Shortest wait of a mail that only another release, or another key ring, can send.
const FOREIGN_DELAY: Duration = Duration::from_secs(120);
/// Age from which code and token are drawn again for a later try: half the life of a code.
const REDRAW_AFTER: Duration = Duration::from_secs(300);
/// Failure of a mail whose time is over.
const EXPIRED: &str = "expired";
/// Mails that one step gives up because their time is over.
const EXPIRE_BATCH: i64 = 500;

/// Result of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeliveryOutcome {
    /// The server has the mail.
    Sent,
    /// There is nobody to send it to.
    Dropped,
    /// It is tried again later.
    Later,
    /// It was given up.
    Failed,
    /// Nothing can be delivered at the moment.
    Unavailable(String),
    /// Only another release, or another key ring, can send it.
    Foreign,
    /// Another process has the mail now.
    Lost,
}

impl DeliveryOutcome {
    const fn label(&self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Dropped => "dropped",
            Self::Later => "later",
            Self::Failed => "failed",
            Self::Unavailable(_) => "unavailable",
            Self::Foreign => "foreign",
            Self::Lost => "lost",
        }
    }
}

/// What is done with a mail after the try.
enum Settlement {
    Sent,
    Dropped,
    Failed { failure: String, keeps_content: bool },
    Later { failure: String, attempts: i32, wait: Duration },
    Unavailable { failure: String, wait: Duration },
    Foreign { failure: &'static str },
}

/// Gives up mails whose time is over and returns their number. This needs no transport, so that
/// codes and addresses do not stay while no mail server is set.
pub(crate) async fn expire(parts: &SenderParts) -> Result<usize, sqlx::Error> {
    let kinds = MailKind::ALL.iter().filter(|kind| !kind.needs_token());
    let retriable: Vec<String> = kinds.map(|kind| kind.name().to_owned()).collect();
    let mut conn = parts.pool.acquire().await?;
    let now = parts.clock.now();
    let expired = store::expire(&mut conn, now, EXPIRED, &retriable, EXPIRE_BATCH).await?;
    for kind in &expired {
        let name = MailKind::from_name(kind).map_or("unknown", MailKind::name);
        let outcome = DeliveryOutcome::Failed.label();
        metrics::counter!("gx_mail_deliveries_total", "kind" => name, "outcome" => outcome)
            .increment(1);
    }
    if !expired.is_empty() {
        let mails = expired.len();
        tracing::warn!(mails, "{mails} mails were given up because their time is over");
    }
    Ok(expired.len())
}

/// Delivers one mail and settles it. `outage_wait` is how long a mail waits while nothing can be
/// delivered.
pub(crate) async fn deliver(
    parts: &SenderParts,
    row: ClaimedRow,
    outage_wait: Duration,
) -> Result<DeliveryOutcome, sqlx::Error> {
    let kind = MailKind::from_name(&row.kind);
    let settlement = attempt(parts, &row, kind, outage_wait).await?;
    let Some(settlement) = settlement else { return Ok(DeliveryOutcome::Lost) };
    let outcome = settle(parts, &row, settlement).await?;
    let name = kind.map_or("unknown", MailKind::name);
    metrics::counter!("gx_mail_deliveries_total", "kind" => name, "outcome" => outcome.label())
        .increment(1);
    Ok(outcome)
}

/// Tries to deliver. Returns `None` if another process has taken the mail meanwhile.
async fn attempt(
    parts: &SenderParts,
    row: &ClaimedRow,
    kind: Option<MailKind>,
    outage_wait: Duration,
) -> Result<Option<Settlement>, sqlx::Error> {
    let now = parts.clock.now();
    if row.expires_at <= now {
        let keeps_content = kind.is_some_and(|kind| !kind.needs_token());
        return Ok(Some(Settlement::Failed { failure: EXPIRED.to_owned(), keeps_content }));
    }
    let Some(kind) = kind else {
        return Ok(Some(Settlement::Foreign { failure: "a kind of another release" }));
    };
    let bytes = row.content.clone().unwrap_or_default();
    let encrypted = EncryptedContent { key_version: row.key_version, bytes };
    let content = match MailContent::decrypt(&*parts.cipher, &row.mail_id, &encrypted) {
        Ok(content) => content,
        Err(error) => {
            tracing::warn!(
                mail = row.mail_id,
                error,
                "the mail {} cannot be decrypted",
                row.mail_id
            );
            let failure = "the content cannot be decrypted";
            return Ok(Some(Settlement::Foreign { failure }));
        }
    };
    let owner = MailOwner::of_columns(row.profile_id.clone(), row.admin_id.clone());
    let mut mail = ClaimedMail { mail_id: row.mail_id.clone(), kind, owner, content };
    if kind.needs_token() && needs_drawing(&mail.content, now) {
        match prepare(parts, row, &mail, now).await? {
            Prepared::Ready(content) => mail.content = content,
            Prepared::Nobody => return Ok(Some(Settlement::Dropped)),
            Prepared::Lost => return Ok(None),
        }
    }
    let text = MailText::new(kind, &mail.content, &parts.links);
    let to = &mail.content.to;
    let delivered = parts.transport.deliver(&mail.mail_id, &parts.from, to, text).await;
    Ok(Some(match delivered {
        Ok(()) => Settlement::Sent,
        Err(DeliveryFailure::Refused(failure)) => {
            Settlement::Failed { failure, keeps_content: !kind.needs_token() }
        }
        Err(DeliveryFailure::Later(failure)) => {
            let attempts = row.attempts.saturating_add(1);
            Settlement::Later { failure, attempts, wait: retry_delay(attempts) }
        }
        Err(DeliveryFailure::Unavailable(failure)) => {
            Settlement::Unavailable { failure, wait: outage_wait }
        }
    }))
}

/// Result of making a token.
enum Prepared {
    Ready(MailContent),
    Nobody,
    Lost,
}

/// Returns whether a try draws code and token: the first one, and a later one after a time that has
/// used up much of the code's life.
fn needs_drawing(content: &MailContent, now: OffsetDateTime) -> bool {
    content.token.is_none() || content.drawn_at.is_some_and(|at| now >= at + REDRAW_AFTER)
}

/// Makes the token of a mail and stores it with the mail, so that a try soon after this one sends
/// the same one.
async fn prepare(
    parts: &SenderParts,
    row: &ClaimedRow,
    mail: &ClaimedMail,
    now: OffsetDateTime,
) -> Result<Prepared, sqlx::Error> {
    let mut conn = parts.pool.acquire().await?;
    let mut tx = conn.begin().await?;
    if !store::lock_held(&mut tx, &row.mail_id, row.claims).await? {
        return Ok(Prepared::Lost);
    }
    if mail.content.token.is_some() {
        store::delete_drawn(&mut tx, &row.mail_id).await?;
    }
    let Some(content) = parts.preparer.prepare(&mut tx, mail, now).await? else {
        return Ok(Prepared::Nobody);
    };
    let content = MailContent { drawn_at: Some(now), ..content };
    let encrypted = content.encrypted(&*parts.cipher, &row.mail_id);
    if !store::set_content(&mut tx, &row.mail_id, row.claims, &encrypted).await? {
        return Ok(Prepared::Lost);
    }
    tx.commit().await?;
    Ok(Prepared::Ready(content))
}

async fn settle(
    parts: &SenderParts,
    row: &ClaimedRow,
    settlement: Settlement,
) -> Result<DeliveryOutcome, sqlx::Error> {
    let (id, claims, now) = (row.mail_id.as_str(), row.claims, parts.clock.now());
    let mut conn = parts.pool.acquire().await?;
    let (is_ours, outcome) = match settlement {
        Settlement::Sent => {
            (store::set_sent(&mut conn, id, claims, now).await?, DeliveryOutcome::Sent)
        }
        Settlement::Dropped => {
            (store::set_sent(&mut conn, id, claims, now).await?, DeliveryOutcome::Dropped)
        }
        Settlement::Failed { failure, keeps_content } => {
            give_up(&mut conn, row, &failure, keeps_content, now).await?
        }
        Settlement::Later { failure, attempts, wait } => {
            let next = now + wait;
            if next >= row.expires_at {
                let keeps = MailKind::from_name(&row.kind).is_some_and(|kind| !kind.needs_token());
                give_up(&mut conn, row, &failure, keeps, now).await?
            } else {
                let is_ours =
                    store::postpone(&mut conn, id, claims, attempts, &failure, next).await?;
                (is_ours, DeliveryOutcome::Later)
            }
        }
        Settlement::Unavailable { failure, wait } => {
            let next = now + wait;
            let attempts = row.attempts;
            let is_ours = store::postpone(&mut conn, id, claims, attempts, &failure, next).await?;
            (is_ours, DeliveryOutcome::Unavailable(failure))
        }
        Settlement::Foreign { failure } => {
            // No server has refused the mail; its claims say how often it was looked at.
            let next = now + retry_delay(claims).max(FOREIGN_DELAY);
            let is_ours =
                store::postpone(&mut conn, id, claims, row.attempts, failure, next).await?;
            (is_ours, DeliveryOutcome::Foreign)
        }
    };
    Ok(if is_ours { outcome } else { DeliveryOutcome::Lost })
}

async fn give_up(
    conn: &mut PgConnection,
    row: &ClaimedRow,
    failure: &str,
    keeps_content: bool,
    now: OffsetDateTime,
) -> Result<(bool, DeliveryOutcome), sqlx::Error> {
    let (id, kind) = (row.mail_id.as_str(), row.kind.as_str());
    let is_ours = store::set_failed(conn, id, row.claims, failure, keeps_content, now).await?;
    if is_ours {
        tracing::warn!(mail = id, kind, error = failure, "the mail {id} was given up: {failure}");
    }
    Ok((is_ours, DeliveryOutcome::Failed))
}

fn retry_delay(attempts: i32) -> Duration {
    let at = usize::try_from(attempts.saturating_sub(1)).unwrap_or(0);
    Duration::from_secs(RETRY_DELAYS_S[at.min(RETRY_DELAYS_S.len() - 1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_try_draws_again() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let mut content = MailContent::default();
        assert!(needs_drawing(&content, now));
        content.token = Some("bcdf".to_owned());
        content.drawn_at = Some(now);
        assert!(!needs_drawing(&content, now + Duration::from_secs(299)));
        assert!(needs_drawing(&content, now + Duration::from_secs(300)));
    }

    #[test]
    fn the_delay_grows_to_an_hour() {
        let delays: Vec<u64> = (1..=9).map(|attempts| retry_delay(attempts).as_secs()).collect();
        assert!(delays.windows(2).all(|pair| pair[0] <= pair[1]), "{delays:?}");
        assert_eq!((delays[0], delays[8]), (15, 3_600));
        assert_eq!(retry_delay(i32::MAX), Duration::from_secs(3_600));
    }
}
