//! Encrypts one file: AES-256-GCM in chunks of 64 KiB, after the STREAM construction of Hoang,
//! Reyhanitabar, Rogaway and Vizár (CRYPTO 2015). Called by the intake and by whatever reads a
//! file.
//!
//! A sealed file is a header (format, random prefix) and chunks. The nonce of a chunk is the
//! prefix, the chunk's position and a mark on the last chunk; header, document id and position are
//! its associated data. So a chunk that is changed, moved, left out or taken from another document
//! is not decrypted, and neither is a file that ends early or goes on.

mod file_key;
#[cfg(test)]
mod tests;

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use gx_serve::Entropy;

pub use file_key::FileKey;

/// Size of the plaintext of every chunk but the last one, in bytes.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Size of the tag of a chunk, in bytes.
pub(crate) const TAG_BYTES: usize = 16;
/// Size of the random prefix of the nonces of one file, in bytes.
pub(crate) const PREFIX_BYTES: usize = 7;
/// Begin of a sealed file: a name and the number of its format. Another algorithm gets another
/// number, and files of both can be read side by side.
pub(crate) const FORMAT: [u8; 4] = *b"GXD\x01";
/// Size of the header, in bytes.
pub(crate) const HEADER_BYTES: usize = FORMAT.len() + PREFIX_BYTES;
/// Size of a sealed chunk that is not the last one, in bytes.
const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

/// A sealed file is not what was sealed under this key for this document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a stored file was changed, cut, moved or is of another document; restore it from a backup"
)]
pub struct DamagedFile;

/// The key and the header of one file, from which the nonce and the associated data of each chunk
/// follow.
struct Chunks {
    key: LessSafeKey,
    header: [u8; HEADER_BYTES],
    document_id: String,
    next: u32,
}

impl Chunks {
    fn new(key: &FileKey, header: [u8; HEADER_BYTES], document_id: &str) -> Self {
        Self { key: key.cipher(), header, document_id: document_id.to_owned(), next: 0 }
    }

    /// Returns the nonce and the associated data of the next chunk, or `None` after 2^32 chunks.
    fn advance(&mut self, is_last: bool) -> Option<(Nonce, Aad<Vec<u8>>)> {
        let position = self.next.to_be_bytes();
        let mut nonce = [0; NONCE_LEN];
        nonce[..PREFIX_BYTES].copy_from_slice(&self.header[FORMAT.len()..]);
        nonce[PREFIX_BYTES..NONCE_LEN - 1].copy_from_slice(&position);
        nonce[NONCE_LEN - 1] = u8::from(is_last);
        let id_length = (self.document_id.len() as u64).to_be_bytes();
        let parts = [&self.header[..], &id_length, self.document_id.as_bytes(), &position];
        // No chunk follows the last position, so that no nonce is used twice.
        self.next = self.next.checked_add(1)?;
        Some((Nonce::assume_unique_for_key(nonce), Aad::from(parts.concat())))
    }
}

/// Seals a file piece by piece.
pub struct Encryptor {
    chunks: Chunks,
    pending: Vec<u8>,
    is_begun: bool,
}

impl Encryptor {
    /// Starts the sealed file of a document.
    pub fn new(key: &FileKey, document_id: &str, entropy: &Entropy) -> Self {
        let mut header = [0; HEADER_BYTES];
        header[..FORMAT.len()].copy_from_slice(&FORMAT);
        header[FORMAT.len()..].copy_from_slice(&entropy.bytes::<PREFIX_BYTES>());
        Self {
            chunks: Chunks::new(key, header, document_id),
            pending: Vec::with_capacity(SEALED_CHUNK_BYTES),
            is_begun: false,
        }
    }

    /// Takes a piece of the plaintext and appends all chunks that are complete to `sealed`.
    pub fn push(&mut self, mut plain: &[u8], sealed: &mut Vec<u8>) {
        self.begin(sealed);
        while !plain.is_empty() {
            // A full chunk waits until it is certain that it is not the last one.
            if self.pending.len() == CHUNK_BYTES {
                self.seal(false, sealed);
            }
            let (piece, rest) = plain.split_at(plain.len().min(CHUNK_BYTES - self.pending.len()));
            self.pending.extend_from_slice(piece);
            plain = rest;
        }
    }

