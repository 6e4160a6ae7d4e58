//! Lists: bounded pages by keyset, never by offset.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;

use crate::fields::{Field, FieldError, text};

/// Items on a page unless the client asks for another number.
pub const DEFAULT_LIMIT: u16 = 20;
/// Items on a page at most.
pub const LARGEST_LIMIT: u16 = 100;

/// How many items a page has: 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(u16);

impl Limit {
    /// As many rows as tell whether there is a next page.
    pub fn with_one_more(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(DEFAULT_LIMIT)
    }
}

impl Field for Limit {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let range = || FieldError::new("range", format!("must be 1 to {LARGEST_LIMIT}"));
        let text = text(value)?;
        if text.is_empty() || !text.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(FieldError::new(
                "type",
                format!("must be a number from 1 to {LARGEST_LIMIT}"),
            ));
        }
        match text.parse() {
            Ok(limit @ 1..=LARGEST_LIMIT) => Ok(Self(limit)),
            _ => Err(range()),
        }
    }
}

/// Where a page starts: the key of the last item before it, opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor<K>(pub K);

impl<K: DeserializeOwned> Field for Cursor<K> {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let refused = || FieldError::new("format", "must be a nextCursor of an earlier page");
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text(value)?).map_err(|_| refused())?;
        // A forged key with a NUL in it is no text to PostgreSQL.
        if bytes.windows(6).any(|part| part == b"\\u0000") {
            return Err(refused());
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|_| refused())
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Send it as `cursor` for the next page; `null` on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of rows fetched with [`Limit::with_one_more`].
    pub fn cut<K: Serialize>(mut items: Vec<T>, limit: Limit, key: impl Fn(&T) -> K) -> Self {
        let more = items.len() > usize::from(limit.0);
        items.truncate(usize::from(limit.0));
        let next_cursor = items.last().filter(|_| more).map(|last| {
            let json = serde_json::to_vec(&key(last)).expect("a key has only text keys");
            BASE64_URL_SAFE_NO_PAD.encode(json)
        });
        Self { items, next_cursor }
    }

    /// The page with each item as clients see it.
    pub fn map<U>(self, item: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(item).collect(), next_cursor: self.next_cursor }
    }

    /// The page with each item as clients see it, where that may fail.
    ///
    /// # Errors
    /// That of the first item that cannot be shown.
    pub fn try_map<U, E>(self, item: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
        let items = self.items.into_iter().map(item).collect::<Result<_, E>>()?;
        Ok(Page { items, next_cursor: self.next_cursor })
    }
}
