//! Builds a filter file from a list of SHA-1 hashes in ascending order, as Have I Been Pwned
//! distributes it. Called by `gx passwords build-filter`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use xorf::{BinaryFuse16, DmaSerializable as _};

use super::{HEAD_BYTES, Key, MAGIC, PARTS};

/// Bytes of the buffers for reading and writing.
const BUFFER_BYTES: usize = 1024 * 1024;
/// Limit of a line: 40 digits, and a count.
const MAX_LINE_BYTES: u64 = 256;

/// Why a filter was not built. No file is left then.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file cannot be read or written.
    #[error("`{}` cannot be {what}; check the path and its permissions", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        what: &'static str,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A line is no hash.
    #[error(
        "line {0} is not a SHA-1 of 40 hexadecimal digits, or such a one with `:` and a count; \
         remove it"
    )]
    Line(u64),
    /// The list is not sorted.
    #[error("line {0} belongs before the line above it; sort the list with `LC_ALL=C sort`")]
    Order(u64),
    /// Two hashes of the list agree in their first half more often than the filter can bear.
    #[error("the hashes before line {0} cannot be made a filter: {1}; look for a damaged list")]
    Part(u64, &'static str),
}

/// What was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildReport {
    /// Number of different hashes.
    pub hashes: u64,
    /// Size of the filter file.
    pub bytes: u64,
}

/// Builds the filter file of a list. The file appears when it is whole; until then its content is
/// in a file with `.new` after its name.
///
/// # Errors
/// [`BuildError`] names the line that is wrong, or the file that cannot be read or written.
pub fn build_password_filter(list: &Path, filter: &Path) -> Result<BuildReport, BuildError> {
    let draft = filter.with_added_extension("new");
    let read = |source| BuildError::File { path: list.to_owned(), what: "read", source };
    let written = |source| BuildError::File { path: draft.clone(), what: "written", source };
    let lines = BufReader::with_capacity(BUFFER_BYTES, File::open(list).map_err(read)?);
    let file = File::create(&draft).map_err(written)?;
    let built = Builder::new(file).map_err(written).and_then(|builder| {
        let report = builder.read(lines, read, written)?;
        std::fs::rename(&draft, filter).map_err(written)?;
        Ok(report)
    });
    if built.is_err() {
        // The error says more than a draft that cannot be removed.
        let _left = std::fs::remove_file(&draft);
    }
    built
}

/// A filter file that is being written.
struct Builder {
    file: BufWriter<File>,
    offsets: Vec<u64>,
    end: u64,
    /// Keys of the part that is being read.
    keys: Vec<u64>,
    hashes: u64,
}

impl Builder {
    fn new(file: File) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, file);
        // The offsets are written at the end.
        file.write_all(&[0; HEAD_BYTES])?;
        let (offsets, end) = (Vec::with_capacity(PARTS + 1), HEAD_BYTES as u64);
        Ok(Self { file, offsets, end, keys: Vec::new(), hashes: 0 })
    }

    fn read(
        mut self,
        mut lines: impl BufRead,
        read: impl Fn(io::Error) -> BuildError,
        written: impl Fn(io::Error) -> BuildError,
    ) -> Result<BuildReport, BuildError> {
        let (mut line, mut number, mut last) = (Vec::new(), 0, None);
        loop {
            line.clear();
            let limited = &mut io::Read::take(&mut lines, MAX_LINE_BYTES);
            if limited.read_until(b'\n', &mut line).map_err(&read)? == 0 {
                break;
            }
            number += 1;
            let Some(sha1) = parse(&line).map_err(|()| BuildError::Line(number))? else { continue };
            if last.is_some_and(|last| last > sha1) {
                return Err(BuildError::Order(number));
            }
            let key = Key::of(&sha1);
            while self.offsets.len() < key.part() {
                self.finish_part(number, &written)?;
            }
            // Two hashes with the same first half need one fingerprint.
            if self.keys.last() != Some(&key.0) {
                self.keys.push(key.0);
            }
            self.hashes += u64::from(last != Some(sha1));
            last = Some(sha1);
        }
        while self.offsets.len() < PARTS {
            self.finish_part(number, &written)?;
        }
        self.finish().map_err(written)
    }

    /// Writes the part whose keys have been read.
    fn finish_part(
        &mut self,
        line: u64,
        written: impl Fn(io::Error) -> BuildError,
    ) -> Result<(), BuildError> {
        self.offsets.push(self.end);
        if self.keys.is_empty() {
            return Ok(());
        }
        let part = BinaryFuse16::try_from(&self.keys);
        let part = part.map_err(|reason| BuildError::Part(line, reason))?;
        let mut descriptor = [0; BinaryFuse16::DESCRIPTOR_LEN];
        part.dma_copy_descriptor_to(&mut descriptor);
        let fingerprints = part.dma_fingerprints();
        let done =
            self.file.write_all(&descriptor).and_then(|()| self.file.write_all(fingerprints));
        done.map_err(written)?;
        self.end += (descriptor.len() + fingerprints.len()) as u64;
        self.keys.clear();
        Ok(())
    }

    /// Writes the head, and waits until everything is on the disk.
    fn finish(mut self) -> io::Result<BuildReport> {
        self.offsets.push(self.end);
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(MAGIC)?;
        for offset in &self.offsets {
            self.file.write_all(&offset.to_le_bytes())?;
        }
        let file = self.file.into_inner()?;
        file.sync_all()?;
        Ok(BuildReport { hashes: self.hashes, bytes: self.end })
    }
}

/// Returns the hash of a line, or `None` if the line is empty.
fn parse(line: &[u8]) -> Result<Option<[u8; 20]>, ()> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    let (digits, count) = line.split_at_checked(40).ok_or(())?;
    let is_count = |count: &[u8]| !count.is_empty() && count.iter().all(u8::is_ascii_digit);
    if !count.is_empty() && !count.strip_prefix(b":").is_some_and(is_count) {
        return Err(());
    }
    let mut sha1 = [0; 20];
    hex::decode_to_slice(digits, &mut sha1).map_err(|_| ())?;
    Ok(Some(sha1))
}
