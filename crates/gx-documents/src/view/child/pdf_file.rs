//! Reads and draws a PDF with `hayro`, which runs no script and opens no file. A PDF with something
//! that is not for looking at is refused when it comes in.

use hayro::hayro_interpret::InterpreterSettings;
use hayro::hayro_syntax::object::{Dict, MaybeRef, Object};
use hayro::hayro_syntax::{LoadPdfError, Pdf};
use hayro::vello_cpu::color::palette::css::WHITE;
use hayro::{PixmapSettings, RenderCache, RenderSettings, render};
use image::RgbImage;

use crate::format::FileFormat;
use crate::intake::FileLimits;
use crate::view::PdfFacts;
use crate::view::protocol::ChildRefusal;

use super::{NoPage, Page};

/// Longest edge of a drawn page, in pixels: about 150 dots per inch for A4.
const PAGE_EDGE_PX: f32 = 1_800.0;
/// Limit of the depth of dictionaries and lists within an object.
const MAX_DEPTH: usize = 32;
/// Keys whose values are scripts, actions or files.
const ACTIVE_KEYS: [&[u8]; 8] = [
    b"JS",
    b"JavaScript",
    b"EmbeddedFile",
    b"EmbeddedFiles",
    b"EF",
    b"XFA",
    b"RichMediaContent",
    b"RichMediaSettings",
];
/// Names of actions and annotations that do more than show something.
const ACTIVE_NAMES: [&[u8]; 11] = [
    b"JavaScript",
    b"Launch",
    b"SubmitForm",
    b"ImportData",
    b"GoToE",
    b"Rendition",
    b"RichMedia",
    b"RichMediaExecute",
    b"EmbeddedFile",
    b"FileAttachment",
    b"Movie",
];

fn malformed() -> ChildRefusal {
    ChildRefusal::Malformed { mime_type: FileFormat::Pdf.mime_type().to_owned() }
}

/// Looks into a PDF and returns what the intake needs to know.
pub(super) fn inspect(file: Vec<u8>, limits: &FileLimits) -> Result<PdfFacts, ChildRefusal> {
    let pdf = open(file)?;
    let pages = u32::try_from(pdf.pages().len()).map_err(|_| malformed())?;
    if pages == 0 {
        return Err(malformed());
    }
    if pages > limits.max_pages {
        return Err(ChildRefusal::TooManyPages { max_pages: limits.max_pages });
    }
    for object in pdf.objects() {
        look(&object, MAX_DEPTH)?;
    }
    Ok(PdfFacts { pages })
}

/// Draws a page, which is counted from 1.
pub(super) fn draw(file: Vec<u8>, number: u32, limits: &FileLimits) -> Result<Page, NoPage> {
    let pdf = open(file)?;
    let all = pdf.pages();
    let pages = u32::try_from(all.len()).map_err(|_| malformed())?.min(limits.max_pages);
    let index = number.checked_sub(1).filter(|index| *index < pages);
    let page = index
        .and_then(|index| all.get(usize::try_from(index).ok()?))
        .ok_or(NoPage::NoSuchPage { pages })?;
    let scale = scale_of(page.render_dimensions()).ok_or_else(malformed)?;
    let settings = PixmapSettings { x_scale: scale, y_scale: scale, bg_color: WHITE };
    let drawn = render(
        page,
        &RenderCache::new(),
        &InterpreterSettings::default(),
        &RenderSettings::default(),
        &settings,
    );
    let (width, height) = (u32::from(drawn.width()), u32::from(drawn.height()));
    let pixels = drawn.data_as_u8_slice();
    // The ground is white, so that no pixel is transparent.
    let colours = pixels.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    let image = RgbImage::from_raw(width, height, colours).ok_or_else(malformed)?;
    if width == 0 || height == 0 {
        return Err(malformed().into());
    }
    Ok(Page { image })
}

/// Returns the scale with which a page has its longest edge in pixels, or `None` if the page has no
/// sensible size.
#[expect(clippy::float_arithmetic, reason = "sizes of PDF pages are floats")]
fn scale_of((width, height): (f32, f32)) -> Option<f32> {
    let (longest, shortest) = (width.max(height), width.min(height));
    let scale = PAGE_EDGE_PX / longest;
    let is_sensible = scale.is_finite() && scale > 0.0 && shortest * scale >= 8.0;
    is_sensible.then_some(scale)
}

fn open(file: Vec<u8>) -> Result<Pdf, ChildRefusal> {
    // An encrypted PDF whose password is empty would be opened without a word.
    if has_encryption(&file) {
        return Err(ChildRefusal::Encrypted);
    }
    Pdf::new(file).map_err(|error| match error {
        LoadPdfError::Decryption(_) => ChildRefusal::Encrypted,
        LoadPdfError::Invalid => malformed(),
    })
}

/// Returns whether a file has the entry of a trailer that says that it is encrypted. Trailers are
/// never compressed.
fn has_encryption(file: &[u8]) -> bool {
    const ENTRY: &[u8] = b"/Encrypt";
    let is_end = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
    file.windows(ENTRY.len())
        .enumerate()
        .any(|(at, found)| found == ENTRY && is_end(file.get(at + ENTRY.len())))
}

/// Refuses an object that contains a script, an action or a file. References are not followed: each
/// object is looked at by itself.
fn look(object: &Object<'_>, depth: usize) -> Result<(), ChildRefusal> {
    let Some(depth) = depth.checked_sub(1) else { return Err(malformed()) };
    match object {
        Object::Dict(dict) => look_into(dict, depth),
        Object::Stream(stream) => look_into(stream.dict(), depth),
        Object::Array(array) => array.raw_iter().try_for_each(|entry| match entry {
            MaybeRef::NotRef(inner) => look(&inner, depth),
            MaybeRef::Ref(_) => Ok(()),
        }),
        _ => Ok(()),
    }
}

fn look_into(dict: &Dict<'_>, depth: usize) -> Result<(), ChildRefusal> {
    for (key, value) in dict.entries() {
        let key: &[u8] = &key;
        if ACTIVE_KEYS.contains(&key) {
            return Err(active(key));
        }
        if key == b"Encrypt" {
            return Err(ChildRefusal::Encrypted);
        }
        let MaybeRef::NotRef(value) = value else { continue };
        if let (b"S" | b"Type" | b"Subtype", Object::Name(name)) = (key, &value) {
            let name: &[u8] = name;
            if ACTIVE_NAMES.contains(&name) {
                return Err(active(name));
            }
        }
        look(&value, depth)?;
    }
    Ok(())
}

fn active(found: &[u8]) -> ChildRefusal {
    ChildRefusal::Active { found: String::from_utf8_lossy(found).into_owned() }
}
