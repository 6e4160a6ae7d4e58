//! The whole supply: who holds how much of it, as the ledger has it.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_serve::ProblemKind;

/// No person of that country has been granted yet, or there is no such country.
pub(crate) const NO_TREASURY: ProblemKind =
    ProblemKind::new("no_treasury", 404, "There is no such treasury yet");
