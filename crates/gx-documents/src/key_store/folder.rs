//! The files of the key store: one for each person, in subfolders by the beginning of a hash.
//!
//! A change is written to a temporary file, which is synced and renamed; then the subfolder is
//! synced. So a file is always whole, and a change that was reported survives a loss of power.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use gx_auth::key_ring::EncryptedValue;
use gx_db::ProfileId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::KeyStoreError;

/// Length of the names of subfolders, in hexadecimal digits: 4 096 subfolders.
const SHARD_DIGITS: usize = 3;
/// Name of the file in each subfolder that a writer locks.
const LOCK: &str = "lock";
/// Name of the file in each subfolder to which a change is written.
const NEW: &str = "new";
/// End of the name of a person's file.
const SUFFIX: &str = ".json";

/// What the key store has of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// The key, encrypted by the key ring.
    Key(EncryptedValue),
    /// The mark of an erased person.
    Erased {
        /// Seconds since 1970.
        erased_at: i64,
    },
}

/// An entry as its file has it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EntryFile {
    profile_id: ProfileId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_version: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    erased_at: Option<i64>,
}

impl EntryFile {
    fn entry(self) -> Option<Entry> {
        match self {
            Self { key_version: Some(key_version), key: Some(key), erased_at: None, .. } => {
                let bytes = BASE64_STANDARD.decode(key).ok()?;
                Some(Entry::Key(EncryptedValue { key_version, bytes }))
            }
            Self { key_version: None, key: None, erased_at: Some(erased_at), .. } => {
                Some(Entry::Erased { erased_at })
            }
            _ => None,
        }
    }
}

/// The folder of the key store.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

/// A subfolder that no other process changes.
pub(super) struct LockedShard<'a> {
    folder: &'a Folder,
    shard: PathBuf,
    _lock: File,
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> KeyStoreError {
    let path = path.to_owned();
    move |source| KeyStoreError::Folder { path, source }
}

/// Makes the names in a folder durable.
fn sync_folder(path: &Path) -> Result<(), KeyStoreError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed(path))
}

impl Folder {
    pub(super) fn open(root: &Path) -> Result<Self, KeyStoreError> {
        fs::create_dir_all(root).map_err(failed(root))?;
        sync_folder(root)?;
        Ok(Self { root: root.to_owned() })
    }

    /// Returns the subfolder and the file of a person. Names are hashes, because an id of an
    /// imported account may have any characters.
    fn path(&self, profile_id: &ProfileId) -> (PathBuf, PathBuf) {
        self.path_named(&hex::encode(Sha256::digest(profile_id.as_str())))
    }

    fn path_named(&self, name: &str) -> (PathBuf, PathBuf) {
        let shard = self.root.join(name.get(..SHARD_DIGITS).unwrap_or(name));
        let file = shard.join(format!("{name}{SUFFIX}"));
        (shard, file)
    }

    /// Returns whether there is a key under a name; a file that cannot be read counts as one.
    pub(super) fn has_key_named(&self, name: &str) -> Result<bool, KeyStoreError> {
        match read_file(&self.path_named(name).1) {
            Ok(None | Some((_, Entry::Erased { .. }))) => Ok(false),
            Ok(Some((_, Entry::Key(_)))) | Err(KeyStoreError::Form { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    pub(super) fn read(&self, profile_id: &ProfileId) -> Result<Option<Entry>, KeyStoreError> {
        let (_, path) = self.path(profile_id);
        let Some((found, entry)) = read_file(&path)? else { return Ok(None) };
        if found != *profile_id {
            return Err(KeyStoreError::Form { path });
        }
        Ok(Some(entry))
    }

    /// Waits until no other process changes the subfolder of a person, and creates it if there is
    /// none.
    pub(super) fn lock(&self, profile_id: &ProfileId) -> Result<LockedShard<'_>, KeyStoreError> {
        let (shard, _) = self.path(profile_id);
        if !shard.is_dir() {
            fs::create_dir_all(&shard).map_err(failed(&shard))?;
            sync_folder(&self.root)?;
        }
        self.lock_shard(shard)
    }

    pub(super) fn lock_shard(&self, shard: PathBuf) -> Result<LockedShard<'_>, KeyStoreError> {
        let path = shard.join(LOCK);
        let lock = File::options().create(true).append(true).open(&path).map_err(failed(&path))?;
        lock.lock().map_err(failed(&path))?;
        Ok(LockedShard { folder: self, shard, _lock: lock })
    }

    /// Returns all subfolders.
    pub(super) fn shards(&self) -> Result<Vec<PathBuf>, KeyStoreError> {
        let mut shards = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(failed(&self.root))? {
            let path = entry.map_err(failed(&self.root))?.path();
            if path.is_dir() {
                shards.push(path);
            }
        }
        shards.sort();
        Ok(shards)
    }
}

/// Returns the person's id and the entry of a file, or `None` if there is no such file.
pub(super) fn read_file(path: &Path) -> Result<Option<(ProfileId, Entry)>, KeyStoreError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path)(error)),
    };
    let wrong = || KeyStoreError::Form { path: path.to_owned() };
    let file: EntryFile = serde_json::from_slice(&text).map_err(|_| wrong())?;
    let profile_id = file.profile_id.clone();
    let entry = file.entry().ok_or_else(wrong)?;
    Ok(Some((profile_id, entry)))
}

/// Returns the files of all people in a subfolder.
pub(super) fn files(shard: &Path) -> Result<Vec<PathBuf>, KeyStoreError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(shard).map_err(failed(shard))? {
        let path = entry.map_err(failed(shard))?.path();
        if path.to_string_lossy().ends_with(SUFFIX) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

impl LockedShard<'_> {
    pub(super) fn read(&self, profile_id: &ProfileId) -> Result<Option<Entry>, KeyStoreError> {
        self.folder.read(profile_id)
    }

    /// Replaces the entry of a person.
    pub(super) fn write(&self, profile_id: &ProfileId, entry: &Entry) -> Result<(), KeyStoreError> {
        let (key_version, key, erased_at) = match entry {
            Entry::Key(EncryptedValue { key_version, bytes }) => {
                (Some(*key_version), Some(BASE64_STANDARD.encode(bytes)), None)
            }
            Entry::Erased { erased_at } => (None, None, Some(*erased_at)),
        };
        let file = EntryFile { profile_id: profile_id.clone(), key_version, key, erased_at };
        let text = serde_json::to_vec(&file).expect("an entry can be written as JSON");
        let (_, path) = self.folder.path(profile_id);
        let new = self.shard.join(NEW);
        let mut written = File::create(&new).map_err(failed(&new))?;
        written.write_all(&text).and_then(|()| written.sync_all()).map_err(failed(&new))?;
        fs::rename(&new, &path).map_err(failed(&path))?;
        sync_folder(&self.shard)
    }
}
