//! Limits of files.

use super::refusal::Refusal;

/// Limits of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimits {
    /// Size of the file, in bytes.
    pub max_bytes: u64,
    /// Width and height of an image, in pixels.
    pub max_edge_px: u32,
    /// Pixels of an image.
    pub max_pixels: u64,
    /// Pages of a PDF.
    pub max_pages: u32,
}

impl Default for FileLimits {
    fn default() -> Self {
        Self {
            max_bytes: 10 * 1024 * 1024,
            max_edge_px: 16_384,
            max_pixels: 64_000_000,
            max_pages: 50,
        }
    }
}

impl FileLimits {
    /// Checks the size of an image, before anything is allocated for it.
    ///
    /// # Errors
    /// [`Refusal::TooManyPixels`] if an edge or the area is too large.
    pub fn check_pixels(&self, width: u32, height: u32) -> Result<(), Refusal> {
        let area = u64::from(width) * u64::from(height);
        if width.max(height) > self.max_edge_px || area > self.max_pixels {
            return Err(Refusal::TooManyPixels { width, height });
        }
        Ok(())
    }
}