    /// Appends the last chunk to `sealed`.
    pub fn finish(mut self, sealed: &mut Vec<u8>) {
        self.begin(sealed);
        self.seal(true, sealed);
    }

    fn begin(&mut self, sealed: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.is_begun, true) {
            sealed.extend_from_slice(&self.chunks.header);
        }
    }

    fn seal(&mut self, is_last: bool, sealed: &mut Vec<u8>) {
        let (nonce, aad) =
            self.chunks.advance(is_last).expect("no upload may have the 256 TiB of 2^32 chunks");
        self.chunks
            .key
            .seal_in_place_append_tag(nonce, aad, &mut self.pending)
            .expect("a chunk is far shorter than the 64 GiB that AES-GCM encrypts");
        sealed.append(&mut self.pending);
    }
}

/// Opens a sealed file piece by piece. A chunk is released only once its tag was checked.
pub struct Decryptor {
    key: FileKey,
    document_id: String,
    chunks: Option<Chunks>,
    pending: Vec<u8>,
}

impl Decryptor {
    /// Starts to open the sealed file of a document.
    pub fn new(key: FileKey, document_id: &str) -> Self {
        Self { key, document_id: document_id.to_owned(), chunks: None, pending: Vec::new() }
    }

    /// Takes a piece of the sealed file and appends the plaintext of all chunks that are complete
    /// to `plain`.
    ///
    /// # Errors
    /// [`DamagedFile`] if a chunk is not authentic; nothing of it is in `plain`.
    pub fn push(&mut self, mut sealed: &[u8], plain: &mut Vec<u8>) -> Result<(), DamagedFile> {
        while !sealed.is_empty() {
            let full = if self.chunks.is_some() { SEALED_CHUNK_BYTES } else { HEADER_BYTES };
            if self.pending.len() == full {
                // More follows, so that this one is the header or a chunk before the last one.
                match self.chunks {
                    Some(_) => self.open(false, plain)?,
                    None => self.read_header()?,
                }
                continue;
            }
            let (piece, rest) = sealed.split_at(sealed.len().min(full - self.pending.len()));
            self.pending.extend_from_slice(piece);
            sealed = rest;
        }
        Ok(())
    }

    /// Appends the plaintext of the last chunk to `plain`.
    ///
    /// # Errors
    /// [`DamagedFile`] if the file ends before its last chunk, or if that is not authentic.
    pub fn finish(mut self, plain: &mut Vec<u8>) -> Result<(), DamagedFile> {
        self.open(true, plain)
    }

    fn read_header(&mut self) -> Result<(), DamagedFile> {
        let header: [u8; HEADER_BYTES] =
            self.pending.as_slice().try_into().map_err(|_| DamagedFile)?;
        if !header.starts_with(&FORMAT) {
            return Err(DamagedFile);
        }
        self.pending.clear();
        self.chunks = Some(Chunks::new(&self.key, header, &self.document_id));
        Ok(())
    }

    fn open(&mut self, is_last: bool, plain: &mut Vec<u8>) -> Result<(), DamagedFile> {
        let chunks = self.chunks.as_mut().ok_or(DamagedFile)?;
        let (nonce, aad) = chunks.advance(is_last).ok_or(DamagedFile)?;
        let opened =
            chunks.key.open_in_place(nonce, aad, &mut self.pending).map_err(|_| DamagedFile)?;
        plain.extend_from_slice(opened);
        self.pending.clear();
        Ok(())
    }
}

/// Returns the size of the sealed file of a plaintext of `plain` bytes.
pub const fn sealed_bytes(plain: u64) -> u64 {
    let chunks = if plain == 0 { 1 } else { plain.div_ceil(CHUNK_BYTES as u64) };
    HEADER_BYTES as u64 + plain + chunks * TAG_BYTES as u64
}
