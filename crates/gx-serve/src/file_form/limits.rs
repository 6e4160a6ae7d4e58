//! Limits of a body with a file.

use std::time::Duration;

use crate::limits::{
    UPLOAD_BODY_LIMIT_BYTES, UPLOAD_MIN_BYTES_PER_S, UPLOAD_PAUSE_LIMIT, UPLOAD_TIME_LIMIT,
};

/// Size of the pieces in which a file is passed on, in bytes.
pub(super) const PIECE_BYTES: usize = 16 * 1024;
/// The same for the fields before the file. The reader of forms takes a piece each time that it is
/// asked for a field, also if it needs none: what it takes too early is the beginning of the file.
pub(super) const FIELD_PIECE_BYTES: usize = 512;

/// Limits of a body with a file; an extension of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadLimits {
    /// Size of the body, in bytes.
    pub max_bytes: usize,
    /// Limit of the time that the client takes for the body.
    pub time_limit: Duration,
    /// Least rate, in bytes per second.
    pub min_bytes_per_s: u32,
    /// Limit of the time by which the body may fall behind that rate.
    pub pause_limit: Duration,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self {
            max_bytes: UPLOAD_BODY_LIMIT_BYTES,
            time_limit: UPLOAD_TIME_LIMIT,
            min_bytes_per_s: UPLOAD_MIN_BYTES_PER_S,
            pause_limit: UPLOAD_PAUSE_LIMIT,
        }
    }
}
