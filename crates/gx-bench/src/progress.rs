//! How far something is that takes minutes.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often a line is written where nobody overwrites it.
const BETWEEN_LINES: Duration = Duration::from_secs(15);
/// How often the line in a terminal changes.
const BETWEEN_CHANGES: Duration = Duration::from_millis(200);

/// A count on its way to its end, shown on standard error: in a terminal as one line that
/// changes, elsewhere as a line now and then.
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

    /// So far it is.
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

/// Leaves no half line behind.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.has_line {
            eprint!("\r\u{1b}[K");
        }
    }
}
