//! The structure of a PNG: its chunks in order, up to the last one and nothing after it.

use super::steps::{Gatherer, skip};
use super::structure::{Found, Wrong};

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// Size of the length and type in front of a chunk, in bytes.
const HEAD_BYTES: usize = 8;
/// Size of the checksum after a chunk, in bytes.
const CHECKSUM_BYTES: u64 = 4;
/// Size of the content of the first chunk, in bytes.
const IHDR_BYTES: usize = 13;

#[derive(Debug)]
enum Step {
    Signature,
    ChunkHead,
    ImageHeader,
    Content { left: u64, is_end: bool },
    End,
}

/// Reads the structure of a PNG from its pieces.
#[derive(Debug)]
pub(super) struct Png {
    step: Step,
    gatherer: Gatherer,
    size: Option<(u32, u32)>,
    has_data: bool,
}

impl Png {
    pub(super) fn new() -> Self {
        Self { step: Step::Signature, gatherer: Gatherer::default(), size: None, has_data: false }
    }

    /// Takes bytes from `input` until all are taken, or until the size of an image is read, which
    /// is returned.
    pub(super) fn push(&mut self, input: &mut &[u8]) -> Result<Option<Found>, Wrong> {
        while !input.is_empty() {
            match &mut self.step {
                Step::Signature => {
                    let Some(header) = self.gatherer.gather(SIGNATURE.len(), input) else {
                        break;
                    };
                    if !header.starts_with(&SIGNATURE) {
                        return Err(Wrong::Malformed("its signature is wrong"));
                    }
                    self.step = Step::ChunkHead;
                }
                Step::ChunkHead => {
                    let Some(head) = self.gatherer.gather(HEAD_BYTES, input) else { break };
                    self.begin_chunk(&head)?;
                }
                Step::ImageHeader => {
                    let Some(header) = self.gatherer.gather(IHDR_BYTES, input) else { break };
                    let edge = |at: usize| {
                        u32::from_be_bytes([
                            header[at],
                            header[at + 1],
                            header[at + 2],
                            header[at + 3],
                        ])
                    };
                    let (width, height) = (edge(0), edge(4));
                    self.size = Some((width, height));
                    self.step = Step::Content { left: CHECKSUM_BYTES, is_end: false };
                    return Ok(Some(Found { width, height }));
                }
                Step::Content { left, is_end } => {
                    let is_end = *is_end;
                    if skip(left, input) {
                        self.step = if is_end { Step::End } else { Step::ChunkHead };
                    }
                }
                Step::End => return Err(Wrong::Trailing),
            }
        }
        Ok(None)
    }

    fn begin_chunk(&mut self, head: &[u8]) -> Result<(), Wrong> {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let kind = &head[4..HEAD_BYTES];
        if length > i32::MAX.unsigned_abs() || !kind.iter().all(u8::is_ascii_alphabetic) {
            return Err(Wrong::Malformed("a chunk has no valid head"));
        }
        let is_end = kind == b"IEND";
        self.step = match (kind, self.size) {
            (b"IHDR", None) if length == 13 => Step::ImageHeader,
            (b"IHDR", _) | (_, None) => {
                return Err(Wrong::Malformed("its header is not where it must be"));
            }
            (b"acTL" | b"fcTL" | b"fdAT", _) => return Err(Wrong::Animated),
            (b"IEND", _) if length != 0 || !self.has_data => {
                return Err(Wrong::Malformed("it ends without an image"));
            }
            _ => Step::Content { left: u64::from(length) + CHECKSUM_BYTES, is_end },
        };
        self.has_data |= kind == b"IDAT";
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), Wrong> {
        match self.step {
            Step::End => Ok(()),
            _ => Err(Wrong::Malformed("it ends early")),
        }
    }
}
