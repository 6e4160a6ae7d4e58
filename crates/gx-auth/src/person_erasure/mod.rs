//! Removes what the database has of a person. Called by `gx-documents`, which writes the record of
//! the erasure and destroys the person's key before.
//!
//! The row of the account stays without personal data, because rows of the ledger refer to it.
//! `docs/privacy.md` says what else stays, and why.

mod store;
#[cfg(test)]
mod tests;

use gx_db::{PgConnection, ProfileId};
use gx_serve::Entropy;
use serde_json::json;
use time::OffsetDateTime;

use crate::audit::{self, Actor, EraseError, TextSelection};

/// Name of the actor in the audit log.
const ACTOR: &str = "gx erasure";
/// Reason of the erasure of texts in the audit log.
const TEXTS_REASON: &str = "the person was erased";

/// Whether a person may be erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureReadiness {
    /// The account is closed, and no legal hold is on it.
    Ready,
    /// There is no such account.
    NoAccount,
    /// The person was erased before.
    ErasedBefore,
    /// The account is not closed.
    NotClosed,
    /// A legal hold is on the account.
    OnHold,
}

/// The erasure of a person, as its record has it.
#[derive(Clone, Copy, Debug)]
pub struct PersonErasure<'a> {
    /// The person.
    pub profile_id: &'a ProfileId,
    /// When the erasure was ordered.
    pub erased_at: OffsetDateTime,
    /// Why, as a code.
    pub reason_code: &'a str,
    /// Why, in the words of an operator. `None` if no operator has ordered it.
    pub reason: Option<&'a str>,
    /// Number of documents that are erased with the person.
    pub documents: u64,
}

/// Locks the account until the transaction ends, so that no legal hold begins meanwhile, and
/// returns whether the person may be erased.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn lock_for_erasure(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<ErasureReadiness, sqlx::Error> {
    Ok(match store::lock_account(conn, profile_id).await? {
        None => ErasureReadiness::NoAccount,
        Some(account) if account.is_erased => ErasureReadiness::ErasedBefore,
        Some(account) if !account.is_closed => ErasureReadiness::NotClosed,
        Some(account) if account.is_on_hold => ErasureReadiness::OnHold,
        Some(_) => ErasureReadiness::Ready,
    })
}

/// Returns people whose accounts were closed until then, the first of them first. People who were
/// erased or are under a legal hold are left out, and so are accounts that another session has
/// locked. The accounts are locked until the transaction ends.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn lock_due_people(
    conn: &mut PgConnection,
    closed_until: OffsetDateTime,
    limit: i64,
) -> Result<Vec<ProfileId>, sqlx::Error> {
    store::lock_due(conn, closed_until, limit).await
}

/// Returns the number of people that [`lock_due_people`] returns without a limit.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn count_due_people(
    conn: &mut PgConnection,
    closed_until: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let people = store::count_due(conn, closed_until).await?;
    Ok(u64::try_from(people).unwrap_or_default())
}

/// Removes personal data of a person from the rows of the account, closes the account if it is
/// not closed, and appends the entry `user.erased`. Returns `false` if there is no such account, or
/// if the person was erased before; nothing is written then.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn erase_person(
    conn: &mut PgConnection,
    erasure: &PersonErasure<'_>,
    entropy: &Entropy,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let PersonErasure { profile_id, erased_at, reason_code, reason, documents } = *erasure;
    if !store::erase_account(conn, profile_id, erased_at, now).await? {
        return Ok(false);
    }
    store::remove_rows(conn, profile_id).await?;
    let about = TextSelection::About(profile_id.as_str());
    let by = (Actor::System(ACTOR), TEXTS_REASON);
    match audit::erase(conn, about, by, entropy, now).await {
        // Texts that are also about an account on legal hold stay.
        Ok(_) | Err(EraseError::Nothing | EraseError::OnLegalHold) => {}
        Err(EraseError::Database(error)) => return Err(error),
    }
    let id = Some(profile_id.as_str());
    let entry = audit::Entry {
        after: Some(json!({ "reasonCode": reason_code, "documents": documents })),
        ..audit::Entry::new(Actor::System(ACTOR), "user.erased", "UserProfile", id, None)
    };
    audit::append(conn, entry.with_text("reason", reason, entropy), now).await?;
    Ok(true)
}
