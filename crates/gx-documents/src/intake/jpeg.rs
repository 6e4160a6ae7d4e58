//! The structure of a JPEG: its segments and scans up to the end of the image. Phones append
//! further JPEGs (previews, brightness maps) to a photo; these are read the same way. Anything else
//! after the image is refused.

use super::steps::{Gatherer, skip};
use super::structure::{Found, Wrong};

/// Markers of frames: all that code an image, without those for tables (C4, C8, CC).
const FRAMES: [u8; 13] =
    [0xc0, 0xc1, 0xc2, 0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf];
const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;
/// Size of the precision, height and width of a frame, in bytes.
const FRAME_BYTES: usize = 5;

#[derive(Debug)]
enum Step {
    /// The two bytes that begin an image.
    Start,
    /// The 0xff in front of a marker.
    MarkerSign,
    Marker,
    Length {
        marker: u8,
    },
    Frame {
        left: u64,
    },
    Content {
        left: u64,
        is_scan: bool,
    },
    Scan,
    /// After a 0xff within a scan.
    ScanSign,
    AfterEnd,
}

/// Reads the structure of a JPEG from its pieces.
#[derive(Debug)]
pub(super) struct Jpeg {
    step: Step,
    gatherer: Gatherer,
    has_frame: bool,
    has_scan: bool,
}

impl Jpeg {
    pub(super) fn new() -> Self {
        Self { step: Step::Start, gatherer: Gatherer::default(), has_frame: false, has_scan: false }
    }

    /// Takes bytes from `input` until all are taken, or until the size of an image is read, which
    /// is returned.
    pub(super) fn push(&mut self, input: &mut &[u8]) -> Result<Option<Found>, Wrong> {
        while let Some((first, rest)) = input.split_first() {
            match &mut self.step {
                Step::Start => {
                    let Some(start) = self.gatherer.gather(2, input) else { break };
                    if start[..2] != [0xff, START_OF_IMAGE] {
                        return Err(Wrong::Malformed("it does not begin as a JPEG"));
                    }
                    self.step = Step::MarkerSign;
                }
                Step::MarkerSign => {
                    *input = rest;
                    if *first != 0xff {
                        return Err(Wrong::Malformed("a segment begins without a marker"));
                    }
                    self.step = Step::Marker;
                }
                Step::Marker => {
                    *input = rest;
                    self.marker(*first)?;
                }
                Step::Length { marker } => {
                    let marker = *marker;
                    let Some(length) = self.gatherer.gather(2, input) else { break };
                    self.segment(marker, u16::from_be_bytes([length[0], length[1]]))?;
                }
                Step::Frame { left } => {
                    let left = *left;
                    let Some(frame) = self.gatherer.gather(FRAME_BYTES, input) else { break };
                    let edge =
                        |at: usize| u32::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
                    self.has_frame = true;
                    self.step = Step::Content { left, is_scan: false };
                    return Ok(Some(Found { height: edge(1), width: edge(3) }));
                }
                Step::Content { left, is_scan } => {
                    let is_scan = *is_scan;
                    if skip(left, input) {
                        self.step = if is_scan { Step::Scan } else { Step::MarkerSign };
                    }
                }
                Step::Scan => match input.iter().position(|byte| *byte == 0xff) {
                    Some(at) => {
                        *input = &input[at + 1..];
                        self.step = Step::ScanSign;
                    }
                    None => *input = &[],
                },
                Step::ScanSign => {
                    *input = rest;
                    match *first {
                        // A stuffed byte or a restart marker: the scan goes on.
                        0x00 | 0xd0..=0xd7 => self.step = Step::Scan,
                        0xff => {}
                        marker => self.marker(marker)?,
                    }
                }
                Step::AfterEnd => match *first {
                    0x00 => *input = rest,
                    0xff => {
                        self.step = Step::Start;
                        (self.has_frame, self.has_scan) = (false, false);
                    }
                    _ => return Err(Wrong::Trailing),
                },
            }
        }
        Ok(None)
    }

    /// Takes the byte after a 0xff.
    fn marker(&mut self, marker: u8) -> Result<(), Wrong> {
        self.step = match marker {
            // A filling byte.
            0xff => Step::Marker,
            END_OF_IMAGE if self.has_frame && self.has_scan => Step::AfterEnd,
            END_OF_IMAGE => return Err(Wrong::Malformed("it ends without an image")),
            START_OF_SCAN if !self.has_frame => {
                return Err(Wrong::Malformed("its image has no size"));
            }
            0x01 | 0xd0..=0xd7 => Step::MarkerSign,
            0x00 | START_OF_IMAGE => return Err(Wrong::Malformed("a marker is wrong")),
            _ => Step::Length { marker },
        };
        Ok(())
    }

    /// Begins a segment, whose length counts its own two bytes.
    fn segment(&mut self, marker: u8, length: u16) -> Result<(), Wrong> {
        let wrong = Wrong::Malformed("a segment has no valid length");
        let left = u64::from(length).checked_sub(2).ok_or(wrong)?;
        let is_scan = marker == START_OF_SCAN;
        self.has_scan |= is_scan;
        self.step = if FRAMES.contains(&marker) {
            if self.has_frame {
                return Err(Wrong::Malformed("it has two images in one"));
            }
            Step::Frame { left: left.checked_sub(FRAME_BYTES as u64).ok_or(wrong)? }
        } else {
            Step::Content { left, is_scan }
        };
        if let Step::Content { left: 0, is_scan } = self.step {
            self.step = if is_scan { Step::Scan } else { Step::MarkerSign };
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), Wrong> {
        match self.step {
            Step::AfterEnd => Ok(()),
            _ => Err(Wrong::Malformed("it ends early")),
        }
    }
}
