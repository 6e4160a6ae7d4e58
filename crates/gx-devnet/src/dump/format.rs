//! The format of a dump: a line that names the format, length-delimited records, and the SHA-256 of
//! all that. `write` and `load` use it.

use std::io::{self, BufRead, Read, Write};

use prost::{Message, Oneof};
use sha2::{Digest, Sha256};

/// The first line of a dump. Each version of the format has another number.
const MAGIC: &[u8] = b"gx-devnet dump 2\n";
/// Number of bytes of the SHA-256 at the end.
pub(super) const CHECKSUM_BYTES: usize = 32;
/// Limit of a record that is read. A block of envelopes of the maximal size is smaller.
const MAX_RECORD_BYTES: u64 = 1024 * 1024 * 1024;
/// Limit of bytes of a record's encoded length.
const MAX_LENGTH_BYTES: usize = 10;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Record {
    #[prost(oneof = "DumpPart", tags = "1, 2, 3, 4")]
    pub(super) part: Option<DumpPart>,
}

/// The parts of a dump, in their order.
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum DumpPart {
    #[prost(message, tag = "1")]
    Head(Head),
    #[prost(message, tag = "2")]
    File(FileRecord),
    /// The name of a table; its entries follow.
    #[prost(string, tag = "3")]
    Table(String),
    #[prost(message, tag = "4")]
    Entry(DumpEntry),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Head {
    #[prost(string, tag = "1")]
    pub(super) channel: String,
    #[prost(uint64, tag = "2")]
    pub(super) height: u64,
    /// The header hash of the newest block.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) newest_hash: Vec<u8>,
}

/// A file of the identities' folder.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FileRecord {
    /// The components of its path below the folder.
    #[prost(string, repeated, tag = "1")]
    pub(super) path: Vec<String>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) content: Vec<u8>,
    /// Whether only its owner may read it.
    #[prost(bool, tag = "3")]
    pub(super) secret: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DumpEntry {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

/// Writes records and, at the end, the checksum.
pub(super) struct DumpWriter<W> {
    out: W,
    hash: Sha256,
}

impl<W: Write> DumpWriter<W> {
    /// Writes the line that names the format.
    pub(super) fn begin(out: W) -> io::Result<Self> {
        let mut writer = Self { out, hash: Sha256::new() };
        writer.write(MAGIC)?;
        Ok(writer)
    }

    pub(super) fn part(&mut self, part: DumpPart) -> io::Result<()> {
        self.write(&Record { part: Some(part) }.encode_length_delimited_to_vec())
    }

    /// Writes the checksum. Without it the dump cannot be loaded.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.write_all(&self.hash.finalize())?;
        self.out.flush()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.out.write_all(bytes)
    }
}

/// Reads the line that names the format. The error is a message for the operator.
pub(super) fn read_magic(input: &mut impl Read) -> Result<(), String> {
    let mut magic = [0; MAGIC.len()];
    let read = input.read_exact(&mut magic);
    if read.is_err() || magic != MAGIC {
        Err("it is not a dump of `gx devnet`, or another version wrote it".to_owned())
    } else {
        Ok(())
    }
}

/// Returns the next part, or `None` at the end. The error says what is damaged.
pub(super) fn read_part(input: &mut impl BufRead) -> Result<Option<DumpPart>, String> {
    if input.fill_buf().map_err(|e| e.to_string())?.is_empty() {
        return Ok(None);
    }
    let length = read_length(input)?;
    if length > MAX_RECORD_BYTES {
        return Err(format!("a record of {length} bytes is too large"));
    }
    let mut bytes = Vec::new();
    input.take(length).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    let record = Record::decode(bytes.as_slice()).map_err(|e| e.to_string())?;
    record.part.map(Some).ok_or_else(|| "it has a record of an unknown kind".to_owned())
}

fn read_length(input: &mut impl BufRead) -> Result<u64, String> {
    let mut bytes = Vec::with_capacity(MAX_LENGTH_BYTES);
    loop {
        let mut byte = [0];
        input.read_exact(&mut byte).map_err(|e| e.to_string())?;
        bytes.push(byte[0]);
        if byte[0] & 0x80 == 0 || bytes.len() == MAX_LENGTH_BYTES {
            break;
        }
    }
    prost::encoding::decode_varint(&mut bytes.as_slice()).map_err(|e| e.to_string())
}

/// Returns whether the last bytes are the checksum of the bytes before them. `false` means that the
/// file is damaged or cut short.
pub(super) fn checksum_holds(input: &mut impl Read, total_bytes: u64) -> io::Result<bool> {
    let Some(covered) = total_bytes.checked_sub(CHECKSUM_BYTES as u64) else { return Ok(false) };
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut body = input.by_ref().take(covered);
    loop {
        match body.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    let mut checksum = [0; CHECKSUM_BYTES];
    input.read_exact(&mut checksum)?;
    Ok(hash.finalize().as_slice() == checksum)
}
