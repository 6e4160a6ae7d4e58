//! Writes a ZIP archive from its beginning to its end, in memory that does not depend on the sizes
//! of its entries (decision 0522).
//!
//! Nothing is compressed: photos and PDFs are compressed already. Each entry is DEFLATE in stored
//! blocks, and its size follows behind it, so that programs can read the archive while it arrives.

use bytes::Bytes;
use crc32fast::Hasher;
use time::OffsetDateTime;

/// Version of the format that a reader needs: 2.0, for DEFLATE.
const VERSION: u16 = 20;
/// What made the archive: Unix, and the same version.
const MADE_BY: u16 = 3 << 8 | VERSION;
/// Flags of each entry: the sizes follow the content, and the name is UTF-8.
const FLAGS: u16 = 1 << 3 | 1 << 11;
/// Number of the method DEFLATE.
const DEFLATE: u16 = 8;
/// Limit of the content of a stored block, in bytes.
const BLOCK_BYTES: usize = 65_535;
/// The last block of each entry, which has no content.
const LAST_BLOCK: [u8; 5] = [1, 0, 0, 0xff, 0xff];
/// Rights of an unpacked file: its owner reads and writes.
const FILE_MODE: u32 = 0o100_600;

/// The archive has more than the format can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the archive is too large")]
pub(super) struct ArchiveTooLarge;

/// An archive that is being written.
pub(super) struct ZipWriter {
    written: u64,
    entries: Vec<Entry>,
    open: Option<OpenEntry>,
    time: u16,
    date: u16,
}

/// An entry that is complete.
struct Entry {
    name: String,
    checksum: u32,
    packed_bytes: u32,
    bytes: u32,
    offset: u32,
}

/// The entry that is being written.
struct OpenEntry {
    name: String,
    hash: Hasher,
    packed_bytes: u64,
    bytes: u64,
    offset: u64,
}

impl ZipWriter {
    /// Creates an archive whose entries are of this time.
    pub(super) fn new(at: OffsetDateTime) -> Self {
        let year = u16::try_from(at.year().clamp(1980, 2107) - 1980).unwrap_or(0);
        let date = year << 9 | u16::from(u8::from(at.month())) << 5 | u16::from(at.day());
        let time =
            u16::from(at.hour()) << 11 | u16::from(at.minute()) << 5 | u16::from(at.second() / 2);
        Self { written: 0, entries: Vec::new(), open: None, time, date }
    }

    /// Begins an entry.
    pub(super) fn begin(&mut self, name: &str) -> Bytes {
        let mut head = Vec::new();
        head.extend(0x0403_4b50_u32.to_le_bytes());
        head.extend(self.fields(0, 0, 0));
        head.extend(length(name).to_le_bytes());
        head.extend(0_u16.to_le_bytes());
        head.extend(name.as_bytes());
        self.open = Some(OpenEntry {
            name: name.to_owned(),
            hash: Hasher::new(),
            packed_bytes: 0,
            bytes: 0,
            offset: self.written,
        });
        self.take(head)
    }

    /// Adds content to the entry.
    pub(super) fn add(&mut self, content: &[u8]) -> Bytes {
        let mut blocks = Vec::with_capacity(content.len() + 8);
        for part in content.chunks(BLOCK_BYTES) {
            let size = u16::try_from(part.len()).unwrap_or(u16::MAX);
            blocks.push(0);
            blocks.extend(size.to_le_bytes());
            blocks.extend((!size).to_le_bytes());
            blocks.extend(part);
        }
        if let Some(open) = &mut self.open {
            open.hash.update(content);
            open.bytes += content.len() as u64;
            open.packed_bytes += blocks.len() as u64;
        }
        self.take(blocks)
    }

    /// Ends the entry.
    pub(super) fn end(&mut self) -> Result<Bytes, ArchiveTooLarge> {
        let mut rest = LAST_BLOCK.to_vec();
        if let Some(open) = self.open.take() {
            let entry = Entry {
                name: open.name,
                checksum: open.hash.finalize(),
                packed_bytes: small(open.packed_bytes + LAST_BLOCK.len() as u64)?,
                bytes: small(open.bytes)?,
                offset: small(open.offset)?,
            };
            rest.extend(0x0807_4b50_u32.to_le_bytes());
            rest.extend(entry.checksum.to_le_bytes());
            rest.extend(entry.packed_bytes.to_le_bytes());
            rest.extend(entry.bytes.to_le_bytes());
            self.entries.push(entry);
        }
        Ok(self.take(rest))
    }

    /// Ends the archive with the list of its entries.
    pub(super) fn finish(&mut self) -> Result<Bytes, ArchiveTooLarge> {
        let offset = small(self.written)?;
        let mut list = Vec::new();
        for entry in &self.entries {
            list.extend(0x0201_4b50_u32.to_le_bytes());
            list.extend(MADE_BY.to_le_bytes());
            list.extend(self.fields(entry.checksum, entry.packed_bytes, entry.bytes));
            list.extend(length(&entry.name).to_le_bytes());
            // No extra field and no comment, on the first disk, and no text.
            list.extend([0; 8]);
            list.extend((FILE_MODE << 16).to_le_bytes());
            list.extend(entry.offset.to_le_bytes());
            list.extend(entry.name.as_bytes());
        }
        let size = small(list.len() as u64)?;
        let entries = u16::try_from(self.entries.len()).map_err(|_| ArchiveTooLarge)?;
        list.extend(0x0605_4b50_u32.to_le_bytes());
        list.extend([0; 4]);
        list.extend(entries.to_le_bytes());
        list.extend(entries.to_le_bytes());
        list.extend(size.to_le_bytes());
        list.extend(offset.to_le_bytes());
        list.extend([0; 2]);
        Ok(self.take(list))
    }

    /// Returns what the head of an entry and its place in the list have in common.
    fn fields(&self, checksum: u32, packed_bytes: u32, bytes: u32) -> Vec<u8> {
        let mut fields = Vec::new();
        for number in [VERSION, FLAGS, DEFLATE, self.time, self.date] {
            fields.extend(number.to_le_bytes());
        }
        for number in [checksum, packed_bytes, bytes] {
            fields.extend(number.to_le_bytes());
        }
        fields
    }

    fn take(&mut self, bytes: Vec<u8>) -> Bytes {
        self.written += bytes.len() as u64;
        bytes.into()
    }
}

fn small(number: u64) -> Result<u32, ArchiveTooLarge> {
    // The greatest number means that another field has the value.
    u32::try_from(number).ok().filter(|number| *number < u32::MAX).ok_or(ArchiveTooLarge)
}

/// Returns the length of a name. The names are our own, and short.
fn length(name: &str) -> u16 {
    u16::try_from(name.len()).unwrap_or(u16::MAX)
}
