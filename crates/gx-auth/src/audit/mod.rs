//! The audit log. Every audited change calls [`append`] in its own transaction, without a lock that
//! another request could wait for. A [`Sealer`] in the outbox-submitter puts committed entries into
//! batches; each batch has the Merkle root of its entries and the hash of the batch before it.
//! `gx audit verify` calls [`verify()`], and `gx audit prove` calls [`prove`].
//!
//! Texts of people (reasons, notes) are stored apart from their entries, which contain salted
//! hashes of them. `gx audit erase` calls [`erase()`].
//!
//! Releases before migration 9 wrote a chain of rows, each with the hash of the row before it. That
//! chain is batch 0; every later batch contains the chain's last hash, too.

mod chain;
mod content;
mod erase;
mod fault;
mod merkle;
mod proof;
mod seal;
mod store;
#[cfg(test)]
mod tests;
mod text;
mod verify;

use gx_db::{AdminId, PgConnection, ProfileId};
use gx_serve::Entropy;
use serde_json::{Value, json};
use time::OffsetDateTime;

pub use erase::{EraseError, ErasedText, Erasure, TextSelection, erase};
pub use fault::{AuditLogFault, VerifyError};
pub use proof::{Proof, ProofError, Side, prove};
pub use seal::Sealer;
pub use text::Text;
pub use verify::{SealedPosition, Verified, position, verify};

/// Who performed an action.
#[derive(Clone, Copy, Debug)]
pub enum Actor<'a> {
    /// The person of the verified session.
    User(&'a ProfileId),
    /// The administrator of the verified session.
    Admin(&'a AdminId),
    /// A process or an operator's command: its name.
    System(&'a str),
}

impl<'a> Actor<'a> {
    /// Returns the id, or the name of a process or command.
    pub fn id(self) -> &'a str {
        match self {
            Self::User(id) => id.as_str(),
            Self::Admin(id) => id.as_str(),
            Self::System(name) => name,
        }
    }
}

/// An action to be recorded. `before` and `after` contain ids, codes, numbers and names of fields:
/// neither credentials nor facts about a person. What a person has written is added by
/// [`Entry::with_text`].
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Who performed the action.
    pub actor: Actor<'a>,
    /// Name of the action, such as `user.approved`.
    pub action: &'a str,
    /// Type of the changed object, such as `UserProfile`.
    pub target_type: &'a str,
    /// Id of the changed object.
    pub target_id: Option<&'a str>,
    /// The changed values before the action.
    pub before: Option<Value>,
    /// The changed values after the action.
    pub after: Option<Value>,
    /// The request that performed the action.
    pub request_id: Option<&'a str>,
    /// The texts that stand for members of `after`.
    pub texts: Vec<Text<'a>>,
}

impl<'a> Entry<'a> {
    /// Creates an entry without values.
    pub fn new(
        actor: Actor<'a>,
        action: &'a str,
        target_type: &'a str,
        target_id: Option<&'a str>,
        request_id: Option<&'a str>,
    ) -> Self {
        let (before, after, texts) = (None, None, Vec::new());
        Self { actor, action, target_type, target_id, before, after, request_id, texts }
    }

    /// Returns the entry with a text among the values after the action, or `null` in its place. The
    /// text is stored apart, so that it can be erased.
    ///
    /// # Panics
    /// If the values after the action are not an object.
    #[must_use]
    pub fn with_text(mut self, field: &'a str, text: Option<&'a str>, entropy: &Entropy) -> Self {
        let text = text.map(|text| Text::new(field, text, entropy));
        let after = self.after.get_or_insert_with(|| json!({}));
        after[field] = text.as_ref().map_or(Value::Null, Text::reference);
        self.texts.extend(text);
        self
    }
}

/// Appends an entry in the caller's transaction.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn append(
    conn: &mut PgConnection,
    entry: Entry<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    store::append(conn, &entry, now).await?;
    Ok(())
}

/// Appends an entry as [`append`] does, and returns its number.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn append_numbered(
    conn: &mut PgConnection,
    entry: Entry<'_>,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    store::append(conn, &entry, now).await
}
