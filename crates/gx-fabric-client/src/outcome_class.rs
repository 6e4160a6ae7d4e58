//! The classes of failures. The client gives one to every [`crate::LedgerError`]; its callers
//! decide by the class what to do.

/// What can be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutcomeClass {
    /// The contract or the orderer refused this content.
    Refused,
    /// Peers endorsed different results: propose again.
    Conflict,
    /// The call may have had an effect: send the same bytes again.
    Unknown,
    /// No server can serve the call now: wait and try again.
    Unavailable,
    /// The call fails until an operator changes a setting.
    Misconfigured,
}

impl OutcomeClass {
    /// Returns the class, as in metric labels and log fields.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Conflict => "conflict",
            Self::Unknown => "unknown",
            Self::Unavailable => "unavailable",
            Self::Misconfigured => "misconfigured",
        }
    }
}
