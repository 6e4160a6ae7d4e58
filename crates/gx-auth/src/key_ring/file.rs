//! The file with the master keys: lines `version:base64`, the first of which is current.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use gx_serve::Entropy;
use secrecy::zeroize::Zeroizing;

/// Why the file gives no key ring. The texts never contain a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// The file cannot be read.
    #[error(
        "the master keys cannot be read from `{path}`; check GX_MASTER_KEY_FILE and the permissions"
    )]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The file has no line.
    #[error(
        "`{path}` contains no master key; write a line `1:` followed by the output of \
         `openssl rand -base64 32`"
    )]
    Empty {
        /// Path of the file.
        path: PathBuf,
    },
    /// A line is not a key.
    #[error("line {line} of `{path}` is not a master key: {reason}; correct or remove the line")]
    Line {
        /// Path of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// The keys of a file.
pub(super) struct MasterKeys {
    current: i32,
    keys: BTreeMap<i32, Zeroizing<[u8; 32]>>,
}

impl MasterKeys {
    pub(super) fn current(&self) -> i32 {
        self.current
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (i32, &[u8; 32])> {
        self.keys.iter().map(|(version, key)| (*version, &**key))
    }
}

/// Returns a line with a new random key.
pub fn new_line(version: i32, entropy: &Entropy) -> String {
    format!("{version}:{}", BASE64_STANDARD.encode(entropy.bytes::<32>()))
}

pub(super) fn read(path: &Path) -> Result<MasterKeys, KeyRingError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| KeyRingError::File { path: path.to_owned(), source })?;
    parse(&Zeroizing::new(text), path)
}

pub(super) fn parse(text: &str, path: &Path) -> Result<MasterKeys, KeyRingError> {
    let mut keys = BTreeMap::new();
    let mut current = None;
    for (line, text) in (1..).zip(text.lines().map(str::trim)).filter(|(_, text)| !text.is_empty())
    {
        let wrong = |reason| KeyRingError::Line { path: path.to_owned(), line, reason };
        let (version, key) = parse_line(text).map_err(wrong)?;
        if keys.insert(version, key).is_some() {
            return Err(wrong("an earlier line has the same version"));
        }
        current.get_or_insert(version);
    }
    let current = current.ok_or_else(|| KeyRingError::Empty { path: path.to_owned() })?;
    Ok(MasterKeys { current, keys })
}

fn parse_line(text: &str) -> Result<(i32, Zeroizing<[u8; 32]>), &'static str> {
    let (version, key) = text.split_once(':').ok_or("it must be a version, a colon and base64")?;
    let version = version.trim().parse().ok().filter(|version| *version > 0);
    let version = version.ok_or("the version must be a number from 1 to 2147483647")?;
    let key = BASE64_STANDARD.decode(key.trim()).map(Zeroizing::new);
    let key = key.map_err(|_| "the key must be base64")?;
    let key: [u8; 32] = key.as_slice().try_into().map_err(|_| "the key must have 32 bytes")?;
    Ok((version, Zeroizing::new(key)))
}
