//! What can go wrong with a private cluster, each as one sentence that says what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why a private cluster is not running.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No server binaries anywhere.
    #[error(
        "no PostgreSQL {} or newer is installed: run `apt-get install postgresql`, or set GX_PG_BINDIR to the folder that holds initdb and pg_ctl",
        super::binaries::OLDEST_MAJOR
    )]
    NoBinaries,
    /// The data was made by a major version that is not installed.
    #[error(
        "{} was made by PostgreSQL {major}, which is not installed: run `apt-get install postgresql-{major}`, or start over with `--fresh`",
        data.display()
    )]
    OtherMajor {
        /// The data directory.
        data: PathBuf,
        /// The major version that made it.
        major: u32,
    },
    /// PostgreSQL refuses to run as root and nobody else is there to run it.
    #[error(
        "PostgreSQL does not run as root and there is neither a user `postgres` nor `nobody`: create one, or start as another user"
    )]
    NoUnprivilegedUser,
    /// A file or folder that cannot be used.
    #[error("cannot {action} {}: choose another place with `--data-dir`, or correct its permissions", path.display())]
    Folder {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process holds the cluster.
    #[error("{} is in use by another gx: stop that one, or choose another place with `--data-dir`", .0.display())]
    InUse(PathBuf),
    /// No free port.
    #[error("no TCP port from {first} to {last} is free on 127.0.0.1: free one of them, or write another start into {}", file.display())]
    NoPort {
        /// First port tried.
        first: u16,
        /// Last port tried.
        last: u16,
        /// Where the port is kept.
        file: PathBuf,
    },
    /// A server program failed.
    #[error("{program} failed ({reason}): see {}", log.display())]
    Program {
        /// Which.
        program: &'static str,
        /// Its last words.
        reason: String,
        /// Where more is written.
        log: PathBuf,
    },
    /// The server runs and cannot be used.
    #[error(
        "PostgreSQL at 127.0.0.1:{port} does not answer as it should ({reason}): stop it, or start over with `--fresh`"
    )]
    NoAnswer {
        /// Its port.
        port: u16,
        /// What happened.
        reason: String,
    },
}

impl ClusterError {
    /// For `map_err` around a file operation.
    pub(super) fn folder(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Folder { action, path, source }
    }
}
