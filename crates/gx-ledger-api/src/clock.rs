//! The clock: the only source of the current time. Each process creates one and passes it to all
//! its parts; tests and simulations pass one that they can set.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use time::OffsetDateTime;

/// A source of the current time: the machine's clock, or a clock that a test sets.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Ahead(Arc<Mutex<Duration>>),
    Manual(Arc<Mutex<OffsetDateTime>>),
}

impl Clock {
    /// Returns the machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Returns the machine's clock with an offset that [`Clock::advance`] increases.
    pub fn adjustable() -> Self {
        Self(Source::Ahead(Arc::default()))
    }

    /// Returns a clock that changes only by [`Clock::set`] and [`Clock::advance`].
    pub fn manual(start: OffsetDateTime) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(start))))
    }

    /// Returns the current time in UTC, cut to milliseconds, the precision of stored times.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
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

    /// Sets a manual clock and its clones to a time, which may be in the past. Has no effect on
    /// other clocks.
    pub fn set(&self, to: OffsetDateTime) {
        if let Source::Manual(at) = &self.0 {
            *at.lock().expect("no holder of this lock can panic") = to;
        }
    }

    /// Moves a manual or adjustable clock and its clones forward. Has no effect on the machine's
    /// clock.
    pub fn advance(&self, by: Duration) {
        match &self.0 {
            Source::System => {}
            Source::Ahead(ahead) => *ahead.lock().expect("no holder of this lock can panic") += by,
            Source::Manual(at) => *at.lock().expect("no holder of this lock can panic") += by,
        }
    }
}
