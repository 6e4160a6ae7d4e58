//! FILE-03: a corpus of hostile files ends in a refusal or in safe pixels.

use std::time::Duration;

use gx_documents::testing::{
    ManyPixels, PdfText, animated_png, animated_webp, cmyk_jpeg, jpeg, jpeg_with_location,
    passport, pdf, png, png_promising, sixteen_bit_png, webp,
};
use gx_documents::{
    FileFormat, FileLimits, PageImage, ReceiveError, Refusal, ViewError, Watermark,
};
use image::{ImageReader, RgbImage};

use crate::world::{World, pieces, renderer, watermark};

async fn draw(format: FileFormat, file: &[u8], number: u32) -> Result<PageImage, ViewError> {
    let renderer = renderer(Duration::from_mins(2), FileLimits::default());
    renderer.page(format, number, &watermark(), pieces(file)).await
}

fn pixels(page: &PageImage) -> RgbImage {
    let mut reader = ImageReader::new(std::io::Cursor::new(&page.bytes));
    reader.set_format(image::ImageFormat::Jpeg);
    let image = reader.decode().unwrap().to_rgb8();
    assert_eq!(image.dimensions(), (page.width, page.height));
    image
}

fn has(page: &PageImage, text: &[u8]) -> bool {
    page.bytes.windows(text.len()).any(|found| found == text)
}

/// FILE-03: images of every kind become plain pixels of the same size.
#[tokio::test]
async fn file_03_images_of_every_kind_become_plain_pixels() {
    for (format, file) in [
        (FileFormat::Jpeg, jpeg(400, 300)),
        (FileFormat::Jpeg, cmyk_jpeg(400, 304)),
        (FileFormat::Png, png(400, 300)),
        (FileFormat::Png, sixteen_bit_png(70, 300)),
        (FileFormat::WebP, webp(400, 300)),
    ] {
        let page = draw(format, &file, 1).await.unwrap();
        assert!(page.bytes.starts_with(b"\xff\xd8\xff"), "{format}");
        let drawn = pixels(&page);
        assert!(matches!(drawn.height(), 300 | 304), "{format}");
        let colours: std::collections::HashSet<_> = drawn.pixels().map(|pixel| pixel.0).collect();
        assert!(colours.len() > 20, "{format} has {} colours", colours.len());
    }
    let error = draw(FileFormat::Png, &png(8, 8), 2).await.err().unwrap();
    assert!(matches!(error, ViewError::NoSuchPage { pages: 1 }), "{error}");
}

/// FILE-03: the page of a photo is turned as its EXIF data say and has none of them: no place.
#[tokio::test]
async fn file_03_a_photo_is_turned_and_its_place_is_gone() {
    let photo = jpeg_with_location(400, 300);
    assert!(photo.windows(12).any(|found| found == b"GPS 3.139003"));
    let page = draw(FileFormat::Jpeg, &photo, 1).await.unwrap();
    assert_eq!((page.width, page.height), (300, 400));
    assert!(!has(&page, b"GPS"));
    assert!(!has(&page, b"Exif"));
}

/// FILE-06: the pixels carry who looks, at which case and when: another watermark is another image,
/// all over the page.
#[tokio::test]
async fn file_06_the_pixels_carry_who_looks_at_them() {
    let renderer = renderer(Duration::from_mins(2), FileLimits::default());
    let file = passport();
    let mut drawn = Vec::new();
    for viewer in ["first@example.com", "other@example.com"] {
        let watermark = Watermark { viewer: viewer.to_owned(), ..watermark() };
        let page = renderer.page(FileFormat::Jpeg, 1, &watermark, pieces(&file)).await.unwrap();
        drawn.push(pixels(&page));
    }
    let differs = |part: u32| {
        let height = drawn[0].height() / 4;
        drawn[0].enumerate_pixels().any(|(x, y, pixel)| {
            let other = drawn[1].get_pixel(x, y);
            y / height == part && pixel.0[0].abs_diff(other.0[0]) > 40
        })
    };
    for part in 0..4 {
        assert!(differs(part), "quarter {part}");
    }
}

/// FILE-03: a PDF is drawn page by page.
#[tokio::test]
async fn file_03_a_pdf_is_drawn_page_by_page() {
    let file = pdf(&PdfText { pages: 3, ..PdfText::default() });
    let world = World::new().await;
    let document = world.add(&file).await.unwrap();
    let mut seen = std::collections::HashSet::new();
    for number in 1..=3 {
        let page = world.documents.page(&document, number, &watermark()).await.unwrap();
        assert!(page.width > 800 && page.height > page.width, "{} × {}", page.width, page.height);
        let dark = pixels(&page).pixels().filter(|pixel| pixel.0[0] < 100).count();
        assert!(dark > 10_000, "the rectangle is drawn");
        seen.insert(page.bytes);
    }
    assert_eq!(seen.len(), 3, "each page has its number");
    for number in [0, 4] {
        let error = draw(FileFormat::Pdf, &file, number).await.err().unwrap();
        assert!(matches!(error, ViewError::NoSuchPage { pages: 3 }), "{error}");
    }
}

