//! CRY-01: what a sealed file shows, and that no other file than the sealed one is opened.

use proptest::prelude::*;

use super::*;

const ID: &str = "0190a8e0-0000-7000-8000-000000000001";

/// Random numbers for mutations.
struct Draws(Entropy);

impl Draws {
    /// Returns a number below `limit`.
    fn below(&self, limit: usize) -> usize {
        let drawn = u64::from_be_bytes(self.0.bytes());
        usize::try_from(drawn % limit as u64).unwrap()
    }
}

fn key(seed: u64) -> FileKey {
    FileKey::new(&Entropy::seeded(seed))
}

/// Returns bytes without regularity.
fn sample(length: usize) -> Vec<u8> {
    let entropy = Entropy::seeded(42);
    let mut bytes = Vec::new();
    while bytes.len() < length {
        bytes.extend_from_slice(&entropy.bytes::<1024>());
    }
    bytes.truncate(length);
    bytes
}

fn seal_in_pieces(plain: &[u8], piece: usize, id: &str, key: &FileKey, seed: u64) -> Vec<u8> {
    let mut encryptor = Encryptor::new(key, id, &Entropy::seeded(seed));
    let mut sealed = Vec::new();
    plain.chunks(piece).for_each(|piece| encryptor.push(piece, &mut sealed));
    encryptor.finish(&mut sealed);
    sealed
}

fn seal(plain: &[u8]) -> Vec<u8> {
    seal_in_pieces(plain, 10_000, ID, &key(1), 2)
}

/// Opens a file in pieces. Returns what was released, and whether the file was authentic.
fn open_in_pieces(sealed: &[u8], piece: usize, id: &str) -> (Vec<u8>, Result<(), DamagedFile>) {
    let mut decryptor = Decryptor::new(key(1), id);
    let mut plain = Vec::new();
    for piece in sealed.chunks(piece) {
        if let Err(damaged) = decryptor.push(piece, &mut plain) {
            return (plain, Err(damaged));
        }
    }
    let end = decryptor.finish(&mut plain);
    (plain, end)
}

fn open(sealed: &[u8]) -> (Vec<u8>, Result<(), DamagedFile>) {
    open_in_pieces(sealed, 9_999, ID)
}

/// CRY-01: files of every length around the borders of chunks come back, whatever the pieces, and
/// their size is known before.
#[test]
fn cry_01_a_sealed_file_of_any_length_is_opened_again() {
    let lengths = [0, 1, 15, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES];
    for length in lengths {
        let plain = sample(length);
        for piece in [1_000, CHUNK_BYTES, 1_000_000] {
            let sealed = seal_in_pieces(&plain, piece, ID, &key(1), 2);
            assert_eq!(sealed.len() as u64, sealed_bytes(length as u64));
            let (opened, end) = open_in_pieces(&sealed, piece + 1, ID);
            assert_eq!(end, Ok(()), "{length} bytes");
            assert!(opened == plain, "{length} bytes in pieces of {piece}");
        }
    }
}

/// CRY-01: no run of 16 bytes of the file is in the sealed file.
#[test]
fn cry_01_a_sealed_file_has_no_run_of_the_plaintext() {
    let plain = b"P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<".repeat(5_000);
    let sealed = seal(&plain);
    let runs: std::collections::HashSet<&[u8]> = plain.windows(16).collect();
    assert!(!sealed.windows(16).any(|run| runs.contains(run)));
    assert_ne!(sealed, seal_in_pieces(&plain, 10_000, ID, &key(1), 3), "each file has its nonces");
}

