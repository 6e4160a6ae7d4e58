//! The JSON of an export, piece by piece. Each piece is read over a connection of its own, so that
//! a slow client holds none: the export is not of one moment.

use bytes::Bytes;
use gx_db::{Database, ProfileId};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ExportError;
use super::sections::{Section, in_gx};
use super::store::{self, RowKey};

/// What the export does not contain, and why.
const LEFT_OUT: [&str; 5] = [
    "The hash of the password, secrets of second factors, and keys and hashes by which devices and \
     repeated requests are recognised: whoever has them could sign in, or test guesses.",
    "Hashes by which the same document or number is found under other people, and the hash of the \
     biometrics: they are computed from what is in here.",
    "Private comments and notes of reviewers, and legal holds.",
    "Names of administrators: the audit log here says that an administrator acted.",
    "The ledger itself: `transactions` and `wallet` are what GX has read from it.",
];

/// The next part of the JSON.
enum Part {
    Begin,
    /// A list: its place among all, the key of the last item, and whether it has items already.
    List {
        at: usize,
        after: RowKey,
        has_items: bool,
    },
    Finished,
}

/// The JSON of an export that is being written.
pub(super) struct PersonJson {
    database: Database,
    profile_id: ProfileId,
    documents: Value,
    at: OffsetDateTime,
    part: Part,
}

impl PersonJson {
    /// Begins the JSON. `documents` is the list of documents.
    pub(super) fn new(
        database: Database,
        profile_id: ProfileId,
        documents: Value,
        at: OffsetDateTime,
    ) -> Self {
        Self { database, profile_id, documents, at, part: Part::Begin }
    }

    /// Returns the next piece, or `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ExportError> {
        match std::mem::replace(&mut self.part, Part::Finished) {
            Part::Begin => {
                let text = self.begin().await?;
                self.part = Part::List { at: 0, after: RowKey::start(), has_items: false };
                Ok(Some(text))
            }
            Part::List { at, after, has_items } => {
                let Some(section) = Section::ALL.get(at) else {
                    return Ok(Some(Bytes::from_static(b"\n}\n")));
                };
                let text = self.list(*section, at, &after, has_items).await?;
                Ok(Some(text))
            }
            Part::Finished => Ok(None),
        }
    }

    /// Returns the part before the lists.
    async fn begin(&self) -> Result<Bytes, ExportError> {
        let (profile, wallet) = {
            let mut conn = self.database.pool().acquire().await?;
            let profile = store::profile(&mut conn, &self.profile_id).await?;
            (profile, store::wallet(&mut conn, &self.profile_id).await?)
        };
        let wallet = wallet.map(|wallet| in_gx(wallet, &["balance", "genesisAmount"]));
        let at = self.at.format(&Rfc3339).unwrap_or_default();
        let members = [
            ("exportedAt", json!(at)),
            ("leftOut", json!(LEFT_OUT)),
            ("profile", profile),
            ("wallet", wallet.unwrap_or(Value::Null)),
            ("documents", self.documents.clone()),
        ];
        let members = members.map(|(name, value)| format!("\"{name}\": {value:#}"));
        Ok(format!("{{\n{}", members.join(",\n")).into())
    }

    /// Returns the next items of a list, with its begin before the first and its end after the
    /// last, and says what comes next.
    async fn list(
        &mut self,
        section: Section,
        at: usize,
        after: &RowKey,
        has_items: bool,
    ) -> Result<Bytes, ExportError> {
        let page = {
            let mut conn = self.database.pool().acquire().await?;
            section.page(&mut conn, &self.profile_id, after).await?
        };
        let is_first = *after == RowKey::start();
        let mut text = String::new();
        if is_first {
            text.push_str(&format!(",\n\"{}\": [", section.name()));
        }
        let Some((items, key)) = page else {
            text.push(']');
            self.part = Part::List { at: at + 1, after: RowKey::start(), has_items: false };
            return Ok(text.into());
        };
        for (n, item) in items.iter().enumerate() {
            text.push_str(if n == 0 && !has_items { "\n" } else { ",\n" });
            text.push_str(&format!("{item:#}"));
        }
        self.part = Part::List { at, after: key, has_items: true };
        Ok(text.into())
    }
}
