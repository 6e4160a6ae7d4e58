//! Draws an image: within limits, turned as its EXIF data say, and without any of its metadata.

use std::io::Cursor;

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits, RgbImage};

use crate::format::FileFormat;
use crate::intake::FileLimits;
use crate::view::protocol::ChildRefusal;

use super::{MAX_PAGE_EDGE_PX, Page};

/// Limit of the memory for one decoded image, in bytes: 64 megapixels of 16-bit colour would take
/// more, and are refused.
const MAX_DECODED_BYTES: u64 = 320 * 1024 * 1024;

/// Decodes an image and returns it as a page.
pub(super) fn draw(
    file: &[u8],
    format: FileFormat,
    limits: &FileLimits,
) -> Result<Page, ChildRefusal> {
    let malformed = || ChildRefusal::Malformed { mime_type: format.mime_type().to_owned() };
    let mut reader = ImageReader::new(Cursor::new(file));
    reader.set_format(match format {
        FileFormat::Jpeg => ImageFormat::Jpeg,
        FileFormat::Png => ImageFormat::Png,
        FileFormat::WebP => ImageFormat::WebP,
        FileFormat::Pdf => return Err(malformed()),
    });
    let mut most = Limits::default();
    most.max_image_width = Some(limits.max_edge_px);
    most.max_image_height = Some(limits.max_edge_px);
    most.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(most);
    let mut decoder = reader.into_decoder().map_err(|_| malformed())?;
    // The limits of the decoder are not strict. The size is known from the header, before anything
    // is allocated for the pixels.
    let (width, height) = decoder.dimensions();
    let is_large = decoder.total_bytes() > MAX_DECODED_BYTES;
    if is_large || limits.check_pixels(width, height).is_err() {
        return Err(ChildRefusal::TooManyPixels { width, height });
    }
    let orientation = decoder.orientation().map_err(|_| malformed())?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|_| malformed())?;
    // Made smaller first, so that less is turned.
    if width.max(height) > MAX_PAGE_EDGE_PX {
        image = image.resize(MAX_PAGE_EDGE_PX, MAX_PAGE_EDGE_PX, FilterType::Triangle);
    }
    image.apply_orientation(orientation);
    Ok(Page { image: on_white(&image) })
}

/// Returns the pixels in front of a white ground. What is transparent would otherwise show whatever
/// colour is stored with it.
fn on_white(image: &DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.to_rgb8();
    }
    let pixels = image.to_rgba8();
    RgbImage::from_fn(pixels.width(), pixels.height(), |x, y| {
        let [red, green, blue, alpha] = pixels.get_pixel(x, y).0;
        let over = |colour: u8| {
            let mixed = u16::from(colour) * u16::from(alpha) + 255 * (255 - u16::from(alpha));
            u8::try_from(mixed / 255).expect("a mean of two colours is a colour")
        };
        image::Rgb([over(red), over(green), over(blue)])
    })
}
