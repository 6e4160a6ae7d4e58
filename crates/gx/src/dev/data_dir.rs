//! The folder in which the development stack keeps its database, ledger, keys and passwords.
//! `gx dev` opens it first; a [`DevError`] ends the start.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::DevError;

/// Longest wait for the lock: a killed process may still hold the lock for a moment.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between two tries to take the lock.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// The data folder, locked for this process. The system releases the lock when the process ends.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the folder if it is missing, and takes its lock.
    ///
    /// # Errors
    /// [`DevError::NotWritable`] if the folder cannot be created, [`DevError::InUse`] while another
    /// stack runs in it.
    pub(crate) async fn open(path: &Path) -> Result<Self, DevError> {
        let not_writable = |source| DevError::NotWritable { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(not_writable)?;
        let path = path.canonicalize().map_err(not_writable)?;
        let lock = File::create(path.join("lock")).map_err(not_writable)?;
        let locking = tokio::time::timeout(LOCK_TIMEOUT, async {
            loop {
                match lock.try_lock() {
                    Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_RETRY_INTERVAL).await,
                    outcome => return outcome,
                }
            }
        });
        match locking.await {
            Ok(Ok(())) => Ok(Self { path, _lock: lock }),
            Ok(Err(TryLockError::Error(source))) => Err(DevError::NotWritable { path, source }),
            Ok(Err(TryLockError::WouldBlock)) | Err(_) => Err(DevError::InUse { path }),
        }
    }

    /// Returns the path of one part's folder or file.
    pub(crate) fn join(&self, part: &str) -> PathBuf {
        self.path.join(part)
    }

    /// Deletes one part's folder or file, if it exists.
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

    /// Returns the content of a secret file. If the file is missing, `make` creates the secret and
    /// the file is written whole or not at all, so that a kill leaves no half secret.
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

    /// Writes a file that only its owner can read, whole or not at all.
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
