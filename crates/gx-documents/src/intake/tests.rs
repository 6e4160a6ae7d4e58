//! FILE-01, FILE-03: what is taken in, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::format::FileFormat;
use crate::testing::{
    ManyPixels, PdfText, animated_png, animated_webp, cmyk_jpeg, jpeg, jpeg_with_location, pdf,
    png, png_of_chunks, png_promising, sixteen_bit_png, webp,
};

fn claim(mime_type: &str, file_name: &str) -> FileClaim {
    FileClaim { mime_type: Some(mime_type.to_owned()), file_name: Some(file_name.to_owned()) }
}

fn inspect_as(file: &[u8], claim: FileClaim, piece: usize) -> Result<FileFacts, Refusal> {
    let mut inspector = Inspector::new(FileLimits::default(), claim);
    for piece in file.chunks(piece) {
        inspector.push(piece)?;
    }
    inspector.finish()
}

fn inspect(file: &[u8]) -> Result<FileFacts, Refusal> {
    inspect_as(file, FileClaim::default(), 4_096)
}

/// Returns the code of the refusal.
fn refused(file: &[u8]) -> &'static str {
    inspect(file).map_or_else(|refusal| refusal.code(), |facts| panic!("taken in: {facts:?}"))
}

fn samples() -> Vec<(FileFormat, Vec<u8>)> {
    vec![
        (FileFormat::Png, png(60, 40)),
        (FileFormat::Png, sixteen_bit_png(60, 40)),
        (FileFormat::Jpeg, jpeg(60, 40)),
        (FileFormat::Jpeg, cmyk_jpeg(64, 40)),
        (FileFormat::Jpeg, jpeg_with_location(60, 40)),
        (FileFormat::WebP, webp(60, 40)),
        (FileFormat::Pdf, pdf(&PdfText::default())),
    ]
}

/// FILE-01: the four formats are told by their content, whatever the pieces, and content, declared
/// type and ending must agree.
#[test]
fn file_01_content_declared_type_and_ending_agree() {
    for (format, file) in samples() {
        let whole = inspect(&file).unwrap();
        assert_eq!((whole.format, whole.size), (format, file.len() as u64));
        for piece in [1, 7, 100_000] {
            assert_eq!(inspect_as(&file, FileClaim::default(), piece).as_ref(), Ok(&whole));
        }
        let mime_type = format.mime_type();
        for ending in format.extensions() {
            let name = format!("My Photo.v2.{}", ending.to_uppercase());
            assert!(inspect_as(&file, claim(mime_type, &name), 4_096).is_ok(), "{name}");
        }
        assert!(
            inspect_as(&file, claim(mime_type, "blob"), 4_096).is_ok(),
            "a name without ending"
        );
        let wrong = [("text/html", "a.html"), (mime_type, "a.svg"), ("", "a.zip")];
        for (mime_type, name) in wrong {
            let refusal = inspect_as(&file, claim(mime_type, name), 4_096).unwrap_err();
            assert_eq!(refusal.code(), "file_format_mismatch", "{mime_type} {name}");
        }
    }
}

/// FILE-01: other formats are refused.
#[test]
fn file_01_html_svg_archives_and_others_are_refused() {
    let others: [&[u8]; 8] = [
        b"<!DOCTYPE html><html><script>alert(1)</script></html>",
        b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>",
        b"PK\x03\x04\x14\x00\x00\x00\x08\x00 an archive",
        b"Rar!\x1a\x07\x01\x00 an archive",
        b"GIF89a\x01\x00\x01\x00\x80\x00\x00 a picture",
        b"\x7fELF\x02\x01\x01\x00 a program that does nothing",
        b"plain text that says nothing at all",
        b"x",
    ];
    for file in others {
        assert_eq!(refused(file), "file_format_unknown", "{}", file.escape_ascii());
    }
    assert_eq!(refused(b""), "file_empty");
}

