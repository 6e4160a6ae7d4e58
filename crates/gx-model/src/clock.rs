//! The one way to ask what time it is.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use time::OffsetDateTime;

/// Where a component reads the time: the machine's clock, or one that a test moves.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Ahead(Arc<Mutex<Duration>>),
    Manual(Arc<Mutex<OffsetDateTime>>),
}

impl Clock {
    /// The machine's clock, in UTC.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// The machine's clock, until [`Clock::advance`] puts it ahead.
    pub fn adjustable() -> Self {
        Self(Source::Ahead(Arc::default()))
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn manual(start: OffsetDateTime) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(start))))
    }

    /// The present moment in UTC, cut to milliseconds, the precision in which times are stored.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn now(&self) -> OffsetDateTime {
        let now = match &self.0 {
            Source::System => OffsetDateTime::now_utc(),
            Source::Ahead(by) => {
                OffsetDateTime::now_utc() + *by.lock().expect("no holder of this lock can panic")
            }
            Source::Manual(at) => *at.lock().expect("no holder of this lock can panic"),
        };
        now.replace_millisecond(now.millisecond()).expect("a millisecond read from a time is valid")
    }

    /// Puts a manual clock to a moment, which may lie in the past. Clones move with it. Every
    /// other clock stays as it is.
    pub fn set(&self, to: OffsetDateTime) {
        if let Source::Manual(at) = &self.0 {
            *at.lock().expect("no holder of this lock can panic") = to;
        }
    }

    /// Moves a manual or adjustable clock forward. Clones move with it. The machine's clock is
    /// not moved.
    pub fn advance(&self, by: Duration) {
        match &self.0 {
            Source::System => {}
            Source::Ahead(ahead) => *ahead.lock().expect("no holder of this lock can panic") += by,
            Source::Manual(at) => *at.lock().expect("no holder of this lock can panic") += by,
        }
    }
}
