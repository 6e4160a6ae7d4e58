//! Shows the progress of work that takes minutes. Used by the command, the rows and the maker of
//! chains.

use std::fmt;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Interval between lines if standard error is not a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(15);
/// Interval between changes of the line in a terminal.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

/// Shows a line on standard error. If standard error is closed, nothing is shown.
pub(crate) fn show_line(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A counter whose progress is shown on standard error: in a terminal as one line that changes, and
/// elsewhere as a line at an interval. If standard error is closed, nothing is shown.
pub(crate) struct ProgressCounter {
    what: &'static str,
    end: u64,
    start: Instant,
    shown: Instant,
    in_terminal: bool,
    has_line: bool,
}

impl ProgressCounter {
    pub(crate) fn new(what: &'static str, end: u64) -> Self {
        let (start, in_terminal) = (Instant::now(), std::io::stderr().is_terminal());
        Self { what, end, start, shown: start, in_terminal, has_line: false }
    }

    /// Shows the current count, if the last change was long enough ago.
    pub(crate) fn show(&mut self, count: u64) {
        let interval = if self.in_terminal { REDRAW_INTERVAL } else { LINE_INTERVAL };
        if self.shown.elapsed() < interval {
            return;
        }
        self.shown = Instant::now();
        let (what, end, seconds) = (self.what, self.end, self.start.elapsed().as_secs());
        let mut out = std::io::stderr();
        if self.in_terminal {
            let _ = write!(out, "\r  {count} of {end} {what}, {seconds} s\u{1b}[K");
            self.has_line = true;
        } else {
            let _ = writeln!(out, "  {count} of {end} {what}, {seconds} s");
        }
    }
}

/// Erases an unfinished line.
impl Drop for ProgressCounter {
    fn drop(&mut self) {
        if self.has_line {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}
