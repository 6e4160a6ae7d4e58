//! Errors of a private cluster. Each says what to do; `gx dev` prints it and ends.

use std::io;
use std::path::{Path, PathBuf};

/// Why a private cluster is not running.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The server programs are not installed.
    #[error(
        "no PostgreSQL {} or newer is installed; run `apt-get install postgresql`, or set GX_PG_BINDIR to the folder that holds `initdb` and `pg_ctl`",
        super::MIN_MAJOR
    )]
    NoBinaries,
    /// The major version that created the data is not installed.
    #[error(
        "`{}` was created by PostgreSQL {major}, which is not installed; run `apt-get install postgresql-{major}`, or start over with `--fresh`",
        data.display()
    )]
    OtherMajor {
        /// The data directory.
        data: PathBuf,
        /// The major version that created it.
        major: u32,
    },
    /// PostgreSQL cannot run as root, and the machine has no other user for it.
    #[error(
        "PostgreSQL does not run as root and there is neither a user `postgres` nor `nobody`; create one, or start as another user"
    )]
    NoUnprivilegedUser,
    /// A file or folder cannot be used.
    #[error("cannot {action} `{}`; choose another folder with `--data-dir`, or correct its permissions", path.display())]
    Folder {
        /// The action that failed.
        action: &'static str,
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        source: io::Error,
    },
    /// Another process uses the cluster.
    #[error("`{}` is in use by another `gx`; stop it, or choose another folder with `--data-dir`", .0.display())]
    InUse(PathBuf),
    /// No port is free.
    #[error("no TCP port from {first} to {last} is free on 127.0.0.1; free one of them, or write another first port into `{}`", file.display())]
    NoPort {
        /// First port that was tried.
        first: u16,
        /// Last port that was tried.
        last: u16,
        /// File that contains the port.
        file: PathBuf,
    },
    /// A server program failed.
    #[error("`{program}` failed ({reason}); see `{}`", log.display())]
    Program {
        /// Name of the program.
        program: &'static str,
        /// Last line that it printed.
        reason: String,
        /// File with its whole output.
        log: PathBuf,
    },
    /// The server runs and cannot be used.
    #[error(
        "PostgreSQL at 127.0.0.1:{port} gives no usable answer ({reason}); stop it, or start over with `--fresh`"
    )]
    NoAnswer {
        /// Port of the server.
        port: u16,
        /// The last error.
        reason: String,
    },
}

impl ClusterError {
    /// Returns a function for `map_err` around a file operation.
    pub(super) fn folder(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Folder { action, path, source }
    }
}
