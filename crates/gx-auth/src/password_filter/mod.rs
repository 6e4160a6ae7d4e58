//! The offline filter of passwords from data breaches: a file that tells whether it has a password,
//! and nothing about the others. Asked for each new password if `GX_PASSWORD_FILTER` is set.
//!
//! The file has a binary fuse filter for each beginning of the SHA-1 of a password, so that it is
//! built from a sorted list in little memory, and one question reads one small part of it. Of the
//! passwords that are not on the list, one in 65 536 is refused all the same.

mod build;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use sha1::{Digest as _, Sha1};
use xorf::{BinaryFuse16, BinaryFuse16Ref, DmaSerializable, Filter as _, FilterRef as _};

pub use build::{BuildError, BuildReport, build_password_filter};

/// The beginning of each filter file, with the version of its form.
const MAGIC: &[u8; 8] = b"GXPWF001";
/// Bits of the SHA-1 that choose a part.
const PART_BITS: u32 = 14;
/// Number of parts.
const PARTS: usize = 1 << PART_BITS;
/// Bytes in front of the parts: the magic, and the offsets of all parts and of the end.
const HEAD_BYTES: usize = MAGIC.len() + (PARTS + 1) * size_of::<u64>();
/// Bytes of a fingerprint.
const FINGERPRINT_BYTES: usize = size_of::<u16>();

/// Why a filter file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The file cannot be read.
    #[error("GX_PASSWORD_FILTER: `{}` cannot be read; check its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The file is none, or a part of one.
    #[error(
        "GX_PASSWORD_FILTER: `{}` is not a whole password filter; make it with \
         `gx passwords build-filter`",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// An open filter file. Only its offsets are in memory.
#[derive(Debug)]
pub(crate) struct PasswordFilter {
    file: File,
    path: PathBuf,
    /// Where each part begins, and the end of the last one.
    offsets: Vec<u64>,
}

impl PasswordFilter {
    /// Opens a file and reads its offsets.
    pub(crate) fn open(path: &Path) -> Result<Self, FilterError> {
        let unreadable = |source| FilterError::Unreadable { path: path.to_owned(), source };
        let damaged = || FilterError::Damaged { path: path.to_owned() };
        let file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        if length < HEAD_BYTES as u64 {
            return Err(damaged());
        }
        let mut head = vec![0; HEAD_BYTES];
        file.read_exact_at(&mut head, 0).map_err(unreadable)?;
        let (magic, offsets) = head.split_at(MAGIC.len());
        let offsets: Vec<u64> = offsets.chunks_exact(size_of::<u64>()).map(number).collect();
        let is_whole = magic == MAGIC
            && offsets.first() == Some(&(HEAD_BYTES as u64))
            && offsets.is_sorted()
            && offsets.last() == Some(&length);
        if !is_whole {
            return Err(damaged());
        }
        Ok(Self { file, path: path.to_owned(), offsets })
    }

    /// Returns whether the list has this password. Reads a part of the file.
    ///
    /// # Errors
    /// [`FilterError`] if the part cannot be read or is damaged.
    pub(crate) fn contains(&self, password: &[u8]) -> Result<bool, FilterError> {
        let key = Key::of(&Sha1::digest(password).into());
        let (start, end) = (self.offsets[key.part()], self.offsets[key.part() + 1]);
        let damaged = || FilterError::Damaged { path: self.path.clone() };
        let length = usize::try_from(end - start).map_err(|_| damaged())?;
        if length == 0 {
            return Ok(false);
        }
        // One byte more, so that the part can begin at an even address, and its fingerprints too.
        let mut buffer = vec![0; length + 1];
        let even = buffer.as_ptr().align_offset(FINGERPRINT_BYTES);
        let part = buffer.get_mut(even..even + length).ok_or_else(damaged)?;
        self.file
            .read_exact_at(part, start)
            .map_err(|source| FilterError::Unreadable { path: self.path.clone(), source })?;
        let split = part.split_at_checked(BinaryFuse16::DESCRIPTOR_LEN);
        let (descriptor, fingerprints) = split.ok_or_else(damaged)?;
        if !is_consistent(descriptor, fingerprints.len()) {
            return Err(damaged());
        }
        Ok(BinaryFuse16Ref::from_dma(descriptor, fingerprints).contains(&key.0))
    }
}

/// Returns whether every place that a descriptor can lead to is among the fingerprints.
fn is_consistent(descriptor: &[u8], fingerprint_bytes: usize) -> bool {
    let field = |at: Range<usize>| {
        let bytes: Option<[u8; 4]> = descriptor.get(at).and_then(|bytes| bytes.try_into().ok());
        bytes.map(|bytes| u64::from(u32::from_le_bytes(bytes)))
    };
    let (Some(segment), Some(mask), Some(segments)) = (field(8..12), field(12..16), field(16..20))
    else {
        return false;
    };
    segment.is_power_of_two()
        && mask == segment - 1
        && (segments + 2 * segment) * FINGERPRINT_BYTES as u64 == fingerprint_bytes as u64
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("a chunk has eight bytes"))
}

/// The first half of the SHA-1 of a password, of which a filter keeps a fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

impl Key {
    fn of(sha1: &[u8; 20]) -> Self {
        let (first, _) = sha1.split_at(size_of::<u64>());
        Self(u64::from_be_bytes(first.try_into().expect("eight bytes")))
    }

    /// Returns the part that has the key. Keys that follow each other are in the same part or in
    /// the next one.
    fn part(self) -> usize {
        usize::try_from(self.0 >> (u64::BITS - PART_BITS)).expect("14 bits fit")
    }
}
