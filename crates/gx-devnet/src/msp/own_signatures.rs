//! Remembers the signatures that this process has made, for `Identity::has_signed`. An endorsement
//! returns in its envelope moments later, and verifying it would take as long as all other checks
//! together.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use sha2::{Digest, Sha256};

/// Number of signatures in a generation; the last two generations are remembered.
const GENERATION: usize = 8_192;

/// The latest signatures of one key.
#[derive(Debug, Default)]
pub(super) struct OwnSignatures(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashSet<[u8; 32]>,
    old: HashSet<[u8; 32]>,
}

impl OwnSignatures {
    pub(super) fn remember(&self, message: &[u8], signature: &[u8]) {
        let digest = digest(message, signature);
        let mut known = self.generations();
        if known.young.len() >= GENERATION {
            known.old = std::mem::take(&mut known.young);
        }
        known.young.insert(digest);
    }

    /// Returns whether the signature is remembered. `false` means that it must be verified.
    pub(super) fn contain(&self, message: &[u8], signature: &[u8]) -> bool {
        // Identities that sign elsewhere skip the hashing.
        if self.generations().young.is_empty() {
            return false;
        }
        let digest = digest(message, signature);
        let known = self.generations();
        known.young.contains(&digest) || known.old.contains(&digest)
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().expect("no holder of this lock can panic")
    }
}

/// Returns the hash of message and signature. The message's length separates the two.
fn digest(message: &[u8], signature: &[u8]) -> [u8; 32] {
    let length = u64::try_from(message.len()).expect("a length fits 64 bits");
    let hash = Sha256::new().chain_update(length.to_be_bytes());
    hash.chain_update(message).chain_update(signature).finalize().into()
}
