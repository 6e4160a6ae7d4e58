//! The errors of a check that cannot be made. All tasks return them; `main` prints them and exits
//! with code 2.

use std::path::{Path, PathBuf};

/// The reason that a check could not be made. A broken rule is a finding and not an error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// A Rust file cannot be cut into tokens.
    #[error("{file}:{line}: the file cannot be read as Rust: {message}")]
    Rust { file: String, line: usize, message: String },
    /// A list under docs/requirements has a malformed row.
    #[error("{file}:{line}: {message}")]
    List { file: String, line: usize, message: String },
    /// The asynchronous runtime did not start.
    #[error("the asynchronous runtime cannot start: {0}")]
    Runtime(std::io::Error),
    /// The database refused a statement or did not answer.
    #[error("the test database failed: {0}")]
    Database(sqlx::Error),
    /// A migration failed.
    #[error(transparent)]
    Migration(gx_db::MigrateError),
    /// Cargo could not run, or its output could not be read.
    #[error("cargo {arguments} failed: {message}")]
    Cargo { arguments: String, message: String },
}

impl Error {
    /// Returns a function that makes the error of an operation on a file.
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
