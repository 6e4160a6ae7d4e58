//! The structure of a file of any format, read from its pieces without keeping them.

use crate::format::FileFormat;

use super::jpeg::Jpeg;
use super::pdf::Pdf;
use super::png::Png;
use super::structure::{Found, Wrong};
use super::webp::WebP;

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
