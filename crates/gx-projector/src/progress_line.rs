//! Shows the progress of a catch-up in a terminal. Elsewhere the metrics show it. `run` calls it
//! after each step that did not fail.

use std::io::{IsTerminal as _, Write as _};

use crate::projector::Progress;

/// Blocks behind the ledger from which the progress line is shown.
const BLOCKS_BEHIND: u64 = 100;

/// A line on standard error that is overwritten with each update. Without a terminal nothing is
/// shown.
pub(crate) struct ProgressLine {
    in_terminal: bool,
    /// Whether an unfinished line is shown.
    has_line: bool,
}

impl ProgressLine {
    pub(crate) fn new() -> Self {
        Self { in_terminal: std::io::stderr().is_terminal(), has_line: false }
    }

    /// Updates the line after a step that applied blocks. `height` is the height of the ledger; if
    /// it is not known, the line stays.
    pub(crate) fn show(&mut self, progress: &Progress, height: Option<u64>) {
        let (true, Progress::Applied(applied), Some(height)) = (self.in_terminal, progress, height)
        else {
            return;
        };
        let applied = applied.number.saturating_add(1);
        let catches_up = height.saturating_sub(applied) >= BLOCKS_BEHIND;
        if !catches_up && !self.has_line {
            return;
        }
        let line = line(applied, height);
        let end = if catches_up { "" } else { "\n" };
        self.has_line = catches_up;
        let mut stderr = std::io::stderr().lock();
        // A failed write loses nothing: the metrics have the same figures.
        let _ = write!(stderr, "\r{line}\u{1b}[K{end}").and_then(|()| stderr.flush());
    }
}

/// Returns a bar of twenty characters, and the numbers of blocks.
fn line(applied: u64, height: u64) -> String {
    let full = applied.min(height).saturating_mul(20) / height.max(1);
    let bar: String = (0..20).map(|part| if part < full { '#' } else { '.' }).collect();
    format!("catching up [{bar}] block {applied} of {height}")
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn the_bar_fills_with_the_blocks() {
        assert_eq!(line(0, 0), "catching up [....................] block 0 of 0");
        assert_eq!(line(500, 1_000), "catching up [##########..........] block 500 of 1000");
        assert_eq!(line(9, 9), "catching up [####################] block 9 of 9");
    }
}
