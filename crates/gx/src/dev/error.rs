//! Errors that prevent a start of the development stack. The modules of `dev` return them, and
//! `main` prints them.

use std::path::PathBuf;

use crate::cli_error::printed;

/// The reason that the development stack cannot start, with the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevError {
    #[error(
        "port {port} on 127.0.0.1 is taken ({source}); stop the program that listens there, or move all \
         ports with `--port-offset N`"
    )]
    PortTaken { port: u16, source: std::io::Error },
    #[error(
        "`{}` cannot be written ({source}); make it writable, or give another folder with `--data-dir DIR`",
        path.display()
    )]
    NotWritable { path: PathBuf, source: std::io::Error },
    #[error(
        "another `gx dev` is running in `{}`; stop it, or give another folder with `--data-dir DIR`",
        path.display()
    )]
    InUse { path: PathBuf },
    #[error("`{}` is damaged; restore it, or delete all data with `--fresh`", path.display())]
    Damaged { path: PathBuf },
}

printed! { DevError, }
