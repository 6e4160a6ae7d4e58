//! Opens the store's file for `Store::open`; each commit waits for the disk or does not.

use std::fs::File;
use std::io::Error as BackendIoError;
use std::ops::Bound;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{BackendError, Builder, Database, DatabaseError, StorageBackend};

use crate::DevnetError;

/// Limit of pages in memory. Keys are as random as command ids, so a chain whose state is larger
/// reads and writes one page for nearly every key of a block.
const CACHE_BYTES: usize = 512 * 1024 * 1024;

/// Opens the file, or creates it. Fails if another process has it open or it is damaged.
pub(super) fn open_database(path: &Path, fsync: bool) -> Result<Database, DevnetError> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|reason| DevnetError::DataDir { path: path.to_owned(), reason })?;
    let opened = FileBackend::new(file).and_then(|file| {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES);
        if fsync {
            builder.create_with_backend(file)
        } else {
            builder.create_with_backend(Unsynced(file))
        }
    });
    opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => DevnetError::InUse { path: path.to_owned() },
        other => DevnetError::Store { path: path.to_owned(), reason: other.to_string() },
    })
}

/// A file that is never synced to the disk. If the process is killed, nothing is lost.
#[derive(Debug)]
struct Unsynced(FileBackend);

impl StorageBackend for Unsynced {
    fn len(&self) -> Result<u64, BackendIoError> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), BackendIoError> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), BackendIoError> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> Result<(), BackendIoError> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), BackendIoError> {
        self.0.write(offset, data)
    }

    fn close(&self) -> Result<(), BackendIoError> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.query_lock_range(start, end)
    }
}
