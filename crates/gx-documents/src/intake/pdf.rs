//! The outside of a PDF: it begins at the first byte and ends with its last line. What is inside is
//! read by the child process.

use super::structure::Wrong;

/// Size of the begin of a file that has the header, in bytes.
const HEAD_BYTES: usize = 8;
/// Size of the end of a file in which its last line must be, in bytes.
const TAIL_BYTES: usize = 1024;
const LAST_LINE: &[u8] = b"%%EOF";

/// Reads the begin and the end of a PDF from its pieces.
#[derive(Debug)]
pub(super) struct Pdf {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Pdf {
    pub(super) fn new() -> Self {
        Self { head: Vec::new(), tail: Vec::new() }
    }

    pub(super) fn push(&mut self, input: &[u8]) {
        let wanted = HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&input[..input.len().min(wanted)]);
        let kept = input.len().min(TAIL_BYTES);
        let room = TAIL_BYTES - kept;
        let surplus = self.tail.len().saturating_sub(room);
        self.tail.drain(..surplus);
        self.tail.extend_from_slice(&input[input.len() - kept..]);
    }

    pub(super) fn finish(self) -> Result<(), Wrong> {
        if !self.head.starts_with(b"%PDF-1.") && !self.head.starts_with(b"%PDF-2.") {
            return Err(Wrong::Malformed("it does not begin with its version"));
        }
        let last = self.tail.windows(LAST_LINE.len()).rposition(|found| found == LAST_LINE);
        let after = last.map(|at| &self.tail[at + LAST_LINE.len()..]);
        match after {
            None => Err(Wrong::Malformed("it ends early")),
            Some(rest)
                if rest.iter().all(|byte| matches!(byte, b'\r' | b'\n' | b' ' | b'\t' | 0)) =>
            {
                Ok(())
            }
            Some(_) => Err(Wrong::Trailing),
        }
    }
}
