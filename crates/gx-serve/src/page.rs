//! Lists in pages of bounded size, by keyset and never by offset. A route that lists takes a
//! [`PageQuery`] and answers with a [`Page`]; an invalid limit or cursor is a validation problem.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::{IntoParams, ToSchema};

use crate::fields::{Field, FieldError, Fields, FromFields, text};

/// Items on a page if the client sets no limit.
pub const DEFAULT_LIMIT: u16 = 20;
/// Limit of the items on a page.
pub const MAX_LIMIT: u16 = 100;

/// The number of items on a page, 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(u16);

impl Limit {
    /// Returns the limit plus one: the extra row tells whether there is a next page.
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
        let range = || FieldError::new("range", format!("must be 1 to {MAX_LIMIT}"));
        let text = text(value)?;
        if text.is_empty() || !text.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(FieldError::new("type", format!("must be a number from 1 to {MAX_LIMIT}")));
        }
        match text.parse() {
            Ok(limit @ 1..=MAX_LIMIT) => Ok(Self(limit)),
            _ => Err(range()),
        }
    }
}

/// The start of a page: the key of the last item before it. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cursor<K>(K);

impl<K: DeserializeOwned> Field for Cursor<K> {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let refused = || FieldError::new("format", "must be a nextCursor of an earlier page");
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text(value)?).map_err(|_| refused())?;
        // PostgreSQL rejects text with a NUL, which only a forged key has.
        if bytes.windows(6).any(|part| part == b"\\u0000") {
            return Err(refused());
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|_| refused())
    }
}

/// The query parameters of a page, whose cursor has a key of type `K`.
pub struct PageQuery<K> {
    /// The most items on the page.
    pub limit: Limit,
    cursor: Option<Cursor<K>>,
}

impl<K> IntoParams for PageQuery<K> {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        /// The parameters as clients see them: the derive refuses a key without a schema.
        #[derive(IntoParams)]
        #[into_params(parameter_in = Query)]
        #[expect(dead_code, reason = "it only describes the parameters")]
        struct Parameters {
            /// 1 to 100, 20 by default.
            #[param(minimum = 1, maximum = 100)]
            limit: Option<u16>,
            /// The `nextCursor` of the page before.
            cursor: Option<String>,
        }
        Parameters::into_params(place)
    }
}

impl<K> PageQuery<K> {
    /// Returns the key of the last item before the page, or `None` for the first page.
    pub fn key(&self) -> Option<&K> {
        self.cursor.as_ref().map(|cursor| &cursor.0)
    }
}

impl<K: DeserializeOwned> FromFields for PageQuery<K> {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (limit, cursor) = (fields.optional("limit"), fields.optional("cursor"));
        Some(Self { limit: limit?.unwrap_or_default(), cursor: cursor? })
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
    /// Creates a page from rows fetched with [`Limit::with_one_more`].
    pub fn cut<K: Serialize>(mut items: Vec<T>, limit: Limit, key: impl Fn(&T) -> K) -> Self {
        let more = items.len() > usize::from(limit.0);
        items.truncate(usize::from(limit.0));
        let next_cursor = items.last().filter(|_| more).map(|last| {
            let json = serde_json::to_vec(&key(last)).expect("a key has only text keys");
            BASE64_URL_SAFE_NO_PAD.encode(json)
        });
        Self { items, next_cursor }
    }

    /// Converts each item to the form that clients read.
    pub fn map<U>(self, item: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(item).collect(), next_cursor: self.next_cursor }
    }

    /// Converts each item to the form that clients read, if no conversion fails.
    ///
    /// # Errors
    /// The error of the first item that cannot be converted.
    pub fn try_map<U, E>(self, item: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
        let items = self.items.into_iter().map(item).collect::<Result<_, E>>()?;
        Ok(Page { items, next_cursor: self.next_cursor })
    }
}