/// FILE-01: a file that ends early or goes on after its end is refused, at every byte.
#[test]
fn file_01_a_cut_file_and_one_that_goes_on_are_refused() {
    for (format, file) in samples() {
        for at in 0..file.len() - 1 {
            if format == FileFormat::Pdf && file[at..].trim_ascii().is_empty() {
                continue;
            }
            assert!(inspect(&file[..at]).is_err(), "{format} cut at {at}");
        }
        for tail in [&b"more"[..], b"PK\x05\x06", b"<html>"] {
            let code = refused(&[&file[..], tail].concat());
            let expected = ["file_polyglot", "file_malformed"];
            assert!(expected.contains(&code), "{format} with {}: {code}", tail.escape_ascii());
        }
    }
}

/// Returns an archive without files, with a comment of this length.
fn archive_end(comment: usize) -> Vec<u8> {
    let length = u16::try_from(comment).unwrap().to_le_bytes();
    [&b"PK\x05\x06"[..], &[0; 16], &length].concat()
}

/// Puts content into a chunk of a PNG that decoders pass over.
fn png_with(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let still = png(8, 8);
    let chunk = png_of_chunks(&[(&kind, content)]);
    [&still[..33], &chunk[8..], &still[33..]].concat()
}

/// Puts content into a comment of a JPEG.
fn jpeg_with_comment(content: &[u8]) -> Vec<u8> {
    let still = jpeg(8, 8);
    let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
    [&still[..2], &[0xff, 0xfe], &length, content, &still[2..]].concat()
}

/// FILE-01: files that are valid and can be read as a second format are refused, wherever the
/// second format is.
#[test]
fn file_01_polyglots_are_refused() {
    // A readable archive at the end of a chunk: its comment is the rest of the image.
    let rest = png(8, 8).len() - 33 + 4;
    let mut polyglots = vec![
        png_with(*b"teXt", &archive_end(rest)),
        png_with(*b"teXt", b"<script>alert(1)</script>"),
        png_with(*b"teXt", b"%PDF-1.7 1 0 obj"),
        jpeg_with_comment(b"<?php system($_GET[0]); ?>"),
        jpeg_with_comment(b"<!DOCTYPE html>"),
        jpeg_with_comment(b"%PDF-1.4"),
        jpeg_with_comment(b"<svg onload=alert(1)>"),
        jpeg_with_comment(b"7z\xbc\xaf\x27\x1c"),
    ];
    let text = String::from_utf8_lossy(&archive_end(6)).into_owned();
    let mut file = pdf(&PdfText::default());
    let end = file.len() - 6;
    file.splice(end..end, archive_end(6));
    polyglots.push(file);
    polyglots.push(pdf(&PdfText {
        catalogue: "/Note (<html><script>alert(1)</script>)".to_owned(),
        ..PdfText::default()
    }));
    for file in polyglots {
        for piece in [1, 13, 4_096] {
            let refusal = inspect_as(&file, FileClaim::default(), piece).unwrap_err();
            assert_eq!(refusal.code(), "file_polyglot", "{refusal} {text}");
        }
    }
    assert!(inspect(&jpeg_with_comment(b"holiday <3 PK")).is_ok());
}

/// Phones append a second JPEG to a photo; anything else there is refused.
#[test]
fn a_photo_with_a_second_jpeg_behind_it_is_taken_in() {
    let (photo, preview) = (jpeg(60, 40), jpeg(16, 16));
    assert!(inspect(&[&photo[..], &preview].concat()).is_ok());
    assert!(inspect(&[&photo[..], &[0; 12], &preview].concat()).is_ok());
    assert_eq!(refused(&[&photo[..], &preview[..preview.len() - 1]].concat()), "file_malformed");
    assert_eq!(refused(&[&photo[..], &png(8, 8)].concat()), "file_polyglot");
}

/// FILE-03: an image that promises too many pixels is refused from its header, long before its end.
#[test]
fn file_03_an_image_that_promises_a_gigabyte_is_refused_from_its_header() {
    let bomb = png_promising(ManyPixels { width: 16_000, height: 16_000 });
    assert!(bomb.len() < 70, "{} bytes", bomb.len());
    let mut inspector = Inspector::new(FileLimits::default(), FileClaim::default());
    assert_eq!(
        inspector.push(&bomb[..40]),
        Err(Refusal::TooManyPixels { width: 16_000, height: 16_000 })
    );
    for size in [(100_000, 10), (10, 100_000), (u32::MAX, u32::MAX)] {
        let bomb = png_promising(ManyPixels { width: size.0, height: size.1 });
        assert_eq!(refused(&bomb), "file_too_many_pixels");
    }
    let nothing = png_promising(ManyPixels { width: 0, height: 10 });
    assert_eq!(refused(&nothing), "file_malformed");
}

