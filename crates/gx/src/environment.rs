//! The environment of a process. Roles and commands that connect to a ledger read it from GX_ENV
//! and pass it to `fabric`, which refuses the start if a setting does not fit. svc-identity refuses
//! links in mails that do not fit.

use clap::ValueEnum;

/// Whether settings are accepted that are safe only on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Environment {
    /// Loopback and literal addresses of peers are accepted
    Development,
    /// Loopback and literal addresses of peers are refused
    Production,
}