/// CRY-01: 1 000 random mutations are errors: flipped bits, cuts, additions, chunks in another
/// order, left out or doubled. What was released before is the file's own beginning, in whole
/// chunks.
#[test]
fn cry_01_a_thousand_random_mutations_are_errors() {
    let plain = sample(4 * CHUNK_BYTES + 1_234);
    let sealed = seal(&plain);
    let draws = Draws(Entropy::seeded(7));
    let chunk_at = |index: usize| HEADER_BYTES + index * SEALED_CHUNK_BYTES;
    for round in 0..1_000 {
        let mut changed = sealed.clone();
        match round % 6 {
            0 => changed[draws.below(sealed.len())] ^= 1 << draws.below(8),
            1 => changed.truncate(draws.below(sealed.len())),
            2 => changed.extend_from_slice(&sample(1 + draws.below(2 * SEALED_CHUNK_BYTES))),
            3 => {
                let one = draws.below(4);
                let two = (one + 1 + draws.below(3)) % 4;
                let (low, high) = (chunk_at(one.min(two)), chunk_at(one.max(two)));
                let (front, back) = changed.split_at_mut(high);
                front[low..low + SEALED_CHUNK_BYTES]
                    .swap_with_slice(&mut back[..SEALED_CHUNK_BYTES]);
            }
            4 => {
                let at = chunk_at(draws.below(4));
                changed.drain(at..at + SEALED_CHUNK_BYTES);
            }
            _ => {
                let at = chunk_at(draws.below(4));
                let doubled = sealed[at..at + SEALED_CHUNK_BYTES].to_vec();
                changed.splice(at..at, doubled);
            }
        }
        let (released, end) = open(&changed);
        assert_eq!(end, Err(DamagedFile), "round {round}");
        assert!(plain.starts_with(&released), "round {round}");
        assert_eq!(released.len() % CHUNK_BYTES, 0, "round {round}");
    }
}

/// CRY-01, last-chunk rule: a file that is cut at the border of a chunk, and one whose last chunk
/// is followed by another last chunk, are errors.
#[test]
fn cry_01_a_file_cut_at_a_chunk_and_one_that_goes_on_are_errors() {
    let plain = sample(3 * CHUNK_BYTES);
    let sealed = seal(&plain);
    for chunks in 0..3 {
        let (released, end) = open(&sealed[..HEADER_BYTES + chunks * SEALED_CHUNK_BYTES]);
        assert_eq!(end, Err(DamagedFile), "{chunks} chunks");
        assert_eq!(released.len(), chunks.saturating_sub(1) * CHUNK_BYTES);
    }
    let short = seal(&plain[..CHUNK_BYTES]);
    let longer = [&short[..], &sealed[HEADER_BYTES + SEALED_CHUNK_BYTES..]].concat();
    assert_eq!(open(&longer).1, Err(DamagedFile));
    let twice = [&short[..], &short[HEADER_BYTES..]].concat();
    assert_eq!(open(&twice), (Vec::new(), Err(DamagedFile)));
}

/// CRY-01: a file is opened only for its own document and with its own key, and chunks of another
/// document under the same key are not accepted.
#[test]
fn cry_01_a_file_or_chunk_of_another_document_is_an_error() {
    let plain = sample(2 * CHUNK_BYTES);
    let sealed = seal(&plain);
    assert_eq!(open_in_pieces(&sealed, 1_000, "another").1, Err(DamagedFile));
    let other_key = seal_in_pieces(&plain, 1_000, ID, &key(9), 2);
    assert_eq!(open(&other_key), (Vec::new(), Err(DamagedFile)));
    let other_document = seal_in_pieces(&plain, 1_000, "another", &key(1), 2);
    let middle = HEADER_BYTES + SEALED_CHUNK_BYTES;
    let mixed = [&sealed[..middle], &other_document[middle..]].concat();
    assert_eq!(open(&mixed).1, Err(DamagedFile));
}

#[test]
fn a_file_of_another_format_is_an_error() {
    for text in [&b""[..], b"GXD", b"GXD\x02", b"%PDF-1.7 a file that was never sealed"] {
        assert_eq!(open(text), (Vec::new(), Err(DamagedFile)));
    }
    let mut next_format = seal(b"content");
    next_format[3] = 2;
    assert_eq!(open(&next_format).1, Err(DamagedFile));
}

proptest! {
    /// Whatever the pieces are, the sealed file is the same and is opened.
    #[test]
    fn pieces_make_no_difference(length in 0..200_000_usize, piece in 1..200_000_usize) {
        let plain = sample(length);
        let sealed = seal_in_pieces(&plain, piece, ID, &key(1), 2);
        prop_assert!(sealed == seal(&plain));
        let (opened, end) = open_in_pieces(&sealed, piece, ID);
        prop_assert_eq!(end, Ok(()));
        prop_assert!(opened == plain);
    }
}
