//! Reads and writes the files of the identities' folder, for a dump and for loading one.

use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use super::DumpError;
use super::format::FileRecord;

/// Read permissions of others on a file that is not secret.
const OTHERS_MAY_READ: u32 = 0o044;

/// Returns all files below the folder, in the order of their names.
pub(super) fn read_tree(root: &Path) -> Result<Vec<FileRecord>, DumpError> {
    let mut files = Vec::new();
    read_folder(root, &mut Vec::new(), &mut files)?;
    Ok(files)
}

fn read_folder(
    folder: &Path,
    names: &mut Vec<String>,
    files: &mut Vec<FileRecord>,
) -> Result<(), DumpError> {
    let unusable = |reason| DumpError::File { path: folder.to_owned(), reason };
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).and_then(Iterator::collect).map_err(unusable)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let unusable = |reason| DumpError::File { path: path.clone(), reason };
        let name = entry.file_name().into_string();
        let name = name.map_err(|_| unusable(io::ErrorKind::InvalidFilename.into()))?;
        names.push(name);
        if path.is_dir() {
            read_folder(&path, names, files)?;
        } else {
            let mode = entry.metadata().map_err(unusable)?.permissions().mode();
            let content = std::fs::read(&path).map_err(unusable)?;
            let secret = mode & OTHERS_MAY_READ == 0;
            files.push(FileRecord { path: names.clone(), content, secret });
        }
        names.pop();
    }
    Ok(())
}

/// Writes one file below the folder and waits for the disk.
pub(super) fn write_file(root: &Path, file: &FileRecord) -> Result<(), DumpError> {
    let path = path_below(root, &file.path)?;
    let written = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mode = if file.secret { 0o600 } else { 0o644 };
        let mut options = std::fs::OpenOptions::new();
        let mut out = options.write(true).create_new(true).mode(mode).open(&path)?;
        out.write_all(&file.content)?;
        out.sync_all()
    };
    written().map_err(|reason| DumpError::File { path: path.clone(), reason })
}

/// Returns the path of a file below the folder. Refuses names that lead outside of it, because a
/// dump may come from somebody else.
fn path_below(root: &Path, names: &[String]) -> Result<PathBuf, DumpError> {
    let mut path = root.to_owned();
    for name in names {
        let mut parts = Path::new(name).components();
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(part)), None) if part == name.as_str() => path.push(part),
            _ => return Err(DumpError::Damaged(format!("it contains the invalid path {names:?}"))),
        }
    }
    Ok(path)
}
