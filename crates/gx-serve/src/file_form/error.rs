//! Why a form with a file is not read to its end.

use crate::problem::{Problem, kind};

/// Why a form with a file is not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// The body is no form, or a form that ends early.
    #[error("the body is no whole form")]
    Malformed,
    /// A text field is not UTF-8.
    #[error("a field of the form is no text")]
    NotText,
    /// The form has more text fields than any route reads.
    #[error("the form has too many fields")]
    TooManyFields,
    /// The text fields and the heads of the parts are too large.
    #[error("the fields of the form are too large")]
    FieldsTooLarge,
    /// A part follows after the file.
    #[error("something follows after the file")]
    AfterFile,
    /// The body is too large.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The client was too slow.
    #[error("the body arrived too slowly")]
    TooSlow,
    /// The connection broke.
    #[error("the connection broke while the body arrived")]
    Broken,
}

impl From<multer::Error> for FormError {
    fn from(error: multer::Error) -> Self {
        match error {
            // The errors of the body, which the reader of forms passes on.
            multer::Error::StreamReadFailed(cause) => {
                cause.downcast::<Self>().map_or(Self::Broken, |own| *own)
            }
            _ => Self::Malformed,
        }
    }
}

impl From<FormError> for Problem {
    fn from(error: FormError) -> Self {
        let (kind, detail) = match error {
            FormError::Malformed => {
                (&kind::BAD_REQUEST, "The body is no multipart/form-data, or ends early.")
            }
            FormError::NotText => (&kind::BAD_REQUEST, "The fields of the form must be UTF-8."),
            FormError::TooManyFields => (&kind::BAD_REQUEST, "The form has too many fields."),
            FormError::AfterFile => {
                (&kind::BAD_REQUEST, "Send the file last, after all other fields.")
            }
            FormError::FieldsTooLarge => {
                (&kind::BODY_TOO_LARGE, "The fields before the file are too large.")
            }
            FormError::TooLarge(limit_bytes) => return crate::extract::too_large(limit_bytes),
            FormError::TooSlow => (
                &kind::REQUEST_TIMEOUT,
                "The file arrived too slowly. Repeat it over a faster connection.",
            ),
            FormError::Broken => {
                (&kind::BAD_REQUEST, "The connection broke while the body arrived.")
            }
        };
        Self::new(kind, detail)
    }
}