/// FILE-03: PDFs with scripts, attachments, actions or encryption, and those with too many pages,
/// are refused as they come in.
#[tokio::test]
async fn file_03_active_and_encrypted_pdfs_are_refused() {
    let world = World::new().await;
    let with = |catalogue: &str, object: &str| PdfText {
        catalogue: catalogue.to_owned(),
        objects: vec![(90, object.to_owned())],
        ..PdfText::default()
    };
    let script = "<< /S /JavaScript /JS (app.alert\\(1\\)) >>";
    let hidden = "<< /S /J#61vaScript /#4aS (app.alert\\(1\\)) >>";
    let hostile = [
        (with("/OpenAction 90 0 R", script), "file_active_content"),
        (with("/OpenAction 90 0 R", hidden), "file_active_content"),
        (with("/AA << /WC << /S /JavaScript /JS (x) >> >>", "null"), "file_active_content"),
        (with("/OpenAction << /S /Launch /F (cmd.exe) >>", "null"), "file_active_content"),
        (
            with("/Names << /EmbeddedFiles << /Names [(a) 90 0 R] >> >>", "<< /Type /Filespec >>"),
            "file_active_content",
        ),
        (with("/AcroForm << /XFA 90 0 R >>", "[]"), "file_active_content"),
        (
            PdfText {
                objects: vec![(
                    91,
                    "<< /Filter /Standard /V 1 /R 2 /O (12345678901234567890123456789012) \
                     /U (12345678901234567890123456789012) /P -4 >>"
                        .to_owned(),
                )],
                trailer: "/Encrypt 91 0 R /ID [(1234567890123456) (1234567890123456)]".to_owned(),
                ..PdfText::default()
            },
            "file_encrypted",
        ),
        (PdfText { pages: 51, ..PdfText::default() }, "file_too_many_pages"),
    ];
    for (text, expected) in hostile {
        match world.add(&pdf(&text)).await {
            Err(ReceiveError::Refused(refusal)) => {
                assert_eq!(refusal.code(), expected, "{text:?}: {refusal}");
            }
            other => panic!("{text:?}: {:?}", other.map(|document| document.document_id)),
        }
    }
    world.wait_until_clean().await;
}

/// FILE-03: bombs, moving images and damaged files give neither a document nor a page, and the
/// process survives them.
#[tokio::test]
async fn file_03_bombs_and_damaged_files_give_no_page() {
    let world = World::new().await;
    let bomb = png_promising(ManyPixels { width: 16_000, height: 16_000 });
    let refused = [bomb.clone(), animated_png(), animated_webp()];
    for file in refused {
        let error = world.add(&file).await.err().unwrap();
        assert!(matches!(error, ReceiveError::Refused(_)), "{error}");
    }
    let error = draw(FileFormat::Png, &bomb, 1).await.err().unwrap();
    let expected = Refusal::TooManyPixels { width: 16_000, height: 16_000 };
    assert!(matches!(&error, ViewError::Refused(found) if *found == expected), "{error}");

    // Valid from outside, and nothing inside.
    let empty = png_promising(ManyPixels { width: 100, height: 100 });
    let document = world.add(&empty).await.unwrap();
    assert!(world.documents.page(&document, 1, &watermark()).await.is_err());
    for file in [&b"%PDF-1.7\n%%EOF\n"[..], b"%PDF-1.7\ntrailer << /Root 1 0 R >>\n%%EOF\n"] {
        let error = world.add(file).await.err().unwrap();
        assert!(matches!(error, ReceiveError::Refused(_)), "{error}");
    }
    let mut file = pdf(&PdfText { pages: 2, ..PdfText::default() });
    for at in (9..file.len() - 7).step_by(97) {
        file[at] ^= 0x15;
        let drawn = draw(FileFormat::Pdf, &file, 1).await;
        if let Err(error) = drawn {
            let is_clear = matches!(error, ViewError::Refused(_) | ViewError::NoSuchPage { .. });
            assert!(is_clear, "byte {at}: {error}");
        }
        file[at] ^= 0x15;
    }
    for format in FileFormat::ALL {
        let error = draw(format, b"", 1).await.err().unwrap();
        assert!(matches!(error, ViewError::Refused(_)), "{format}: {error}");
    }
}
