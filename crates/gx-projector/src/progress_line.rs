//! How far a catch-up is, for whoever sits at the terminal. Elsewhere the metrics say it.

use std::io::{IsTerminal as _, Write as _};

use crate::projector::Progress;

/// Who is fewer blocks behind is not catching up.
const BLOCKS_BEHIND: u64 = 100;

/// One line on standard error that is written over and over; nothing outside a terminal.
pub(crate) struct ProgressLine {
    in_terminal: bool,
    has_line: bool,
}

impl ProgressLine {
    pub(crate) fn new() -> Self {
        Self { in_terminal: std::io::stderr().is_terminal(), has_line: false }
    }

    /// After each step, with the ledger's height.
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
        // Who does not look at a terminal misses nothing that the metrics do not say.
        let _ = write!(stderr, "\r{line}\u{1b}[K{end}").and_then(|()| stderr.flush());
    }
}

/// A bar of twenty parts, and the blocks in numbers.
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
