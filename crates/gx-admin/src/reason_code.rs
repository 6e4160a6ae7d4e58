//! The field with the reason code of a decision, which the bodies of several routes have.

use gx_model::ReasonCode;
use gx_serve::fields::{Field, FieldError, text};
use serde_json::Value;

/// A reason code of 1 to 40 upper-case letters, digits and underscores.
pub(crate) struct ReasonCodeField(pub(crate) ReasonCode);

impl Field for ReasonCodeField {
    fn read(value: &Value) -> Result<Self, FieldError> {
        text(value)?.parse().map(Self).map_err(|_| {
            let message = "must be 1 to 40 upper-case letters, digits and underscores";
            FieldError::new("format", message)
        })
    }
}
