//! Marks the pixels of a page with who looks at it, at which case, and when: rows of small text
//! over the whole page, so that no part of it can be passed on without its mark.

use font8x8::{BASIC_FONTS, LATIN_FONTS, UnicodeFonts as _};
use image::RgbImage;

use crate::view::Watermark;

/// Width and height of a character, in dots.
const DOTS: u32 = 8;
/// Limit of the characters of the text.
const MAX_CHARACTERS: usize = 160;
/// Page width for each pixel of a dot's edge: a page of 1 600 pixels has dots of 2 pixels.
const PAGE_WIDTH_PER_DOT: u32 = 800;
/// Distance between rows, in heights of a character.
const ROW_DISTANCE: u32 = 9;
/// Shift of each row to the left against the one above, in widths of a character.
const ROW_SHIFT: u32 = 13;

/// Draws the text of the watermark over a page.
pub(super) fn mark(image: &mut RgbImage, watermark: &Watermark) {
    let Watermark { viewer, case, at } = watermark;
    let text = format!("{viewer}  {case}  {at}     ");
    let glyphs: Vec<[u8; 8]> = text.chars().take(MAX_CHARACTERS).map(glyph).collect();
    let dot = (image.width() / PAGE_WIDTH_PER_DOT).clamp(1, 4);
    let (cell, width) = (DOTS * dot, image.width());
    // A page that is lower than two characters has one row at its top.
    let mut y = if cell * 2 > image.height() { 0 } else { cell };
    let mut row = 0;
    while y < image.height() {
        let columns = width / cell + 1;
        for column in 0..columns {
            let index = (column + row * ROW_SHIFT) as usize % glyphs.len();
            draw(image, &glyphs[index], column * cell, y, dot);
        }
        y += cell * ROW_DISTANCE;
        row += 1;
    }
}

/// Returns the dots of a character, a byte for each line with its first dot in the lowest bit.
fn glyph(character: char) -> [u8; 8] {
    let known = BASIC_FONTS.get(character).or_else(|| LATIN_FONTS.get(character));
    known.or_else(|| BASIC_FONTS.get('?')).unwrap_or_default()
}

fn draw(image: &mut RgbImage, glyph: &[u8; 8], left: u32, top: u32, dot: u32) {
    for (line, bits) in (0..).zip(glyph) {
        for column in (0..DOTS).filter(|column| bits >> column & 1 == 1) {
            for (dx, dy) in (0..dot).flat_map(|dx| (0..dot).map(move |dy| (dx, dy))) {
                let (x, y) = (left + column * dot + dx, top + line * dot + dy);
                if let Some(pixel) = image.get_pixel_mut_checked(x, y) {
                    blend(&mut pixel.0);
                }
            }
        }
    }
}

/// Moves a colour a third of the way to black on a light ground, and to white on a dark one: the
/// text is visible everywhere, and what is under it stays readable.
fn blend(colour: &mut [u8; 3]) {
    let brightness: u32 = colour.iter().map(|part| u32::from(*part)).sum();
    let target = if brightness > 3 * 127 { 0 } else { 255_u16 };
    for part in colour {
        let mixed = (u16::from(*part) * 2 + target) / 3;
        *part = u8::try_from(mixed).expect("a mean of two colours is a colour");
    }
}
