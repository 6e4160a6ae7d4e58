//! The keys of hashes that must not be guessed: of requests with passwords, and of addresses. A
//! bare hash of a password or an address is found by trying.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::hmac;

/// The keys of HMAC-SHA-256 for one purpose: one for each version of the key ring. Clones share
/// them.
#[derive(Clone, Debug)]
pub struct FingerprintKeys(Arc<Keys>);

#[derive(Debug)]
struct Keys {
    current: i32,
    by_version: BTreeMap<i32, hmac::Key>,
}

/// The hashes of one content, with the key of each version. All are needed where a stored hash is
/// compared or looked up: which version stored it is known only when the content, a request's body,
/// is gone, or one statement looks for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedHashes {
    version: i32,
    current: [u8; 32],
    older: BTreeMap<i32, [u8; 32]>,
}

impl FingerprintKeys {
    /// Creates the keys of one purpose. Content is stored with the hash of the version `current`.
    ///
    /// # Panics
    /// If no key has the version `current`.
    pub fn new(current: i32, by_version: BTreeMap<i32, hmac::Key>) -> Self {
        assert!(by_version.contains_key(&current), "the current version has a key");
        Self(Arc::new(Keys { current, by_version }))
    }

    /// Returns the hash of the parts with the current key alone, for what is never compared with a
    /// hash of another version. The length of each part counts.
    pub fn current_hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let keys = &*self.0;
        let key = keys.by_version.get(&keys.current).expect("the constructor checks the version");
        hash(key, parts)
    }

    /// Returns the hashes of the parts. The length of each part counts, so that no two lists of
    /// parts are the same text.
    pub fn hashes(&self, parts: &[&[u8]]) -> KeyedHashes {
        let keys = &*self.0;
        let of = |version: &i32, key: &hmac::Key| (*version, hash(key, parts));
        let mut older: BTreeMap<i32, [u8; 32]> =
            keys.by_version.iter().map(|(version, key)| of(version, key)).collect();
        let current = older.remove(&keys.current).expect("the constructor checks the version");
        KeyedHashes { version: keys.current, current, older }
    }
}

impl KeyedHashes {
    /// Returns the version of the key with which the content is stored.
    pub fn version(&self) -> i32 {
        self.version
    }

    /// Returns the hash under which the content is stored.
    pub fn current(&self) -> &[u8; 32] {
        &self.current
    }

    /// Returns the hashes under which the content was stored before the key was replaced, or will
    /// be stored by processes that already use the next key.
    pub fn others(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.older.values()
    }

    /// Returns whether a stored hash is one of this content. A hash of a version that the key ring
    /// lacks is not.
    pub fn has_hash(&self, version: i32, stored: &[u8]) -> bool {
        let hash =
            if version == self.version { Some(&self.current) } else { self.older.get(&version) };
        hash.is_some_and(|hash| hash[..] == *stored)
    }
}

fn hash(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    #[cfg(test)]
    HASHES.with(|hashes| hashes.set(hashes.get() + 1));
    let mut content = hmac::Context::with_key(key);
    for part in parts {
        content.update(&(part.len() as u64).to_be_bytes());
        content.update(part);
    }
    let tag = content.sign();
    tag.as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
}

#[cfg(test)]
std::thread_local! {
    /// Number of hashes that this thread has computed.
    pub(crate) static HASHES: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The current hash is one hash, and the same as in the list of all.
    #[test]
    fn the_current_hash_costs_one_hash() {
        let keys = keys(2, &[1, 2, 3]);
        let before = HASHES.get();
        let hash = keys.current_hash(&[b"a", b"bc"]);
        assert_eq!(HASHES.get() - before, 1);
        assert_eq!(hash, *keys.hashes(&[b"a", b"bc"]).current());
    }

    fn keys(current: i32, versions: &[i32]) -> FingerprintKeys {
        let key = |version: &i32| {
            (*version, hmac::Key::new(hmac::HMAC_SHA256, format!("secret {version}").as_bytes()))
        };
        FingerprintKeys::new(current, versions.iter().map(key).collect())
    }

    /// SEC-API-02: a hash depends on the key and every part; a hash of an older key is recognised
    /// while the ring has the key, and no hash is one of another version.
    #[test]
    fn hashes_of_older_keys_are_recognised() {
        let old = keys(1, &[1]).hashes(&[b"a", b"bc"]);
        assert_eq!((old.version(), old.others().count()), (1, 0));
        assert_eq!(old, keys(1, &[1]).hashes(&[b"a", b"bc"]));
        assert_ne!(old.current(), keys(1, &[1]).hashes(&[b"ab", b"c"]).current());

        let new = keys(2, &[1, 2]).hashes(&[b"a", b"bc"]);
        assert_eq!((new.version(), new.others().collect()), (2, vec![old.current()]));
        assert!(new.has_hash(1, old.current()));
        assert!(new.has_hash(2, new.current()));
        for (version, stored) in [(2, old.current()), (1, new.current()), (3, new.current())] {
            assert!(!new.has_hash(version, stored), "a hash of another version than {version}");
        }
        assert!(!new.has_hash(1, b""));
        let only_new = keys(2, &[2]).hashes(&[b"a", b"bc"]);
        assert!(!only_new.has_hash(1, old.current()));
        // A process that is restarted last meets hashes of the next key.
        let next = keys(1, &[1, 2]).hashes(&[b"a", b"bc"]);
        assert!(next.has_hash(2, new.current()));
    }
}
