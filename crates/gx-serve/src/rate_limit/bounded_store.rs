//! A table of fixed size for the counts of one limiter, so that clients with many addresses cannot
//! fill a process's memory.
//!
//! A key that finds no free place takes over the one that is free soonest, with its count. So a
//! full table may refuse too early, but no key is ever admitted more often than its quota says:
//! what a place has is never less than what each of its keys has used.
//!
//! The owner of a network has as many clients as it has addresses. So keys of one network get no
//! more than a part of each set, and beyond that share their places among themselves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::nanos::Nanos;
use governor::state::StateStore;

use super::verdict::LimitKey;

/// Number of sets. A key belongs to one of them.
const SETS: usize = 8 * 1_024;
/// Places of a set.
const PLACES: usize = 8;
/// Places of a set that the keys of one network get.
const PLACES_OF_A_NETWORK: usize = 2;

/// A key, the time in nanoseconds at which its whole quota is free again, and the network that it
/// came from. Arrays of integers are allocated as pages of zeros, which take memory only when they
/// are written.
type Place = (u128, u64, u64);

/// The table: 65 536 places of 32 bytes. Clones share it.
#[derive(Clone)]
pub(super) struct BoundedStore(Arc<Mutex<Vec<[Place; PLACES]>>>);

impl Default for BoundedStore {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(vec![[(0, 0, 0); PLACES]; SETS])))
    }
}

impl BoundedStore {
    /// Returns the time at which the whole quota of a key is free again; zero if it never was used.
    pub(super) fn free_at(&self, key: LimitKey) -> Nanos {
        let sets = self.sets();
        let set = &sets[key.set(SETS)];
        Nanos::from(set[place_of(set, key)].1)
    }

    /// Sets that time, unless a later one is known.
    pub(super) fn raise(&self, key: LimitKey, free_at: Nanos) {
        let mut sets = self.sets();
        let set = &mut sets[key.set(SETS)];
        let at = place_of(set, key);
        set[at] = (key.as_number(), set[at].1.max(free_at.into()), key.network());
    }

    fn sets(&self) -> MutexGuard<'_, Vec<[Place; PLACES]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the place of a key, or the one that it takes over.
fn place_of(set: &[Place; PLACES], key: LimitKey) -> usize {
    if let Some(own) = set.iter().position(|(known, _, _)| *known == key.as_number()) {
        return own;
    }
    let is_of_network = |at: &usize| set[*at].1 > 0 && set[*at].2 == key.network();
    let has_its_part = (0..PLACES).filter(is_of_network).count() >= PLACES_OF_A_NETWORK;
    let candidates = (0..PLACES).filter(|at| !has_its_part || is_of_network(at));
    candidates.min_by_key(|at| set[*at].1).unwrap_or(0)
}

impl StateStore for BoundedStore {
    type Key = LimitKey;

    fn measure_and_replace<T, F, E>(&self, key: &LimitKey, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut sets = self.sets();
        let set = &mut sets[key.set(SETS)];
        let at = place_of(set, *key);
        let free_at = set[at].1;
        let (outcome, next) = measure((free_at > 0).then(|| Nanos::from(free_at)))?;
        set[at] = (key.as_number(), next.into(), key.network());
        Ok(outcome)
    }
}
