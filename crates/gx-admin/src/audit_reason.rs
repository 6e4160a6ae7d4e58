//! The reason that an administrator gives for an action, as a field of a request. Read by the
//! routes whose actions are audited. An error becomes one of the field errors of the answer.

use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text};
use serde_json::Value;
use utoipa::ToSchema;

/// A reason for the audit log: a text of 1 to 200 characters that is not blank.
pub(crate) struct AuditReason(pub(crate) String);

impl Field for AuditReason {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let Text(reason) = Text::<200>::read(value)?;
        if reason.trim().is_empty() {
            return Err(FieldError::new("too_short", "must not be empty"));
        }
        Ok(Self(reason))
    }
}

/// A request body that has only a reason.
#[derive(ToSchema)]
pub(crate) struct ReasonBody {
    /// Reason for the audit log.
    #[schema(value_type = String, min_length = 1, max_length = 200,
             example = "Asked for by the person")]
    pub(crate) reason: AuditReason,
}

impl FromFields for ReasonBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { reason: fields.required("reason")? })
    }
}
