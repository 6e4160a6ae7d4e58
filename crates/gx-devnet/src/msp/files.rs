//! Reading and writing of the identities' files, with errors that name them.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::DevnetError;

pub(super) fn read(path: &Path) -> Result<String, DevnetError> {
    std::fs::read_to_string(path).map_err(|e| identities(path, &e))
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), DevnetError> {
    write_with_mode(path, text, 0o644).map_err(|e| unusable(path, e))
}

/// Readable by its owner only.
pub(super) fn write_secret(path: &Path, text: &str) -> Result<(), DevnetError> {
    write_with_mode(path, text, 0o600).map_err(|e| unusable(path, e))
}

fn write_with_mode(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())
}

/// A ledger whose keys a crash has emptied could not be used again.
pub(super) fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            std::fs::File::open(&path)?.sync_all()?;
        }
    }
    std::fs::File::open(folder)?.sync_all()
}

/// The system refuses the file or folder.
pub(super) fn unusable(path: &Path, reason: io::Error) -> DevnetError {
    DevnetError::DataDir { path: path.to_owned(), reason }
}

/// What the file holds is not what it should be.
pub(super) fn identities(path: &Path, reason: &impl ToString) -> DevnetError {
    DevnetError::Identities { path: path.to_owned(), reason: reason.to_string() }
}
