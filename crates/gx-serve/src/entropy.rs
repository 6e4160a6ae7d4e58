//! The random source of a process. `gx` creates one for each process and passes it in, so that
//! tests can seed it.

use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use time::OffsetDateTime;
use uuid::Uuid;

/// A cryptographically secure generator. Clones share it.
#[derive(Clone)]
pub struct Entropy(Arc<Mutex<StdRng>>);

impl Entropy {
    /// Creates a generator that the operating system seeds.
    pub fn system() -> Self {
        let mut seed = <StdRng as SeedableRng>::Seed::default();
        rand::rng().fill_bytes(&mut seed);
        Self(Arc::new(Mutex::new(StdRng::from_seed(seed))))
    }

    /// Creates a generator with a fixed sequence, for tests.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// Runs `draw` with the generator.
    pub fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().expect("no holder of this lock can panic"))
    }

    /// Returns `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.with(|rng| rng.fill_bytes(&mut bytes));
        bytes
    }

    /// Returns a new UUIDv7. Ids sort by their time.
    pub fn id(&self, now: OffsetDateTime) -> Uuid {
        let millis = u64::try_from(now.unix_timestamp_nanos() / 1_000_000)
            .expect("the clock is between 1970 and the end of time's calendar");
        uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }
}
