//! What can keep a check from giving an answer.

use std::path::{Path, PathBuf};

/// A check could not be made. A broken rule is a finding and not an error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// A Rust file does not lex.
    #[error("{file}:{line}: not Rust: {message}")]
    Rust { file: String, line: usize, message: String },
    /// A list under docs/requirements is not as it must be.
    #[error("{file}:{line}: {message}")]
    List { file: String, line: usize, message: String },
    /// The asynchronous runtime did not start.
    #[error("no runtime: {0}")]
    Runtime(std::io::Error),
    /// The database did not answer.
    #[error("the database did not answer: {0}")]
    Database(sqlx::Error),
    /// Cargo did not answer.
    #[error("cargo {arguments} failed: {message}")]
    Cargo { arguments: String, message: String },
}

impl Error {
    /// The error of an operation on a file.
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
