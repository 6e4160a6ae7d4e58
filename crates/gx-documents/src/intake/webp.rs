//! The structure of a WebP: a RIFF container whose length is that of the file, with one image.

use super::steps::{Gatherer, skip};
use super::structure::{Found, Wrong};

/// Size of the head of the container, in bytes.
const HEAD_BYTES: usize = 12;
/// Size of the head of a chunk, in bytes.
const CHUNK_HEAD_BYTES: usize = 8;
/// Size of the begin of a chunk that has the size of the image, in bytes.
const IMAGE_HEAD_BYTES: usize = 10;
/// The bit of an extended header that announces an animation.
const ANIMATION: u8 = 0x02;

#[derive(Debug)]
enum Step {
    Head,
    ChunkHead,
    ImageHead { kind: [u8; 4], left: u64 },
    Content { left: u64 },
}

/// Reads the structure of a WebP from its pieces.
#[derive(Debug)]
pub(super) struct WebP {
    step: Step,
    gatherer: Gatherer,
    /// Bytes of the container that are still to come.
    left: u64,
    has_image: bool,
}

impl WebP {
    pub(super) fn new() -> Self {
        Self { step: Step::Head, gatherer: Gatherer::default(), left: 0, has_image: false }
    }

    /// Takes bytes from `input` until all are taken, or until the size of an image is read, which
    /// is returned.
    pub(super) fn push(&mut self, input: &mut &[u8]) -> Result<Option<Found>, Wrong> {
        while !input.is_empty() {
            match &mut self.step {
                Step::Head => {
                    let Some(head) = self.gatherer.gather(HEAD_BYTES, input) else { break };
                    if !head.starts_with(b"RIFF") || &head[8..HEAD_BYTES] != b"WEBP" {
                        return Err(Wrong::Malformed("its head is wrong"));
                    }
                    let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
                    let short = Wrong::Malformed("its length is wrong");
                    self.left = u64::from(size).checked_sub(4).ok_or(short)?;
                    self.step = Step::ChunkHead;
                }
                Step::ChunkHead => {
                    if self.left == 0 {
                        return Err(Wrong::Trailing);
                    }
                    let Some(head) = self.gatherer.gather(CHUNK_HEAD_BYTES, input) else {
                        break;
                    };
                    self.begin_chunk(&head)?;
                }
                Step::ImageHead { kind, left } => {
                    let (kind, left) = (*kind, *left);
                    let Some(head) = self.gatherer.gather(IMAGE_HEAD_BYTES, input) else {
                        break;
                    };
                    self.has_image |= &kind != b"VP8X";
                    self.step = content(left - IMAGE_HEAD_BYTES as u64);
                    return Ok(Some(size_of(kind, &head)?));
                }
                Step::Content { left } => {
                    if skip(left, input) {
                        self.step = Step::ChunkHead;
                    }
                }
            }
        }
        Ok(None)
    }

    fn begin_chunk(&mut self, head: &[u8]) -> Result<(), Wrong> {
        let kind = [head[0], head[1], head[2], head[3]];
        let size = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        // The content is filled up to an even length.
        let size = size + size % 2;
        let long = Wrong::Malformed("a chunk is longer than the file");
        self.left = self.left.checked_sub(CHUNK_HEAD_BYTES as u64 + size).ok_or(long)?;
        self.step = match &kind {
            b"ANIM" | b"ANMF" => return Err(Wrong::Animated),
            b"VP8 " | b"VP8L" if self.has_image => {
                return Err(Wrong::Malformed("it has two images"));
            }
            b"VP8 " | b"VP8L" | b"VP8X" if size < IMAGE_HEAD_BYTES as u64 => {
                return Err(Wrong::Malformed("its image has no size"));
            }
            b"VP8 " | b"VP8L" | b"VP8X" => Step::ImageHead { kind, left: size },
            _ => content(size),
        };
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), Wrong> {
        match self.step {
            Step::ChunkHead if self.left == 0 && self.has_image => Ok(()),
            _ => Err(Wrong::Malformed("it ends early")),
        }
    }
}

fn content(left: u64) -> Step {
    if left == 0 { Step::ChunkHead } else { Step::Content { left } }
}

/// Returns the size of the image from the first bytes of a chunk.
fn size_of(kind: [u8; 4], head: &[u8]) -> Result<Found, Wrong> {
    let two = |at: usize| u32::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let three = |at: usize| two(at) | u32::from(head[at + 2]) << 16;
    match &kind {
        b"VP8X" if head[0] & ANIMATION != 0 => Err(Wrong::Animated),
        b"VP8X" => Ok(Found { width: three(4) + 1, height: three(7) + 1 }),
        b"VP8 " if head[3..6] == [0x9d, 0x01, 0x2a] => {
            Ok(Found { width: two(6) & 0x3fff, height: two(8) & 0x3fff })
        }
        b"VP8L" if head[0] == 0x2f => {
            let bits = two(1) | two(3) << 16;
            Ok(Found { width: (bits & 0x3fff) + 1, height: (bits >> 14 & 0x3fff) + 1 })
        }
        _ => Err(Wrong::Malformed("its image has no valid head")),
    }
}
