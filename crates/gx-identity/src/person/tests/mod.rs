//! Tables of a person's fields: forms that real people have, and forms that are refused.

mod identity_numbers;
mod names;
mod phones;

use gx_serve::fields::{Field, FieldError};
use serde_json::json;

/// Parses a field of a request.
fn read<T: Field>(text: &str) -> Result<T, FieldError> {
    T::read(&json!(text))
}

/// Least number of rows with real forms that each table has.
const REAL: usize = 60;
/// Least number of rows with refused forms that each table has.
const HOSTILE: usize = 20;
