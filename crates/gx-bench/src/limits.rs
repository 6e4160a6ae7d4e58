//! Measures the limits of this machine, in the same run as the rows: each repetition of a devnet
//! row does so right before it measures.

use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
};

use crate::error::BenchError;

/// Approximate size of a proposal or of its answer in bytes.
const SIGNED_BYTES: usize = 2_048;
/// Number of bytes that are written before each wait for the disk.
const SYNCED_BYTES: usize = 65_536;

/// Number of signing threads for each core. Servers have several, too; with only one, a busy
/// machine would give the limit a smaller share than the row.
const THREADS_PER_CORE: usize = 4;

/// The number of signatures of one operation, on both sides together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signatures {
    pub(crate) made: u64,
    pub(crate) checked: u64,
}

/// Returns the rate of operations that consist only of their signatures, on all cores.
pub(crate) fn signatures(per_operation: Signatures, during: Duration) -> Result<f64, BenchError> {
    let threads = thread::available_parallelism()?.get() * THREADS_PER_CORE;
    let workers: Vec<_> =
        (0..threads).map(|_| thread::spawn(move || sign_for(per_operation, during))).collect();
    let mut rate = 0.0;
    for worker in workers {
        rate += worker.join().map_err(|_| BenchError::Keys("a worker panicked".to_owned()))??;
    }
    Ok(rate)
}

/// Returns the rate of one thread.
fn sign_for(per_operation: Signatures, during: Duration) -> Result<f64, BenchError> {
    let broken = |what: &str| BenchError::Keys(format!("P-256 {what} failed"));
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
        .map_err(|_| broken("key generation"))?;
    let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key())
        .map_err(|_| broken("key parsing"))?;
    let (random, message) = (SystemRandom::new(), [7; SIGNED_BYTES]);
    let sign = || pair.sign(&random, &message).map_err(|_| broken("signing"));
    let signature = sign()?;
    let (start, mut operations) = (Instant::now(), 0_u32);
    while start.elapsed() < during {
        for _ in 0..per_operation.made {
            sign()?;
        }
        for _ in 0..per_operation.checked {
            public.verify_sig(&message, signature.as_ref()).map_err(|_| broken("verification"))?;
        }
        operations += 1;
    }
    Ok(f64::from(operations) / start.elapsed().as_secs_f64())
}

/// Returns the rate at which a file in this folder can be written and synced.
pub(crate) fn fsyncs(folder: &Path, during: Duration) -> Result<f64, BenchError> {
    let path = folder.join("fsync");
    let mut file = std::fs::File::create(&path)?;
    let (start, mut count, bytes) = (Instant::now(), 0_u32, [7; SYNCED_BYTES]);
    while start.elapsed() < during {
        file.write_all(&bytes)?;
        file.sync_data()?;
        count += 1;
    }
    let rate = f64::from(count) / start.elapsed().as_secs_f64();
    std::fs::remove_file(&path)?;
    Ok(rate)
}

/// Returns the rate of operations that need both parts, from the rates of the parts. They share the
/// cores, so the times add up.
pub(crate) fn both(one: f64, other: f64) -> f64 {
    1.0 / (1.0 / one + 1.0 / other)
}

#[cfg(test)]
mod tests {
    use super::both;

    #[test]
    fn times_on_the_same_cores_add() {
        assert!((both(3_000.0, 6_000.0) - 2_000.0).abs() < 1e-6);
    }
}
