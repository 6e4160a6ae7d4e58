//! What the readers of the formats find in the structure of a file.

use super::refusal::Refusal;
use crate::format::FileFormat;

/// The size of an image, as its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) width: u32,
    pub(super) height: u32,
}

/// What is wrong with the structure of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Malformed(&'static str),
    Trailing,
    Animated,
}

impl Wrong {
    pub(super) fn of(self, format: FileFormat) -> Refusal {
        match self {
            Self::Malformed(reason) => Refusal::Malformed { format, reason },
            Self::Trailing => Refusal::Polyglot { format, found: "bytes after its end" },
            Self::Animated => Refusal::Animated,
        }
    }
}
