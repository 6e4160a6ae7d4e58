//! FILE-03: thousands of damaged files on the whole way in, the same ones in each run. `make fuzz`
//! looks for further ones.

use std::collections::BTreeMap;

use gx_documents::testing::{small_files, take_in_and_open};
use gx_serve::Entropy;

/// Number of damaged files.
const FILES: u32 = 4_000;
/// Limit of the changes of one file.
const MAX_CHANGES: usize = 4;
/// Longest run of bytes that is copied, inserted or removed.
const MAX_RUN_BYTES: usize = 64;
/// Bytes that mean something in one of the formats, or to another program.
const WORDS: [&[u8]; 16] = [
    b"\xff\xd8",
    b"\xff\xd9",
    b"\xff\xda\x00\x08",
    b"\xff\xc0\x00\x11",
    b"IHDR",
    b"IDAT",
    b"IEND",
    b"acTL",
    b"RIFF",
    b"VP8X",
    b"ANIM",
    b"%PDF-1.7",
    b"%%EOF",
    b"PK\x05\x06",
    b"<script>",
    b"\xff\xff\xff\xff",
];

/// Random numbers that are the same in each run.
struct Draws(Entropy);

impl Draws {
    /// Returns a number below `limit`, which is not 0.
    fn below(&self, limit: usize) -> usize {
        let drawn = u64::from_be_bytes(self.0.bytes());
        usize::try_from(drawn % limit as u64).unwrap()
    }

    /// Returns a run of bytes within a file.
    fn run(&self, of: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(of.len() + 1);
        let length = self.below(MAX_RUN_BYTES).min(of.len() - start);
        start..start + length
    }

    /// Damages a file. `others` are files from which bytes may come.
    fn damage(&self, file: &mut Vec<u8>, others: &[Vec<u8>]) {
        for _ in 0..=self.below(MAX_CHANGES) {
            let at = self.below(file.len() + 1);
            match self.below(7) {
                0 if at < file.len() => file[at] ^= 1 << self.below(8),
                1 if at < file.len() => file[at] = self.0.bytes::<1>()[0],
                2 => file.truncate(at),
                3 => drop(file.drain(self.run(file))),
                4 => {
                    let copy = file[self.run(file)].to_vec();
                    file.splice(at..at, copy);
                }
                5 => {
                    let other = &others[self.below(others.len())];
                    let copy = other[self.run(other)].to_vec();
                    file.splice(at..at, copy);
                }
                _ => {
                    let word = WORDS[self.below(WORDS.len())];
                    let end = file.len().min(at + word.len());
                    file.splice(at..end, word.iter().copied());
                }
            }
        }
    }
}

/// FILE-03, CRY-01: whatever the damage, a file is refused, or it is taken in, sealed and opened
/// again as it came. Nothing panics, and the pieces in which it comes make no difference.
#[test]
fn file_03_damaged_files_are_refused_or_come_out_as_they_came() {
    let samples = small_files();
    let draws = Draws(Entropy::seeded(18));
    let mut outcomes: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..FILES {
        let mut file = samples[draws.below(samples.len())].clone();
        draws.damage(&mut file, &samples);
        let outcome = match take_in_and_open(&file) {
            Ok(_) => "taken in",
            Err(refusal) => refusal.code(),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    for reached in ["taken in", "file_malformed", "file_polyglot", "file_format_unknown"] {
        assert!(outcomes.contains_key(reached), "{reached} is not reached: {outcomes:?}");
    }
}
