//! Erases texts of the audit log. Called by `gx audit erase`.

use gx_db::PgConnection;
use gx_serve::Entropy;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::Connection as _;
use time::OffsetDateTime;

use super::store;
use super::text::TextPlace;
use super::{Actor, Entry};

/// Action of the entry that records an erasure.
pub(super) const ACTION: &str = "audit.texts_erased";

/// The texts to be erased.
#[derive(Clone, Copy, Debug)]
pub enum TextSelection<'a> {
    /// All texts of these entries.
    Entries(&'a [i64]),
    /// All texts of entries about the object with this id, such as a person's profile.
    About(&'a str),
}

/// An erasure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    /// Number of the entry that records it.
    pub recorded_by: i64,
    /// The erased texts.
    pub texts: Vec<ErasedText>,
}

/// A text that was erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedText {
    /// Number of its entry.
    pub entry: i64,
    /// The member of the entry's `after` that stands for the text.
    pub field: String,
}

/// Why nothing was erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// No entry that was named has a text.
    #[error(
        "there is no text to erase: the entries have none, were written by a release that kept \
         texts in the entries, or their texts are erased already; check the ids"
    )]
    Nothing,
    /// The database failed.
    #[error("the texts cannot be erased; check the database and its log")]
    Database(#[from] sqlx::Error),
}

/// Returns the texts that an entry with [`ACTION`] records.
pub(super) fn recorded(after: Option<Value>) -> impl Iterator<Item = TextPlace> {
    let texts = after.and_then(|mut after| after.get_mut("texts").map(Value::take));
    let texts: Vec<ErasedText> =
        texts.and_then(|texts| serde_json::from_value(texts).ok()).unwrap_or_default();
    texts.into_iter().map(|ErasedText { entry, field }| TextPlace { seq: entry, field })
}

/// Erases texts and appends the entry that records it, in one transaction. The entries stay, and so
/// do the batches that they are sealed in.
///
/// # Errors
/// [`EraseError`] if there is no such text, or a statement fails; nothing is erased then.
pub async fn erase(
    conn: &mut PgConnection,
    selection: TextSelection<'_>,
    (actor, reason): (Actor<'_>, &str),
    entropy: &Entropy,
    now: OffsetDateTime,
) -> Result<Erasure, EraseError> {
    let mut tx = conn.begin().await?;
    let (entries, about) = match selection {
        TextSelection::Entries(entries) => (entries, None),
        TextSelection::About(id) => (&[][..], Some(id)),
    };
    let places = store::lock_texts(&mut tx, entries, about).await?;
    if places.is_empty() {
        return Err(EraseError::Nothing);
    }
    let texts: Vec<ErasedText> = places
        .iter()
        .map(|TextPlace { seq, field }| ErasedText { entry: *seq, field: field.clone() })
        .collect();
    let entry = Entry::new(actor, ACTION, "AuditEntry", None, None);
    let entry = Entry { after: Some(json!({ "texts": texts })), ..entry };
    let entry = entry.with_text("reason", Some(reason), entropy);
    let recorded_by = store::append(&mut tx, &entry, now).await?;
    store::erase_texts(&mut tx, &places, recorded_by).await?;
    tx.commit().await?;
    Ok(Erasure { recorded_by, texts })
}
