//! The environment of a process, from GX_ENV. Roles refuse the start if a setting does not fit it,
//! and so does `fabric` for commands that connect to a ledger.

use clap::ValueEnum;

/// Whether settings are accepted that are safe only on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Environment {
    /// Loopback and literal addresses of peers are accepted, and documents without a scanner
    Development,
    /// Loopback and literal addresses of peers are refused, and svc-identity without a scanner
    Production,
}
