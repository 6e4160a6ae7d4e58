//! Looks for signs of a second format in a stream: what makes a file a polyglot.
//!
//! An archive is found by its end record, as readers of archives do, because its short signature
//! occurs by chance in compressed data. Markup is looked for as browsers do.

/// Bytes at the begin of a file in which readers of PDF look for its header, and browsers for
/// markup.
const HEAD_BYTES: usize = 1024;
/// Size of the end record of a ZIP archive without its comment, in bytes.
const ZIP_END_BYTES: usize = 22;
/// Signature of the end record of a ZIP archive.
const ZIP_END: &[u8] = b"PK\x05\x06";
/// Signatures that are looked for in a whole image, with what they are. Letters match in both
/// cases.
const IN_IMAGES: [(&[u8], &str); 7] = [
    (b"<script", "a script"),
    (b"<!doctype", "HTML"),
    (b"<iframe", "HTML"),
    (b"<?php ", "a script"),
    (b"Rar!\x1a\x07", "an archive"),
    (b"7z\xbc\xaf\x27\x1c", "an archive"),
    (b"\x7fELF\x02\x01\x01", "a program"),
];
/// Signatures that are looked for at the begin of every file.
const IN_HEAD: [(&[u8], &str); 5] = [
    (b"<html", "HTML"),
    (b"<script", "a script"),
    (b"<!doctype", "HTML"),
    (b"<svg", "SVG"),
    (b"<body", "HTML"),
];

/// What was found so far.
#[derive(Debug)]
pub(super) struct MarkScan {
    is_image: bool,
    head: Vec<u8>,
    /// The last bytes, in which a signature may have begun.
    carry: Vec<u8>,
    seen: u64,
    in_image: Option<&'static str>,
    /// Where the archive ends whose end record was found last.
    archive_end: Option<u64>,
}

impl MarkScan {
    pub(super) fn new(is_image: bool) -> Self {
        Self {
            is_image,
            head: Vec::with_capacity(HEAD_BYTES),
            carry: Vec::new(),
            seen: 0,
            in_image: None,
            archive_end: None,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let carried = self.carry.len();
        // Only the begin of the piece is joined with the end of the one before.
        self.carry.extend_from_slice(&bytes[..bytes.len().min(ZIP_END_BYTES)]);
        let joined = std::mem::take(&mut self.carry);
        let before = self.seen - carried as u64;
        self.look(&joined, before, carried);
        self.look(bytes, self.seen, bytes.len());
        self.seen += bytes.len() as u64;
        let whole = if bytes.len() >= ZIP_END_BYTES { bytes } else { &joined };
        self.carry = whole[whole.len().saturating_sub(ZIP_END_BYTES - 1)..].to_vec();
    }

    /// Looks for signatures that begin before `until` and are whole in `bytes`, which begin at
    /// `offset` of the file.
    fn look(&mut self, bytes: &[u8], offset: u64, until: usize) {
        let mut from = 0;
        while let Some(next) = bytes[from..until].iter().position(|byte| begins_signature(*byte)) {
            let at = from + next;
            let rest = &bytes[at..];
            if rest.starts_with(ZIP_END) && rest.len() >= ZIP_END_BYTES {
                let comment = u16::from_le_bytes([rest[20], rest[21]]);
                let end = offset + (at + ZIP_END_BYTES) as u64 + u64::from(comment);
                self.archive_end = Some(end);
            }
            if self.is_image && self.in_image.is_none() {
                self.in_image = first_of(&IN_IMAGES, rest);
            }
            from = at + 1;
        }
    }

    /// Returns what else the whole file is, or `None` if it is nothing else.
    pub(super) fn finish(self) -> Option<&'static str> {
        let in_head = || {
            let markup = (0..self.head.len()).find_map(|at| first_of(&IN_HEAD, &self.head[at..]));
            let has_pdf = self.is_image && self.head.windows(5).any(|found| found == b"%PDF-");
            markup.or(has_pdf.then_some("a PDF"))
        };
        let archive = self.archive_end.filter(|end| *end == self.seen).map(|_| "an archive");
        archive.or(self.in_image).or_else(in_head)
    }
}

/// Returns whether one of the signatures that are looked for in a whole file begins with a byte.
const fn begins_signature(byte: u8) -> bool {
    matches!(byte, b'P' | b'<' | b'R' | b'r' | b'7' | 0x7f)
}

fn first_of(signatures: &[(&[u8], &'static str)], bytes: &[u8]) -> Option<&'static str> {
    let begins = |signature: &[u8]| {
        bytes.get(..signature.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(signature))
    };
    signatures.iter().find(|(signature, _)| begins(signature)).map(|(_, found)| *found)
}
