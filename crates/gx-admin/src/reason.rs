//! Why an administrator does something: what the audit log says.

use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text};
use serde_json::Value;
use utoipa::ToSchema;

/// A text of 1 to 200 characters.
pub(crate) struct Reason(pub(crate) String);

impl Field for Reason {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let Text(reason) = Text::<200>::read(value)?;
        if reason.trim().is_empty() {
            return Err(FieldError::new("too_short", "must not be empty"));
        }
        Ok(Self(reason))
    }
}

/// Why.
#[derive(ToSchema)]
pub(crate) struct ReasonBody {
    /// What the audit log says.
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    pub(crate) reason: Reason,
}

impl FromFields for ReasonBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { reason: fields.required("reason")? })
    }
}
