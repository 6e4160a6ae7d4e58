//! Images for tests.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder as _, ImageFormat, Rgb, RgbImage};

/// A size that no file may have.
#[derive(Clone, Copy, Debug)]
pub struct ManyPixels {
    /// Width, in pixels.
    pub width: u32,
    /// Height, in pixels.
    pub height: u32,
}

/// Returns a light page with dark lines of print.
fn page(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let is_line = y % 24 < 9 && x > width / 12 && x < width - width / 12 && x % 11 < 8;
        let is_photo = x > width / 10 && x < width / 3 && y > height / 5 && y < height * 3 / 5;
        match (is_photo, is_line) {
            (true, _) => Rgb([150, (x % 200) as u8, (y % 200) as u8]),
            (_, true) => Rgb([40, 40, 60]),
            _ => Rgb([236, 232, 214]),
        }
    })
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Returns a PNG.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    encoded(&page(width, height).into(), ImageFormat::Png)
}

/// Returns a JPEG.
pub fn jpeg(width: u32, height: u32) -> Vec<u8> {
    encoded(&page(width, height).into(), ImageFormat::Jpeg)
}

/// Returns a WebP.
pub fn webp(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let pixels = page(width, height);
    WebPEncoder::new_lossless(&mut bytes)
        .write_image(pixels.as_raw(), width, height, ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

/// Returns a PNG with 16 bits a colour and transparent parts.
pub fn sixteen_bit_png(width: u32, height: u32) -> Vec<u8> {
    let pixels = image::ImageBuffer::from_fn(width, height, |x, y| {
        image::Rgba([40_000_u16, (x * 300) as u16, (y * 300) as u16, (x * 900) as u16])
    });
    encoded(&DynamicImage::ImageRgba16(pixels), ImageFormat::Png)
}

/// Returns a JPEG whose EXIF data say that it lies on its side (orientation 6) and where it was
/// taken.
pub fn jpeg_with_location(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 85);
    encoder.set_exif_metadata(exif()).unwrap();
    encoder.encode_image(&page(width, height)).unwrap();
    bytes
}

/// Returns EXIF data with an orientation and a latitude.
fn exif() -> Vec<u8> {
    let mut tiff = b"II\x2a\x00\x08\x00\x00\x00".to_vec();
    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()]
            .concat()
    };
    // The first directory: the orientation, and where the directory of the place is.
    tiff.extend(2_u16.to_le_bytes());
    tiff.extend(entry(0x0112, 3, 1, 6));
    tiff.extend(entry(0x8825, 4, 1, 38));
    tiff.extend(0_u32.to_le_bytes());
    // The directory of the place: a latitude, which is text here so that a test finds it.
    tiff.extend(1_u16.to_le_bytes());
    tiff.extend(entry(0x0002, 2, 20, 56));
    tiff.extend(0_u32.to_le_bytes());
    tiff.extend(b"GPS 3.139003101.6869");
    tiff
}

/// Returns a JPEG with the four colours of print.
pub fn cmyk_jpeg(width: u16, height: u16) -> Vec<u8> {
    let pixels: Vec<u8> = (0..u32::from(width) * u32::from(height))
        .flat_map(|at| [(at % 251) as u8, 20, (at % 127) as u8, 10])
        .collect();
    baseline_jpeg(width, height, 4, &pixels)
}

/// Encodes a JPEG by hand with flat blocks: each block has the mean of its pixels. The encoder of
/// the library writes no CMYK.
fn baseline_jpeg(width: u16, height: u16, components: u8, pixels: &[u8]) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
    file.extend([1; 64]);
    file.extend([0xff, 0xc0]);
    file.extend((8 + 3 * u16::from(components)).to_be_bytes());
    file.push(8);
    file.extend(height.to_be_bytes());
    file.extend(width.to_be_bytes());
    file.push(components);
    (1..=components).for_each(|id| file.extend([id, 0x11, 0]));
    // A table of Huffman codes for the differences of means: twelve codes of four bits.
    file.extend([0xff, 0xc4, 0, 31, 0x00, 0, 0, 0, 12]);
    file.extend([0; 12]);
    file.extend(0..12);
    // A table for the rest: one code of one bit that ends the block.
    file.extend([0xff, 0xc4, 0, 20, 0x10, 1]);
    file.extend([0; 15]);
    file.push(0);
    file.extend([0xff, 0xda]);
    file.extend((6 + 2 * u16::from(components)).to_be_bytes());
    file.push(components);
    (1..=components).for_each(|id| file.extend([id, 0]));
    file.extend([0, 63, 0]);
    file.extend(flat_blocks(width, height, components, pixels));
    file.extend([0xff, 0xd9]);
    file
}

