//! What a folder needs besides `object_store`: deletes that are on disk, and the removal of files
//! that a killed process was writing.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;

use super::StoreError;

/// The sign between the name of an object and the number of an unfinished write of it.
const STAGED: char = '#';

/// The folder of a local store.
#[derive(Clone, Debug)]
pub(super) struct LocalFolder {
    root: PathBuf,
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Folder { path, source }
}

impl LocalFolder {
    pub(super) fn open(root: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(root).map_err(failed(root))?;
        if let Some(parent) = root.parent().filter(|parent| parent.is_dir()) {
            File::open(parent).and_then(|folder| folder.sync_all()).map_err(failed(parent))?;
        }
        Ok(Self { root: root.to_owned() })
    }

    pub(super) fn objects(&self) -> Result<LocalFileSystem, StoreError> {
        Ok(LocalFileSystem::new_with_prefix(&self.root)?.with_fsync(true))
    }

    /// Removes unfinished writes of an object and syncs its folder.
    pub(super) async fn clean_up(&self, object: &ObjectPath) -> Result<(), StoreError> {
        let file = self.root.join(object.as_ref());
        let cleaned = tokio::task::spawn_blocking(move || clean_up(&file)).await;
        cleaned.expect("work on a folder does not panic")
    }
}

fn clean_up(file: &Path) -> Result<(), StoreError> {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { return Ok(()) };
    // The folder is not read: at 10^8 documents it has tens of thousands of names. Unfinished
    // writes are numbered from 1, and a process that is alive has removed its own.
    for number in 1_u32.. {
        let staged = folder.join(format!("{}{STAGED}{number}", name.to_string_lossy()));
        match fs::remove_file(&staged) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) => return Err(failed(&staged)(error)),
        }
    }
    match File::open(folder) {
        Ok(opened) => opened.sync_all().map_err(failed(folder)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(folder)(error)),
    }
}
