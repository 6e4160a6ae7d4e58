//! Whether a task checks or writes generated files. `main` takes it from the flag `--write`.

/// The treatment of generated files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Report the files that differ.
    Check,
    /// Write the files that differ.
    Write,
}

impl Mode {
    /// Returns the mode for a `--write` flag.
    pub(crate) fn from_flag(write: bool) -> Self {
        if write { Self::Write } else { Self::Check }
    }
}
