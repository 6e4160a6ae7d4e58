//! What a service and its child process say to each other: a length, JSON of that length, and
//! bytes.

use std::io::Read;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::format::FileFormat;
use crate::intake::{FileLimits, Refusal};

use super::Watermark;

/// Size of the length in front of the JSON, in bytes.
pub(super) const LENGTH_BYTES: usize = 4;
/// Limit of the JSON, in bytes.
const MAX_JSON_BYTES: usize = 64 * 1024;

/// What the child process does.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Task {
    /// Draws a page.
    Draw { mime_type: String, page: u32, watermark: Watermark },
    /// Looks into a PDF.
    InspectPdf,
    /// Tries what it must not be able to do.
    Probe,
}

impl Task {
    /// Returns the media type of the file.
    pub(super) fn mime_type(&self) -> &str {
        match self {
            Self::Draw { mime_type, .. } => mime_type,
            Self::InspectPdf | Self::Probe => FileFormat::Pdf.mime_type(),
        }
    }
}

/// Limits of files, as the child process is told.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Limits {
    max_bytes: u64,
    max_edge_px: u32,
    max_pixels: u64,
    max_pages: u32,
}

impl From<FileLimits> for Limits {
    fn from(limits: FileLimits) -> Self {
        let FileLimits { max_bytes, max_edge_px, max_pixels, max_pages } = limits;
        Self { max_bytes, max_edge_px, max_pixels, max_pages }
    }
}

impl From<Limits> for FileLimits {
    fn from(limits: Limits) -> Self {
        let Limits { max_bytes, max_edge_px, max_pixels, max_pages } = limits;
        Self { max_bytes, max_edge_px, max_pixels, max_pages }
    }
}

/// The request, which the file follows.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) task: Task,
    pub(super) limits: Limits,
    pub(super) cpu_seconds: u64,
}

/// What a PDF is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PdfFacts {
    /// Number of pages.
    pub pages: u32,
}

/// What a child process could do of what it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Whether it could open a file.
    pub can_open_files: bool,
    /// Whether it could open a network socket.
    pub can_open_sockets: bool,
    /// Whether it could start a process.
    pub can_start_processes: bool,
    /// Whether the kernel enforces Landlock; without it only seccomp keeps files away.
    pub has_landlock: bool,
}

impl Confinement {
    /// Returns whether the child process could do nothing of what it must not.
    pub fn is_tight(&self) -> bool {
        !self.can_open_files && !self.can_open_sockets && !self.can_start_processes
    }
}

/// A refusal, as a child process reports it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ChildRefusal {
    Malformed { mime_type: String },
    TooManyPixels { width: u32, height: u32 },
    TooManyPages { max_pages: u32 },
    Encrypted,
    Active { found: String },
}

impl From<ChildRefusal> for Refusal {
    fn from(refusal: ChildRefusal) -> Self {
        match refusal {
            ChildRefusal::Malformed { mime_type } => Self::Malformed {
                format: FileFormat::of_mime_type(&mime_type).unwrap_or(FileFormat::Pdf),
                reason: "it cannot be drawn",
            },
            ChildRefusal::TooManyPixels { width, height } => Self::TooManyPixels { width, height },
            ChildRefusal::TooManyPages { max_pages } => Self::TooManyPages { max_pages },
            ChildRefusal::Encrypted => Self::Encrypted,
            ChildRefusal::Active { found } => Self::Active { found },
        }
    }
}

/// The reply, which the image follows.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Page {
        width: u32,
        height: u32,
    },
    Pdf(PdfFacts),
    Confinement(Confinement),
    NoSuchPage {
        pages: u32,
    },
    Refused(ChildRefusal),
    /// The process could not confine itself, or its input was wrong.
    Failed {
        reason: String,
    },
}

impl Reply {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Page { .. } => "a page",
            Self::Pdf(_) => "facts of a PDF",
            Self::Confinement(_) => "a confinement",
            Self::NoSuchPage { .. } => "no page",
            Self::Refused(_) => "a refusal",
            Self::Failed { .. } => "a failure",
        }
    }
}

/// Returns a message with its length in front.
pub(super) fn frame(message: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_vec(message).expect("a message can be written as JSON");
    let length = u32::try_from(json.len()).expect("a message is short");
    [&length.to_be_bytes()[..], &json].concat()
}

/// Returns the message at the begin of `bytes`, and where the bytes after it begin.
pub(super) fn split<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, usize)> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let message = serde_json::from_slice(rest.get(..length)?).ok()?;
    Some((message, LENGTH_BYTES + length))
}

/// Reads a message.
pub(super) fn read<T: DeserializeOwned>(input: &mut impl Read) -> Option<T> {
    let mut length = [0; LENGTH_BYTES];
    input.read_exact(&mut length).ok()?;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    if length > MAX_JSON_BYTES {
        return None;
    }
    let mut json = vec![0; length];
    input.read_exact(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}
