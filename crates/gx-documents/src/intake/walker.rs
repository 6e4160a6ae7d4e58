//! The structure of a file of any format, read from its pieces without keeping them.

use crate::format::FileFormat;

use super::jpeg::Jpeg;
use super::pdf::Pdf;
use super::png::Png;
use super::refusal::Refusal;
use super::webp::WebP;

/// The size of an image, as its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) width: u32,
    pub(super) height: u32,
}

/// What is wrong with the structure of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Malformed(&'static str),
    Trailing,
    Animated,
}

impl Wrong {
    pub(super) fn of(self, format: FileFormat) -> Refusal {
        match self {
            Self::Malformed(reason) => Refusal::Malformed { format, reason },
            Self::Trailing => Refusal::Polyglot { format, found: "bytes after its end" },
            Self::Animated => Refusal::Animated,
        }
    }
}

/// Reads the structure of a file.
#[derive(Debug)]
pub(super) enum Walker {
    Jpeg(Jpeg),
    Png(Png),
    WebP(WebP),
    Pdf(Pdf),
}

impl Walker {
    pub(super) fn new(format: FileFormat) -> Self {
        match format {
            FileFormat::Jpeg => Self::Jpeg(Jpeg::new()),
            FileFormat::Png => Self::Png(Png::new()),
            FileFormat::WebP => Self::WebP(WebP::new()),
            FileFormat::Pdf => Self::Pdf(Pdf::new()),
        }
    }

    /// Takes bytes from `input` until all are taken, or until the size of an image is read, which
    /// is returned. A file may have several sizes: that of a preview, or of a canvas.
    pub(super) fn push(&mut self, input: &mut &[u8]) -> Result<Option<Found>, Wrong> {
        match self {
            Self::Jpeg(jpeg) => jpeg.push(input),
            Self::Png(png) => png.push(input),
            Self::WebP(webp) => webp.push(input),
            Self::Pdf(pdf) => {
                pdf.push(std::mem::take(input));
                Ok(None)
            }
        }
    }

    pub(super) fn finish(self) -> Result<(), Wrong> {
        match self {
            Self::Jpeg(jpeg) => jpeg.finish(),
            Self::Png(png) => png.finish(),
            Self::WebP(webp) => webp.finish(),
            Self::Pdf(pdf) => pdf.finish(),
        }
    }
}
