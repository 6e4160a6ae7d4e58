//! How many bytes may be read before the next part of a form is found. The reader of forms keeps
//! them in memory until then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::FormError;
use super::limits::{FIELD_PIECE_BYTES, PIECE_BYTES};
use crate::limits::UPLOAD_FIELDS_LIMIT_BYTES;

/// What may be read while a file arrives: its size has a limit of its own.
const UNLIMITED: usize = usize::MAX;

/// The bytes that may be read before the next part is found. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct ReadWindow(Arc<AtomicUsize>);

impl ReadWindow {
    /// Creates a window for the fields before the file.
    pub(super) fn new() -> Self {
        let window = Self(Arc::new(AtomicUsize::new(0)));
        window.limit();
        window
    }

    /// Lets the fields and heads of parts be read.
    pub(super) fn limit(&self) {
        // A piece may contain the end of the fields and the beginning of the file.
        self.0.store(UPLOAD_FIELDS_LIMIT_BYTES + PIECE_BYTES, Ordering::Relaxed);
    }

    /// Lets the file be read.
    pub(super) fn open(&self) {
        self.0.store(UNLIMITED, Ordering::Relaxed);
    }

    /// Returns the size of the next piece, in bytes.
    pub(super) fn piece_bytes(&self) -> usize {
        let is_open = self.0.load(Ordering::Relaxed) == UNLIMITED;
        if is_open { PIECE_BYTES } else { FIELD_PIECE_BYTES }
    }

    /// Counts bytes that are read now.
    pub(super) fn pass(&self, bytes: usize) -> Result<(), FormError> {
        let left = self.0.load(Ordering::Relaxed);
        if left == UNLIMITED {
            return Ok(());
        }
        let left = left.checked_sub(bytes).ok_or(FormError::FieldsTooLarge)?;
        self.0.store(left, Ordering::Relaxed);
        Ok(())
    }
}
