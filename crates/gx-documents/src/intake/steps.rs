//! Collects the small parts of a format from pieces of any size: headers are gathered, and content
//! is passed over without being kept.

/// Size of the largest header that is gathered, in bytes.
const MAX_HEADER_BYTES: usize = 32;

/// Gathers the next header, or passes over content.
#[derive(Debug, Default)]
pub(super) struct Gatherer {
    header: [u8; MAX_HEADER_BYTES],
    length: usize,
}

impl Gatherer {
    /// Takes bytes from `input` until `wanted` are gathered and returns them, or `None` if more are
    /// needed.
    pub(super) fn gather(
        &mut self,
        wanted: usize,
        input: &mut &[u8],
    ) -> Option<[u8; MAX_HEADER_BYTES]> {
        debug_assert!(wanted <= MAX_HEADER_BYTES, "{wanted} bytes are no header");
        let taken = input.len().min(wanted - self.length);
        let (piece, rest) = input.split_at(taken);
        self.header[self.length..self.length + taken].copy_from_slice(piece);
        self.length += taken;
        *input = rest;
        if self.length < wanted {
            return None;
        }
        self.length = 0;
        Some(std::mem::take(&mut self.header))
    }
}

/// Passes over `left` bytes of `input`, and returns whether all are passed.
pub(super) fn skip(left: &mut u64, input: &mut &[u8]) -> bool {
    let passed = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    *input = &input[passed..];
    *left -= passed as u64;
    *left == 0
}
