//! The whole way of a file in and out again without a store, for hostile bytes: the suite and the
//! fuzz target send theirs through it.

use gx_serve::Entropy;

use crate::intake::{FileClaim, FileFacts, FileLimits, Inspector, Refusal};
use crate::seal::{Decryptor, Encryptor, FileKey, sealed_bytes};

use super::images::{
    animated_png, animated_webp, cmyk_jpeg, jpeg, jpeg_with_location, png, sixteen_bit_png, webp,
};
use super::pdfs::{PdfText, pdf};

/// The document that the file is of.
const DOCUMENT_ID: &str = "0190a8e0-0000-7000-8000-000000000001";
/// The pieces in which a file comes over a network, in bytes: whole, in usual and in odd ones.
const PIECES: [usize; 3] = [usize::MAX, 4_096, 251];

/// Returns a small file of each kind, from which damaged ones are made.
pub fn small_files() -> [Vec<u8>; 9] {
    [
        png(24, 16),
        sixteen_bit_png(12, 8),
        animated_png(),
        jpeg(24, 16),
        cmyk_jpeg(24, 16),
        jpeg_with_location(24, 16),
        webp(24, 16),
        animated_webp(),
        pdf(&PdfText::default()),
    ]
}

/// Inspects a file in pieces of several sizes, which must make no difference, seals it and opens it
/// again. Returns what is known of it, or why it is refused.
///
/// # Panics
/// If the pieces make a difference, or if the opened file is another one.
pub fn take_in_and_open(file: &[u8]) -> Result<FileFacts, Refusal> {
    let outcomes = PIECES.map(|piece| inspect(file, piece));
    let [outcome, others @ ..] = outcomes;
    for other in others {
        assert_eq!(other, outcome, "the pieces make a difference");
    }
    let facts = outcome?;
    assert_eq!(facts.size, file.len() as u64, "the size is that of the file");
    let sealed = seal(file);
    assert_eq!(sealed.len() as u64, sealed_bytes(facts.size), "the size is known before");
    assert!(open(&sealed) == file, "another file comes out");
    Ok(facts)
}

fn inspect(file: &[u8], piece: usize) -> Result<FileFacts, Refusal> {
    let mut inspector = Inspector::new(FileLimits::default(), FileClaim::default());
    for piece in file.chunks(piece) {
        inspector.push(piece)?;
    }
    inspector.finish()
}

fn seal(file: &[u8]) -> Vec<u8> {
    let mut encryptor = Encryptor::new(&key(), DOCUMENT_ID, &Entropy::seeded(2));
    let mut sealed = Vec::new();
    file.chunks(4_096).for_each(|piece| encryptor.push(piece, &mut sealed));
    encryptor.finish(&mut sealed);
    sealed
}

fn open(sealed: &[u8]) -> Vec<u8> {
    let mut decryptor = Decryptor::new(key(), DOCUMENT_ID);
    let mut plain = Vec::new();
    for piece in sealed.chunks(4_096) {
        decryptor.push(piece, &mut plain).unwrap();
    }
    decryptor.finish(&mut plain).unwrap();
    plain
}

fn key() -> FileKey {
    FileKey::new(&Entropy::seeded(1))
}
