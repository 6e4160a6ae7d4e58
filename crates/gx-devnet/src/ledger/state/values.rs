//! Keys, values and their metadata: read from a snapshot by simulations, and read and written in a
//! batch at commit.

use gx_fabric_proto::kvrwset::KvMetadataWrite;
use prost::Message;
use redb::{OwnedRange, ReadableTable, ReadableTableMetadata};

use super::{Batch, Metadata, Snapshot, StoreError, Version, Versioned};

const VERSION_BYTES: usize = 12;

impl Snapshot {
    /// Returns a value with its version, or `None` if the key does not exist.
    pub(crate) fn get(&self, namespace: &str, key: &str) -> Result<Option<Versioned>, StoreError> {
        get(&self.state, namespace, key)
    }

    /// Returns the entries of a key's metadata.
    pub(crate) fn metadata(&self, namespace: &str, key: &str) -> Result<Metadata, StoreError> {
        metadata(&self.metadata, namespace, key)
    }

    /// Returns the keys from `start` up to but not including `end`, in byte order; an empty `end`
    /// means no end.
    pub(crate) fn rows(&self, namespace: &str, start: &str, end: &str) -> Result<Rows, StoreError> {
        let (first, past) = bounds(namespace, start, end);
        let range = self.state.range_owned(first.as_slice()..past.as_slice())?;
        Ok(Rows { range, key_at: namespace.len() + 1 })
    }
}

/// The keys and values of a range, which are read on demand.
pub(crate) struct Rows {
    range: OwnedRange<&'static [u8], &'static [u8]>,
    key_at: usize,
}

impl Iterator for Rows {
    type Item = Result<(String, Versioned), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.range.next()?;
        Some(
            entry.map_err(StoreError::from).map(|(key, stored)| {
                (key_text(key.value(), self.key_at), versioned(stored.value()))
            }),
        )
    }
}

impl Batch<'_> {
    /// Returns a value with its version, or `None` if the key does not exist.
    pub(crate) fn get(&self, namespace: &str, key: &str) -> Result<Option<Versioned>, StoreError> {
        get(&self.state, namespace, key)
    }

    pub(crate) fn range(
        &self,
        namespace: &str,
        start: &str,
        end: &str,
    ) -> Result<Vec<(String, Versioned)>, StoreError> {
        range(&self.state, namespace, start, end)
    }

    pub(crate) fn put(
        &mut self,
        namespace: &str,
        key: &str,
        version: Version,
        value: &[u8],
    ) -> Result<(), StoreError> {
        let key = state_key(namespace, key);
        let replaced = self.state.insert(key.as_slice(), stored(version, value).as_slice())?;
        let replaced = replaced.map(|replaced| version_of(replaced.value()));
        self.remember(&key, version, replaced)
    }

    pub(crate) fn delete(
        &mut self,
        namespace: &str,
        key: &str,
        version: Version,
    ) -> Result<(), StoreError> {
        let key = state_key(namespace, key);
        let replaced = self.state.remove(key.as_slice())?;
        let replaced = replaced.map(|replaced| version_of(replaced.value()));
        self.metadata.remove(key.as_slice())?;
        self.remember(&key, version, replaced)?;
        self.deletions.insert(key.as_slice(), (version.block, version.transaction))?;
        Ok(())
    }

    /// Returns whether any key has metadata. Most ledgers have none, and then no key is looked up.
    pub(crate) fn has_metadata(&self) -> Result<bool, StoreError> {
        Ok(!self.metadata.is_empty()?)
    }

    pub(crate) fn metadata(&self, namespace: &str, key: &str) -> Result<Metadata, StoreError> {
        metadata(&self.metadata, namespace, key)
    }

    /// Replaces all metadata of a key; an empty list removes them.
    pub(crate) fn put_metadata(
        &mut self,
        namespace: &str,
        metadata: &KvMetadataWrite,
    ) -> Result<(), StoreError> {
        let key = state_key(namespace, &metadata.key);
        if metadata.entries.is_empty() {
            self.metadata.remove(key.as_slice())?;
        } else {
            self.metadata.insert(key.as_slice(), metadata.encode_to_vec().as_slice())?;
        }
        Ok(())
    }
}

/// Returns the stored form of a key: namespace, zero byte, key.
pub(super) fn state_key(namespace: &str, key: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(namespace.len() + 1 + key.len());
    bytes.extend_from_slice(namespace.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

/// Returns the stored form of a value.
pub(super) fn stored(version: Version, value: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(VERSION_BYTES + value.len());
    stored.extend(version.block.to_be_bytes());
    stored.extend(version.transaction.to_be_bytes());
    stored.extend_from_slice(value);
    stored
}

pub(super) fn versioned(stored: &[u8]) -> Versioned {
    Versioned { version: version_of(stored), value: stored[VERSION_BYTES..].to_vec() }
}

pub(super) fn version_of(stored: &[u8]) -> Version {
    let (block, transaction) = stored[..VERSION_BYTES].split_at(8);
    Version {
        block: u64::from_be_bytes(block.try_into().expect("split at 8 bytes")),
        transaction: u32::from_be_bytes(transaction.try_into().expect("12 less 8 bytes")),
    }
}

fn get(
    state: &impl ReadableTable<&'static [u8], &'static [u8]>,
    namespace: &str,
    key: &str,
) -> Result<Option<Versioned>, StoreError> {
    let stored = state.get(state_key(namespace, key).as_slice())?;
    Ok(stored.map(|stored| versioned(stored.value())))
}

fn metadata(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    namespace: &str,
    key: &str,
) -> Result<Metadata, StoreError> {
    let stored = table.get(state_key(namespace, key).as_slice())?;
    let Some(stored) = stored else { return Ok(Metadata::new()) };
    let stored = KvMetadataWrite::decode(stored.value())
        .expect("the store holds the metadata that was put there");
    Ok(stored.entries.into_iter().map(|entry| (entry.name, entry.value)).collect())
}

pub(super) fn range(
    state: &impl ReadableTable<&'static [u8], &'static [u8]>,
    namespace: &str,
    start: &str,
    end: &str,
) -> Result<Vec<(String, Versioned)>, StoreError> {
    let (first, past) = bounds(namespace, start, end);
    let mut found = Vec::new();
    for entry in state.range(first.as_slice()..past.as_slice())? {
        let (key, stored) = entry?;
        found.push((key_text(key.value(), namespace.len() + 1), versioned(stored.value())));
    }
    Ok(found)
}

/// Returns the first stored key of a range and the key after its last one.
fn bounds(namespace: &str, start: &str, end: &str) -> (Vec<u8>, Vec<u8>) {
    let first = state_key(namespace, start);
    let past = if end.is_empty() {
        [namespace.as_bytes(), &[1]].concat()
    } else {
        state_key(namespace, end)
    };
    let past = past.max(first.clone());
    (first, past)
}

/// Returns the key in a stored key, without its namespace.
fn key_text(stored: &[u8], key_at: usize) -> String {
    let key = std::str::from_utf8(&stored[key_at..]).expect("keys are stored from texts");
    key.to_owned()
}
