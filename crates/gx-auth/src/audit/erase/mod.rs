//! Erases texts of the audit log, and the copies of them in other tables. Called by `gx audit
//! erase`.

mod store;

use std::collections::BTreeSet;

use gx_db::PgConnection;
use gx_serve::Entropy;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::Connection as _;
use time::OffsetDateTime;

use super::text::TextPlace;
use super::{Actor, Entry};
use store::{ErasableText, TextCopies};

/// Action of the entry that records an erasure.
pub(super) const ACTION: &str = "audit.texts_erased";

/// Type of the object of entries about commands.
const COMMAND: &str = "OutboxCommand";
/// Type of the object of entries about accounts.
const ACCOUNT: &str = "UserProfile";
/// Type of the object of entries about proposals.
const PROPOSAL: &str = "Proposal";
/// Limit of the ids that one statement gets.
const IDS_AT_A_TIME: usize = 10_000;
/// Limit of the entries about many commands that one statement reads.
const ENTRIES_AT_A_TIME: i64 = 1_000;

/// The texts to be erased.
#[derive(Clone, Copy, Debug)]
pub enum TextSelection<'a> {
    /// All texts of these entries.
    Entries(&'a [i64]),
    /// All texts of entries about the object with this id, such as a person's profile; about a
    /// person's profile also those of entries about the person's commands and about proposals.
    /// Copies in other tables are erased even if the log has no text.
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
    /// Number of rows of other tables from which copies were erased: commands that were given up,
    /// accounts that are locked, reviews, documents and requests for them, and open proposals.
    pub copies: u64,
    /// Number of texts that stay because they are about an account on legal hold.
    pub held: usize,
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
    /// The texts are about an account on legal hold.
    #[error("the texts are about an account on legal hold; end the hold, or wait until it ends")]
    OnLegalHold,
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

/// Erases texts with their copies and appends the entry that records it, in one transaction. The
/// entries stay, and so do the batches that they are sealed in. Texts about an account on legal
/// hold stay, too.
///
/// # Errors
/// [`EraseError`] if there is no text that may be erased, or a statement fails; nothing is erased
/// then.
pub async fn erase(
    conn: &mut PgConnection,
    selection: TextSelection<'_>,
    (actor, reason): (Actor<'_>, &str),
    entropy: &Entropy,
    now: OffsetDateTime,
) -> Result<Erasure, EraseError> {
    let mut tx = conn.begin().await?;
    let (found, about) = match selection {
        TextSelection::Entries(entries) => (store::lock_texts(&mut tx, entries).await?, None),
        TextSelection::About(id) => {
            let commands = gx_outbox::operator::ids_of_person(&mut tx, id).await?;
            let entries = entries_about(&mut tx, id, &commands).await?;
            (store::lock_texts(&mut tx, &entries).await?, Some((id, commands)))
        }
    };
    let id = about.as_ref().map(|(id, _)| *id);
    let held = held_objects(&mut tx, id, &found).await?;
    if id.is_some_and(|id| held.contains(id)) {
        return Err(EraseError::OnLegalHold);
    }
    let is_held = |text: &ErasableText| text.objects().any(|id| held.contains(id));
    let (kept, found): (Vec<_>, Vec<_>) = found.into_iter().partition(is_held);
    let mut copies = match about {
        Some((id, commands)) => erase_copies_about(&mut tx, id, commands).await?,
        None => 0,
    };
    // An entry about many commands also names commands of others, which have its text.
    copies += erase_copies_of(&mut tx, &found).await?;
    if found.is_empty() && copies == 0 {
        return Err(if kept.is_empty() { EraseError::Nothing } else { EraseError::OnLegalHold });
    }
    let texts: Vec<ErasedText> = found.iter().map(ErasableText::erased).collect();
    let entry = Entry::new(actor, ACTION, "AuditEntry", None, None);
    let entry = Entry { after: Some(json!({ "texts": texts, "copies": copies })), ..entry };
    let entry = entry.with_text("reason", Some(reason), entropy);
    let recorded_by = super::store::append(&mut tx, &entry, now).await?;
    store::erase_texts(&mut tx, &texts, recorded_by).await?;
    tx.commit().await?;
    Ok(Erasure { recorded_by, texts, copies, held: kept.len() })
}

/// Returns those of an object and the objects of these texts that are an account on legal hold, or
/// a command or proposal about one. No hold is set until the transaction ends.
async fn held_objects(
    conn: &mut PgConnection,
    id: Option<&str>,
    found: &[ErasableText],
) -> Result<BTreeSet<String>, sqlx::Error> {
    let mut objects: BTreeSet<&str> = found.iter().flat_map(ErasableText::objects).collect();
    objects.extend(id);
    let objects: Vec<String> = objects.into_iter().map(str::to_owned).collect();
    let mut held = BTreeSet::new();
    for part in objects.chunks(IDS_AT_A_TIME) {
        let objects = store::lock_accounts_of(conn, part).await?;
        held.extend(objects.into_iter().filter(|one| one.is_held).map(|one| one.id));
    }
    Ok(held)
}

/// Returns the entries about an object, about these commands of it, about proposals of which it is
/// the target, and about many commands of which one is among them.
async fn entries_about(
    conn: &mut PgConnection,
    id: &str,
    commands: &[String],
) -> Result<Vec<i64>, sqlx::Error> {
    let types = store::target_types(conn).await?;
    let mut entries = store::entries_about(conn, &types, &[id.to_owned()]).await?;
    let of_commands = [COMMAND.to_owned()];
    for part in commands.chunks(IDS_AT_A_TIME) {
        entries.extend(store::entries_about(conn, &of_commands, part).await?);
    }
    let proposals = store::proposals_about(conn, id).await?;
    let of_proposals = [PROPOSAL.to_owned()];
    for part in proposals.chunks(IDS_AT_A_TIME) {
        entries.extend(store::entries_about(conn, &of_proposals, part).await?);
    }
    let mut ids = commands.to_vec();
    ids.push(id.to_owned());
    for part in ids.chunks(IDS_AT_A_TIME) {
        entries.extend(entries_about_many_commands(conn, part).await?);
    }
    Ok(entries)
}

/// Returns the entries about many commands of which one is among these, which it looks for in
/// parts of all such entries.
async fn entries_about_many_commands(
    conn: &mut PgConnection,
    commands: &[String],
) -> Result<Vec<i64>, sqlx::Error> {
    let (mut entries, mut last_seen) = (Vec::new(), 0);
    loop {
        let part = store::entries_about_many_commands(conn, commands, last_seen, ENTRIES_AT_A_TIME)
            .await?;
        let Some(last) = part.last() else { return Ok(entries) };
        last_seen = last.seq;
        entries.extend(part.iter().filter(|entry| entry.names_one).map(|entry| entry.seq));
    }
}

/// Erases what other tables contain of the texts of these entries.
async fn erase_copies_of(
    conn: &mut PgConnection,
    found: &[ErasableText],
) -> Result<u64, sqlx::Error> {
    let mut commands: Vec<(&str, &str)> = Vec::new();
    let (mut accounts, mut proposals) = (TextCopies::default(), TextCopies::default());
    for one in found {
        match (&*one.target_type, &one.target_id) {
            (COMMAND, Some(id)) => commands.push((id.as_str(), one.text.as_str())),
            (COMMAND, None) => {
                let ids = one.command_ids.iter().flatten();
                commands.extend(ids.map(|id| (id.as_str(), one.text.as_str())));
            }
            (ACCOUNT, Some(id)) => accounts.add(id, &one.text),
            (PROPOSAL, Some(id)) => proposals.add(id, &one.text),
            _ => {}
        }
    }
    let mut erased = store::erase_lock_texts(conn, &accounts).await?;
    erased += store::erase_proposal_texts(conn, &proposals).await?;
    for part in commands.chunks(IDS_AT_A_TIME) {
        let ids: Vec<String> = part.iter().map(|(id, _)| (*id).to_owned()).collect();
        let texts: Vec<String> = part.iter().map(|(_, text)| (*text).to_owned()).collect();
        erased += gx_outbox::operator::erase_reasons_that_are(conn, &ids, &texts).await?;
    }
    Ok(erased)
}

/// Erases all texts that other tables contain about an object.
async fn erase_copies_about(
    conn: &mut PgConnection,
    id: &str,
    mut commands: Vec<String>,
) -> Result<u64, sqlx::Error> {
    commands.push(id.to_owned());
    let erased = store::erase_account_texts(conn, id).await?;
    Ok(erased + erase_command_reasons(conn, &commands).await?)
}

async fn erase_command_reasons(
    conn: &mut PgConnection,
    commands: &[String],
) -> Result<u64, sqlx::Error> {
    let mut erased = 0;
    for part in commands.chunks(IDS_AT_A_TIME) {
        erased += gx_outbox::operator::erase_reasons(conn, part).await?;
    }
    Ok(erased)
}
