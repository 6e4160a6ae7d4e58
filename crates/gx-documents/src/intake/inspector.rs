//! Looks at a file while it comes in: size, format by content, structure, signs of a second format,
//! and its hash. Keeps a few kilobytes, however large the file is.

use sha2::{Digest as _, Sha256};

use crate::format::FileFormat;

use super::limits::FileLimits;
use super::marks::MarkScan;
use super::refusal::Refusal;
use super::structure::Found;
use super::walker::Walker;

/// Size of the begin of a file from which its format is told, in bytes.
const SIGNATURE_BYTES: usize = 16;

/// What a client says about a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileClaim {
    /// The declared media type.
    pub mime_type: Option<String>,
    /// The name of the file.
    pub file_name: Option<String>,
}

/// What is known of a file that came in whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Format of the content.
    pub format: FileFormat,
    /// Size, in bytes.
    pub size: u64,
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
}

/// Looks at a file while it comes in.
pub struct Inspector {
    limits: FileLimits,
    claim: FileClaim,
    size: u64,
    hash: Sha256,
    begin: Vec<u8>,
    parts: Option<Parts>,
}

/// What depends on the format.
struct Parts {
    format: FileFormat,
    walker: Walker,
    marks: MarkScan,
    has_size: bool,
}

impl Inspector {
    /// Starts to look at a file.
    pub fn new(limits: FileLimits, claim: FileClaim) -> Self {
        Self { limits, claim, size: 0, hash: Sha256::new(), begin: Vec::new(), parts: None }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`Refusal`] as soon as the bytes show that the file is not taken in.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.size += bytes.len() as u64;
        if self.size > self.limits.max_bytes {
            return Err(Refusal::TooLarge { max_bytes: self.limits.max_bytes });
        }
        self.hash.update(bytes);
        if self.parts.is_some() {
            return self.walk(bytes);
        }
        self.begin.extend_from_slice(bytes);
        if self.begin.len() < SIGNATURE_BYTES {
            return Ok(());
        }
        self.begin_walk()
    }

    /// Ends the file and returns what is known of it.
    ///
    /// # Errors
    /// [`Refusal`] if the file is not taken in.
    pub fn finish(mut self) -> Result<FileFacts, Refusal> {
        if self.size == 0 {
            return Err(Refusal::Empty);
        }
        if self.parts.is_none() {
            self.begin_walk()?;
        }
        let parts = self.parts.ok_or(Refusal::UnknownFormat)?;
        let format = parts.format;
        parts.walker.finish().map_err(|wrong| wrong.of(format))?;
        if let Some(found) = parts.marks.finish() {
            return Err(Refusal::Polyglot { format, found });
        }
        if format != FileFormat::Pdf && !parts.has_size {
            return Err(Refusal::Malformed { format, reason: "it has no size" });
        }
        Ok(FileFacts { format, size: self.size, sha256: self.hash.finalize().into() })
    }

    fn begin_walk(&mut self) -> Result<(), Refusal> {
        let format = format_of(&self.begin).ok_or(Refusal::UnknownFormat)?;
        self.check_claim(format)?;
        self.parts = Some(Parts {
            format,
            walker: Walker::new(format),
            marks: MarkScan::new(format != FileFormat::Pdf),
            has_size: false,
        });
        let begin = std::mem::take(&mut self.begin);
        self.walk(&begin)
    }

    fn check_claim(&self, found: FileFormat) -> Result<(), Refusal> {
        let FileClaim { mime_type, file_name } = &self.claim;
        let mismatch = |source_of_claim| Refusal::Mismatch { found, source_of_claim };
        if mime_type.as_deref().is_some_and(|text| FileFormat::of_mime_type(text) != Some(found)) {
            return Err(mismatch("the declared type"));
        }
        // A name without an ending, such as `blob`, which browsers send, says nothing.
        let named = file_name.as_deref().filter(|name| name.contains('.'));
        if named.is_some_and(|name| FileFormat::of_file_name(name) != Some(found)) {
            return Err(mismatch("the file name"));
        }
        Ok(())
    }

    fn walk(&mut self, mut bytes: &[u8]) -> Result<(), Refusal> {
        let Some(parts) = &mut self.parts else { return Ok(()) };
        let format = parts.format;
        parts.marks.push(bytes);
        while let Some(found) = parts.walker.push(&mut bytes).map_err(|wrong| wrong.of(format))? {
            let Found { width, height } = found;
            if width == 0 || height == 0 {
                return Err(Refusal::Malformed { format, reason: "it has no pixels" });
            }
            self.limits.check_pixels(width, height)?;
            parts.has_size = true;
        }
        Ok(())
    }
}

/// Returns the format that the first bytes of a file say.
fn format_of(begin: &[u8]) -> Option<FileFormat> {
    let signature = &begin[..begin.len().min(SIGNATURE_BYTES)];
    FileFormat::of_mime_type(infer::get(signature)?.mime_type())
}
