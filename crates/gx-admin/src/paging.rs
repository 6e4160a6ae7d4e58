//! Pages of lists that are ordered by one number.

use gx_serve::fields::{Fields, FromFields};
use gx_serve::page::{Cursor, Limit};
use utoipa::IntoParams;

/// Which page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "the fields describe the query; PageRequest is what is read")]
pub(crate) struct PageQuery {
    /// 1 to 100, 20 by default.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

/// The page that was asked for.
pub(crate) struct PageRequest {
    pub(crate) limit: Limit,
    below: Option<Cursor<i64>>,
}

impl FromFields for PageRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let limit = fields.optional("limit");
        let below = fields.optional("cursor");
        Some(Self { limit: limit?.unwrap_or_default(), below: below? })
    }
}

impl PageRequest {
    /// The number of the last row before the page.
    pub(crate) fn below(&self) -> Option<i64> {
        self.below.as_ref().map(|cursor| cursor.0)
    }
}
