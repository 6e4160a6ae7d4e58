//! The reason why a field of a request is invalid. Readers of fields return it; [`crate::fields`]
//! adds the name of the field and puts it into the problem.

/// The reason why a field is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Stable code.
    pub code: &'static str,
    /// The error, and the valid values.
    pub message: String,
}

impl FieldError {
    /// Creates an error with this code.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Creates the error of a wrong JSON type.
    pub fn wrong_type(expected: &str) -> Self {
        Self::new("type", format!("must be {expected}"))
    }
}
