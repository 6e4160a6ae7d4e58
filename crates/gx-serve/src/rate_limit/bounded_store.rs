//! A table of fixed size for the counts of one limiter, so that clients with many addresses cannot
//! fill a process's memory.
//!
//! A key that finds no free place takes over the one that is free soonest, with its count. So a
//! full table may refuse too early, but no key is ever admitted more often than its quota says:
//! what a place has is never less than what each of its keys has used.

use std::sync::{Mutex, PoisonError};

use governor::nanos::Nanos;
use governor::state::StateStore;

use super::verdict::LimitKey;

/// Number of sets. A key belongs to one of them.
const SETS: usize = 8 * 1_024;
/// Places of a set.
const PLACES: usize = 8;

/// A key, and the time in nanoseconds at which its whole quota is free again. Arrays of integers
/// are allocated as pages of zeros, which take memory only when they are written.
type Place = (u128, u64);

/// The table: 65 536 places of 32 bytes.
pub(super) struct BoundedStore(Mutex<Vec<[Place; PLACES]>>);

impl Default for BoundedStore {
    fn default() -> Self {
        Self(Mutex::new(vec![[(0, 0); PLACES]; SETS]))
    }
}

impl StateStore for BoundedStore {
    type Key = LimitKey;

    fn measure_and_replace<T, F, E>(&self, key: &LimitKey, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let set = &mut sets[key.set(SETS)];
        let own = set.iter().position(|(known, _)| *known == key.as_number());
        let soonest = || (0..PLACES).min_by_key(|at| set[*at].1).unwrap_or(0);
        let at = own.unwrap_or_else(soonest);
        let free_at = set[at].1;
        let (outcome, next) = measure((free_at > 0).then(|| Nanos::from(free_at)))?;
        set[at] = (key.as_number(), next.into());
        Ok(outcome)
    }
}
