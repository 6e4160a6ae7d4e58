//! Why a file is not taken in.

use crate::format::FileFormat;

/// Why a file is not taken in. The texts are for the person who uploads it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The file has no bytes.
    #[error("the file is empty; choose another file")]
    Empty,
    /// The file is larger than the limit.
    #[error("the file is larger than {max_bytes} bytes; upload a smaller one")]
    TooLarge {
        /// The limit, in bytes.
        max_bytes: u64,
    },
    /// The content is of no format that is taken in.
    #[error("the file is no JPEG, PNG, WebP or PDF; save it in one of these formats")]
    UnknownFormat,
    /// The content is of another format than the declared type or the file name.
    #[error("the file is a {found}, but {source_of_claim} says otherwise; correct it")]
    Mismatch {
        /// Format of the content.
        found: FileFormat,
        /// What says something else: `the declared type` or `the file name`.
        source_of_claim: &'static str,
    },
    /// The structure of the file is wrong, or the file ends early.
    #[error("the {format} is damaged or incomplete: {reason}; save it again")]
    Malformed {
        /// Format of the content.
        format: FileFormat,
        /// What is wrong.
        reason: &'static str,
    },
    /// Bytes follow after the end of the content, or the file can be read as a second format.
    #[error("the file contains more than a {format}: {found}; save it again")]
    Polyglot {
        /// Format of the content.
        format: FileFormat,
        /// What else was found.
        found: &'static str,
    },
    /// The image moves, and a reviewer would see its first picture only.
    #[error("the image is animated; upload a still image")]
    Animated,
    /// The image has too many pixels.
    #[error("the image has {width} × {height} pixels, more than are permitted; make it smaller")]
    TooManyPixels {
        /// Width, in pixels.
        width: u32,
        /// Height, in pixels.
        height: u32,
    },
    /// The PDF has too many pages.
    #[error("the PDF has more than {max_pages} pages; upload the pages that are asked for")]
    TooManyPages {
        /// The limit.
        max_pages: u32,
    },
    /// The PDF is encrypted.
    #[error("the PDF is encrypted; save it without a password")]
    Encrypted,
    /// The PDF has scripts, attachments or actions.
    #[error("the PDF contains {found}; print it to a new PDF")]
    Active {
        /// What was found, such as `JavaScript`.
        found: String,
    },
    /// The scanner has found malware.
    #[error("the file was refused by the malware scanner; choose another file")]
    Infected,
}

impl Refusal {
    /// Returns the code of the refusal, for clients.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "file_empty",
            Self::TooLarge { .. } => "file_too_large",
            Self::UnknownFormat => "file_format_unknown",
            Self::Mismatch { .. } => "file_format_mismatch",
            Self::Malformed { .. } => "file_malformed",
            Self::Polyglot { .. } => "file_polyglot",
            Self::Animated => "file_animated",
            Self::TooManyPixels { .. } => "file_too_many_pixels",
            Self::TooManyPages { .. } => "file_too_many_pages",
            Self::Encrypted => "file_encrypted",
            Self::Active { .. } => "file_active_content",
            Self::Infected => "file_infected",
        }
    }
}
