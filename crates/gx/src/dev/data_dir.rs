//! The folder that holds everything the development stack keeps.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::DevError;

/// How long a process that was killed may take to let go of the folder.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// How often the lock is tried meanwhile.
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// The data folder, locked for this process until it ends, however it ends.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the folder where it is missing and takes its lock.
    ///
    /// # Errors
    /// [`DevError::NotWritable`], or [`DevError::InUse`] while another stack runs in it.
    pub(crate) async fn open(path: &Path) -> Result<Self, DevError> {
        let not_writable = |source| DevError::NotWritable { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(not_writable)?;
        let path = path.canonicalize().map_err(not_writable)?;
        let lock = File::create(path.join("lock")).map_err(not_writable)?;
        let patience = tokio::time::timeout(LOCK_PATIENCE, async {
            loop {
                match lock.try_lock() {
                    Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_RETRY).await,
                    outcome => return outcome,
                }
            }
        });
        match patience.await {
            Ok(Ok(())) => Ok(Self { path, _lock: lock }),
            Ok(Err(TryLockError::Error(source))) => Err(DevError::NotWritable { path, source }),
            Ok(Err(TryLockError::WouldBlock)) | Err(_) => Err(DevError::InUse { path }),
        }
    }

    /// The folder of one part.
    pub(crate) fn join(&self, part: &str) -> PathBuf {
        self.path.join(part)
    }

    /// Deletes one part's folder or file; a missing one is fine.
    pub(crate) fn remove(&self, part: &str) -> Result<(), DevError> {
        let path = self.join(part);
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(DevError::NotWritable { path, source })
            }
            _ => Ok(()),
        }
    }

    /// The content of a secret file, which `make` makes once. Only the owner may read it. The
    /// file is complete or absent: a kill in between leaves no half secret.
    pub(crate) fn secret(
        &self,
        name: &str,
        make: impl FnOnce() -> String,
    ) -> Result<String, DevError> {
        let path = self.join(name);
        match fs::read_to_string(&path) {
            Ok(content) => return Ok(content.trim_end().to_owned()),
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(DevError::NotWritable { path, source });
            }
            Err(_) => {}
        }
        let content = make();
        self.write_private(name, &format!("{content}\n"))?;
        Ok(content)
    }

    /// Writes a file that only the owner may read, whole or not at all.
    pub(crate) fn write_private(&self, name: &str, content: &str) -> Result<PathBuf, DevError> {
        let path = self.join(name);
        let draft = self.join(&format!("{name}.new"));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| {
                file.set_permissions(fs::Permissions::from_mode(0o600))?;
                file.write_all(content.as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&draft, &path));
        match written {
            Ok(()) => Ok(path),
            Err(source) => Err(DevError::NotWritable { path, source }),
        }
    }
}
