//! Shows the progress of work that takes minutes.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Interval between lines if standard error is not a terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(15);
/// Interval between changes of the line in a terminal.
const BETWEEN_CHANGES: Duration = Duration::from_millis(200);

/// A counter whose progress is shown on standard error: in a terminal as one line that changes, and
/// elsewhere as a line at an interval.
pub(crate) struct Progress {
    what: &'static str,
    end: u64,
    start: Instant,
    shown: Instant,
    in_terminal: bool,
    has_line: bool,
}

impl Progress {
    pub(crate) fn new(what: &'static str, end: u64) -> Self {
        let (start, in_terminal) = (Instant::now(), std::io::stderr().is_terminal());
        Self { what, end, start, shown: start, in_terminal, has_line: false }
    }

    /// Shows the current count, if the last change was long enough ago.
    pub(crate) fn at(&mut self, count: u64) {
        let pause = if self.in_terminal { BETWEEN_CHANGES } else { BETWEEN_LINES };
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let (what, end, seconds) = (self.what, self.end, self.start.elapsed().as_secs());
        if self.in_terminal {
            eprint!("\r  {count} of {end} {what}, {seconds} s\u{1b}[K");
            std::io::stderr().flush().ok();
            self.has_line = true;
        } else {
            eprintln!("  {count} of {end} {what}, {seconds} s");
        }
    }
}

/// Erases an unfinished line.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.has_line {
            eprint!("\r\u{1b}[K");
        }
    }
}
