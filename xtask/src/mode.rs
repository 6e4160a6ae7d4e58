//! Files that are generated, and checked against what would be generated.

/// What to do with generated files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Say what differs.
    Check,
    /// Make it right.
    Write,
}

impl Mode {
    /// What a `--write` flag asks for.
    pub(crate) fn from_flag(write: bool) -> Self {
        if write { Self::Write } else { Self::Check }
    }
}
