//! Reads and writes the files of identities, with errors that name them and prevent the start.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::DevnetError;

/// Number of threads that wait for the disk.
const SYNCING_THREADS: usize = 32;

pub(super) fn read(path: &Path) -> Result<String, DevnetError> {
    std::fs::read_to_string(path).map_err(|e| identities(path, &e))
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), DevnetError> {
    write_with_mode(path, text, 0o644).map_err(|e| unusable(path, e))
}

/// Writes a file that only its owner can read.
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

/// Waits until all files are on the disk, because a ledger whose keys a crash has emptied is
/// unusable. Many threads wait at once and share the commits of the file system; one file after the
/// other would take long.
pub(super) fn sync_tree(folder: &Path) -> io::Result<()> {
    let mut paths = vec![folder.to_owned()];
    list(folder, &mut paths)?;
    let share = paths.len().div_ceil(SYNCING_THREADS);
    std::thread::scope(|scope| {
        let shares: Vec<_> = paths
            .chunks(share)
            .map(|paths| scope.spawn(move || paths.iter().try_for_each(|path| sync(path))))
            .collect();
        shares.into_iter().try_for_each(|share| {
            share.join().unwrap_or_else(|_panic| Err(io::Error::other("a thread ended badly")))
        })
    })
}

fn list(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, paths)?;
        }
        paths.push(path);
    }
    Ok(())
}

fn sync(path: &Path) -> io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}

/// Returns the error for a file or folder that the operating system refuses.
pub(super) fn unusable(path: &Path, reason: io::Error) -> DevnetError {
    DevnetError::DataDir { path: path.to_owned(), reason }
}

/// Returns the error for a file with invalid content.
pub(super) fn identities(path: &Path, reason: &impl ToString) -> DevnetError {
    DevnetError::Identities { path: path.to_owned(), reason: reason.to_string() }
}
