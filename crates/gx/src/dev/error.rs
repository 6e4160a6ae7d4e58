//! What can keep the development stack from starting, each with what to do about it.

use std::path::PathBuf;

/// One sentence that says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevError {
    #[error(
        "port {port} on 127.0.0.1 is taken ({source}): stop what listens there, or move all ports with --port-offset N"
    )]
    PortTaken { port: u16, source: std::io::Error },
    #[error(
        "{} cannot be written ({source}): make it writable, or name another folder with --data-dir DIR",
        path.display()
    )]
    NotWritable { path: PathBuf, source: std::io::Error },
    #[error(
        "another gx dev is running in {}: stop it, or name another folder with --data-dir DIR",
        path.display()
    )]
    InUse { path: PathBuf },
    #[error("{} is damaged: restore it, or start over with --fresh", path.display())]
    Damaged { path: PathBuf },
}