/// Writes another size into the frame of a JPEG.
fn jpeg_promising(size: ManyPixels) -> Vec<u8> {
    let mut file = jpeg(60, 40);
    let frame = file.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    let edges = [size.height, size.width].map(|edge| u16::try_from(edge).unwrap().to_be_bytes());
    file[frame + 5..frame + 9].copy_from_slice(&edges.concat());
    file
}

/// Returns a small WebP on a canvas of another size.
fn webp_on_canvas(size: ManyPixels) -> Vec<u8> {
    let still = webp(60, 40);
    let edge = |edge: u32| (edge - 1).to_le_bytes()[..3].to_vec();
    let canvas = [&b"VP8X\x0a\0\0\0\0\0\0\0"[..], &edge(size.width), &edge(size.height)].concat();
    let length = u32::try_from(still.len() - 8 + canvas.len()).unwrap().to_le_bytes();
    [&b"RIFF"[..], &length, b"WEBP", &canvas, &still[12..]].concat()
}

/// FILE-03: each size in a file counts, that of a photo with a small preview and that of a canvas
/// with a small image on it, also if both come in one piece.
#[test]
fn file_03_every_size_in_a_file_counts() {
    let (large, usual) =
        (ManyPixels { width: 16_000, height: 16_000 }, ManyPixels { width: 60, height: 40 });
    let preview = jpeg(16, 16);
    let photo = |size| [jpeg_promising(size), preview.clone()].concat();
    for (file, canvas) in [(photo(usual), false), (webp_on_canvas(usual), true)] {
        assert!(inspect(&file).is_ok(), "canvas: {canvas}");
    }
    for file in [photo(large), webp_on_canvas(large)] {
        for piece in [1, usize::MAX] {
            let refusal = inspect_as(&file, FileClaim::default(), piece);
            assert_eq!(refusal.unwrap_err().code(), "file_too_many_pixels", "{piece}");
        }
    }
}

/// FILE-03: an image that moves would show a reviewer its first picture only, and is refused.
#[test]
fn file_03_animated_images_are_refused() {
    assert_eq!(refused(&animated_png()), "file_animated");
    assert_eq!(refused(&animated_webp()), "file_animated");
}

/// FILE-01: the limit of the size is kept while the file comes in.
#[test]
fn file_01_a_file_that_is_too_large_is_refused_while_it_comes() {
    let limits = FileLimits { max_bytes: 1_000, ..FileLimits::default() };
    let mut inspector = Inspector::new(limits, FileClaim::default());
    let file = png(200, 200);
    let refusal = file.chunks(100).find_map(|piece| inspector.push(piece).err());
    assert_eq!(refusal, Some(Refusal::TooLarge { max_bytes: 1_000 }));
}

proptest! {
    /// No bytes make the intake panic, and the pieces make no difference.
    #[test]
    fn any_change_of_a_file_is_a_refusal_or_another_file(
        sample in 0..7_usize, at in any::<prop::sample::Index>(), byte in any::<u8>(),
        piece in 1..300_usize,
    ) {
        let (_, mut file) = samples().swap_remove(sample);
        let at = at.index(file.len());
        file[at] = byte;
        let whole = inspect_as(&file, FileClaim::default(), usize::MAX);
        prop_assert_eq!(inspect_as(&file, FileClaim::default(), piece), whole);
    }

    #[test]
    fn no_bytes_make_the_intake_panic(
        begin in 0..4_usize, bytes in prop::collection::vec(any::<u8>(), 0..2_000),
    ) {
        let begins: [&[u8]; 4] =
            [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\x00\x01\x00\x00WEBP", b"%PDF-1.7"];
        let _ = inspect(&[begins[begin], &bytes].concat());
    }
}
