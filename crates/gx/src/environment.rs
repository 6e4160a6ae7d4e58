//! The environment of a process.

use clap::ValueEnum;

/// Whether settings are accepted that are safe only on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Environment {
    /// Loopback and literal addresses of peers are accepted
    Development,
    /// Loopback and literal addresses of peers are refused
    Production,
}
