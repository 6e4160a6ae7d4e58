//! What an envelope is for. The submitter decides it for each batch; the database stores it with
//! the attempt.

/// What an envelope tells the ledger to do with its commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Execute them.
    Execute,
    /// Record their ids as cancelled, so that they never take effect.
    Cancel,
}

impl Purpose {
    /// Returns the name that the database stores.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Execute => "EXECUTE",
            Self::Cancel => "CANCEL",
        }
    }
}