/// Returns the entropy-coded blocks of [`baseline_jpeg`].
fn flat_blocks(width: u16, height: u16, components: u8, pixels: &[u8]) -> Vec<u8> {
    let mut bits = Bits::default();
    let mut last = vec![0_i32; usize::from(components)];
    for top in (0..height).step_by(8) {
        for left in (0..width).step_by(8) {
            for component in 0..usize::from(components) {
                let at = (usize::from(top) * usize::from(width) + usize::from(left))
                    * usize::from(components);
                // The mean of a block of 8 × 8 is coded times 8.
                let mean = (i32::from(pixels[at + component]) - 128) * 8;
                bits.difference(mean - last[component]);
                last[component] = mean;
                bits.push(0, 1);
            }
        }
    }
    bits.finish()
}

/// Writes bits, the highest first, with the stuffed bytes of JPEG.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    current: u32,
    count: u32,
}

impl Bits {
    /// Writes a difference of means: the number of its bits as a code of four bits, then the bits.
    fn difference(&mut self, value: i32) {
        let size = 32 - value.unsigned_abs().leading_zeros();
        self.push(size, 4);
        let coded = if value < 0 { value - 1 } else { value };
        self.push(coded.cast_unsigned() & ((1 << size) - 1), size);
    }

    fn push(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            self.current = self.current << 1 | (value >> bit & 1);
            self.count += 1;
            if self.count == 8 {
                let byte = (self.current & 0xff) as u8;
                self.bytes.push(byte);
                if byte == 0xff {
                    self.bytes.push(0);
                }
                (self.current, self.count) = (0, 0);
            }
        }
    }

    fn finish(mut self) -> Vec<u8> {
        while self.count != 0 {
            self.push(1, 1);
        }
        self.bytes
    }
}

/// Returns a PNG of these chunks, each with its checksum.
pub fn png_of_chunks(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, content) in chunks {
        file.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
        let checked = [&kind[..], content].concat();
        file.extend(&checked);
        file.extend(crc32(&checked).to_be_bytes());
    }
    file
}

/// Returns the smallest PNG whose header promises this size.
pub fn png_promising(ManyPixels { width, height }: ManyPixels) -> Vec<u8> {
    let header = header(width, height);
    png_of_chunks(&[
        (b"IHDR", &header),
        (b"IDAT", b"\x78\x9c\x03\x00\x00\x00\x00\x01"),
        (b"IEND", b""),
    ])
}

fn header(width: u32, height: u32) -> Vec<u8> {
    [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 6, 0, 0, 0]].concat()
}

/// Returns a PNG that says that it moves.
pub fn animated_png() -> Vec<u8> {
    let still = png(16, 16);
    let control = [0, 0, 0, 2, 0, 0, 0, 0];
    let animation = png_of_chunks(&[(b"acTL", &control)]);
    // After the signature and the first chunk.
    [&still[..33], &animation[8..], &still[33..]].concat()
}

/// Returns a WebP that says that it moves.
pub fn animated_webp() -> Vec<u8> {
    let mut body = b"WEBPVP8X\x0a\x00\x00\x00".to_vec();
    body.extend([0x02, 0, 0, 0, 15, 0, 0, 15, 0, 0]);
    body.extend(b"ANIM\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00");
    let length = u32::try_from(body.len()).unwrap();
    [&b"RIFF"[..], &length.to_le_bytes(), &body].concat()
}

/// Returns the checksum of PNG chunks.
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = sum & 1;
            sum = sum >> 1 ^ (0xedb8_8320 * carry);
        }
    }
    !sum
}
