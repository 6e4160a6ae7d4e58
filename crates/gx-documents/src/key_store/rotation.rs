//! Re-wraps the keys of people with the current master key. Called by `gx keys rotate`.
//!
//! Documents are not encrypted again: only the small file of each person changes. The rotation may
//! run while services read and erase, and may be stopped at any time.

use std::collections::BTreeMap;
use std::path::Path;

use super::folder::{Entry, read_file};
use super::{KeyStore, KeyStoreError, place};

/// Limit of the keys that a report names.
const MAX_NAMED: usize = 20;

/// Number of people's keys under one master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PersonKeyUse {
    /// Version of the master key.
    pub version: i32,
    /// Number of keys of people that only this master key decrypts.
    pub keys: u64,
}

/// Result of [`KeyStore::rotate`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonKeyReport {
    /// Keys that were re-wrapped.
    pub rewrapped: u64,
    /// Keys that cannot be decrypted or read: at most 20, as `file: reason`.
    pub failed: Vec<String>,
    /// Number of all keys that cannot be decrypted or read.
    pub failures: u64,
    /// Versions of master keys that keys of people have after the rotation.
    pub keys: Vec<PersonKeyUse>,
}

/// What became of one file.
enum RewrapOutcome {
    Rewrapped(i32),
    Unchanged(i32),
    Erased,
}

impl KeyStore {
    /// Re-wraps all keys of older master keys, and tells `progress` the number after each
    /// subfolder.
    ///
    /// # Errors
    /// [`KeyStoreError::Folder`] if the folder cannot be read; keys before it stay re-wrapped.
    pub async fn rotate(
        &self,
        mut progress: impl FnMut(u64),
    ) -> Result<PersonKeyReport, KeyStoreError> {
        let mut report = PersonKeyReport::default();
        let mut uses = BTreeMap::new();
        for shard in self.files.blocking(super::folder::Folder::shards).await? {
            let store = self.clone();
            let before = report.rewrapped;
            (report, uses) = tokio::task::spawn_blocking(move || {
                store.rotate_shard(&shard, &mut report, &mut uses)?;
                Ok::<_, KeyStoreError>((report, uses))
            })
            .await
            .expect("work on the key store does not panic")?;
            if report.rewrapped > before {
                progress(report.rewrapped);
            }
        }
        report.keys =
            uses.into_iter().map(|(version, keys)| PersonKeyUse { version, keys }).collect();
        Ok(report)
    }

    fn rotate_shard(
        &self,
        shard: &Path,
        report: &mut PersonKeyReport,
        uses: &mut BTreeMap<i32, u64>,
    ) -> Result<(), KeyStoreError> {
        // The names are read without the lock: a key that is created later has the current version.
        for path in super::folder::files(shard)? {
            match self.rewrap(shard, &path) {
                Ok(RewrapOutcome::Rewrapped(version)) => {
                    report.rewrapped += 1;
                    *uses.entry(version).or_default() += 1;
                }
                Ok(RewrapOutcome::Unchanged(version)) => *uses.entry(version).or_default() += 1,
                Ok(RewrapOutcome::Erased) => {}
                Err(reason) => {
                    report.failures += 1;
                    if let Ok(Some((_, Entry::Key(value)))) = read_file(&path) {
                        *uses.entry(value.key_version).or_default() += 1;
                    }
                    if report.failed.len() < MAX_NAMED {
                        let cause = match &reason {
                            KeyStoreError::Decrypt(why) => why.to_string(),
                            other => other.to_string(),
                        };
                        report.failed.push(format!("{}: {cause}", path.display()));
                    }
                }
            }
        }
        Ok(())
    }

    /// Re-wraps one key, with the subfolder locked so that an erasure at the same time is not
    /// undone.
    fn rewrap(&self, shard: &Path, path: &Path) -> Result<RewrapOutcome, KeyStoreError> {
        let locked = self.files.0.lock_shard(shard.to_owned())?;
        let Some((profile_id, entry)) = read_file(path)? else { return Ok(RewrapOutcome::Erased) };
        let Entry::Key(value) = entry else { return Ok(RewrapOutcome::Erased) };
        match self.ring.rewrap(place(&profile_id), &value)? {
            None => Ok(RewrapOutcome::Unchanged(value.key_version)),
            Some(new) => {
                let version = new.key_version;
                locked.write(&profile_id, &Entry::Key(new))?;
                Ok(RewrapOutcome::Rewrapped(version))
            }
        }
    }
}
