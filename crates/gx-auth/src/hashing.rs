//! Password hashes with argon2id in a bounded pool, so that a flood of logins fills the queue and
//! not the machine. Called at registration and sign-in.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use gx_serve::{Entropy, Problem};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Limit of the wait for a free slot; after it the request fails with 503.
const QUEUE_TIME_LIMIT: Duration = Duration::from_secs(5);
/// Seconds after which a rejected client may try again.
const RETRY_AFTER_S: u32 = 2;
/// Largest memory that a stored hash may demand, in KiB.
const MAX_MEMORY_KIB: u32 = 64 * 1024;
/// Limit of passes that a stored hash may demand.
const MAX_PASSES: u32 = 10;
/// Limit of lanes that a stored hash may demand.
const MAX_LANES: u32 = 4;
/// Limit of a password; a longer one matches no hash.
const MAX_PASSWORD_BYTES: usize = 256 * 4;

/// Cost of a password hash, and the size of the pool.
#[derive(Clone, Debug, clap::Args)]
pub struct HashingSettings {
    /// Memory of one password hash, in KiB.
    #[arg(long, env = "GX_PASSWORD_MEMORY_KIB", default_value_t = 12 * 1024,
          value_parser = clap::value_parser!(u32).range(7 * 1024..=64 * 1024))]
    pub password_memory_kib: u32,
    /// Passes over that memory.
    #[arg(long, env = "GX_PASSWORD_PASSES", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=10))]
    pub password_passes: u32,
    /// Password hashes computed at a time; by default one for each core.
    #[arg(long, env = "GX_PASSWORD_HASH_CONCURRENCY",
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub password_hash_concurrency: Option<u16>,
    /// Requests that may wait for a password hash; further ones fail with 503.
    #[arg(long, env = "GX_PASSWORD_HASH_QUEUE", default_value_t = 64,
          value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub password_hash_queue: u16,
}

impl Default for HashingSettings {
    fn default() -> Self {
        Self {
            password_memory_kib: 12 * 1024,
            password_passes: 3,
            password_hash_concurrency: None,
            password_hash_queue: 64,
        }
    }
}

/// Invalid parameters of password hashes.
#[derive(Debug, thiserror::Error)]
#[error("GX_PASSWORD_MEMORY_KIB and GX_PASSWORD_PASSES cannot be used together: {0}")]
pub struct InvalidHashParameters(String);

/// Pool that computes password hashes. Clones share it.
#[derive(Clone)]
pub struct Hasher(Arc<Pool>);

struct Pool {
    params: Params,
    /// Hash that is verified if an account does not exist, so that both cases take the same time.
    dummy: String,
    queue: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    entropy: Entropy,
}

/// Result of comparing a password with a stored hash.
#[derive(Debug, PartialEq, Eq)]
pub struct PasswordComparison {
    /// Whether they match.
    pub matches: bool,
    /// The hash to store instead, if the stored one has other parameters.
    pub upgrade: Option<String>,
}

impl Hasher {
    /// Creates a pool.
    ///
    /// # Errors
    /// [`InvalidHashParameters`] if the parameters contradict each other.
    pub fn new(
        settings: &HashingSettings,
        entropy: Entropy,
    ) -> Result<Self, InvalidHashParameters> {
        let HashingSettings { password_memory_kib, password_passes, .. } = *settings;
        let params = Params::new(password_memory_kib, password_passes, 1, None)
            .map_err(|why| InvalidHashParameters(why.to_string()))?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let slots = settings.password_hash_concurrency.map_or(cores, usize::from);
        let queue = slots + usize::from(settings.password_hash_queue);
        let nobody = hash(&params, &entropy.bytes::<32>(), &entropy.bytes());
        Ok(Self(Arc::new(Pool {
            dummy: nobody.map_err(|why| InvalidHashParameters(why.to_string()))?,
            params,
            queue: Arc::new(Semaphore::new(queue)),
            slots: Arc::new(Semaphore::new(slots)),
            entropy,
        })))
    }

    /// Hashes a password without changing it.
    ///
    /// # Errors
    /// The problem with status 503 if the queue is full.
    pub async fn hash(&self, password: &SecretString) -> Result<String, Problem> {
        let (pool, password) = (Arc::clone(&self.0), password.clone());
        self.run(move || {
            hash(&pool.params, password.expose_secret().as_bytes(), &pool.entropy.bytes())
        })
        .await?
        .map_err(|why| Problem::internal(&why))
    }

    /// Compares a password with a stored hash. Without a hash, it takes the same time and does not
    /// match.
    ///
    /// # Errors
    /// The problem with status 503 if the queue is full, and 500 if the stored hash cannot be read.
    pub async fn verify(
        &self,
        password: &SecretString,
        stored: Option<String>,
    ) -> Result<PasswordComparison, Problem> {
        let (pool, password) = (Arc::clone(&self.0), password.clone());
        self.run(move || verify(&pool, password.expose_secret().as_bytes(), stored.as_deref()))
            .await?
            .map_err(|why| Problem::internal(&why))
    }

    /// Runs other work of similar cost in the pool.
    ///
    /// # Errors
    /// The problem with status 503 if the queue is full.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let slot = self.slot().await?;
        // The work keeps the slot, so that it counts until it ends even if its client has gone.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(slot);
            result
        });
        done.await.map_err(|panic| Problem::internal(&panic))
    }

    /// Waits for a free slot. Fails with 503 if the queue is full or the wait takes too long.
    async fn slot(&self) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), Problem> {
        let busy = || {
            metrics::counter!("gx_password_hash_refused_total").increment(1);
            Problem::unavailable(
                "Too many people are signing in. Try again in a moment.",
                RETRY_AFTER_S,
            )
        };
        let queued = Arc::clone(&self.0.queue).try_acquire_owned().map_err(|_| busy())?;
        let slot = Arc::clone(&self.0.slots).acquire_owned();
        match tokio::time::timeout(QUEUE_TIME_LIMIT, slot).await {
            Ok(Ok(slot)) => Ok((queued, slot)),
            _ => Err(busy()),
        }
    }
}

fn hash(
    params: &Params,
    password: &[u8],
    salt: &[u8; 16],
) -> Result<String, argon2::password_hash::Error> {
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    Ok(argon.hash_password_with_salt(password, salt)?.to_string())
}

fn verify(
    pool: &Pool,
    password: &[u8],
    stored: Option<&str>,
) -> Result<PasswordComparison, argon2::password_hash::Error> {
    let parsed = PasswordHash::new(stored.unwrap_or(&pool.dummy))?;
    let params = Params::try_from(&parsed)?;
    let bounded = params.m_cost() <= MAX_MEMORY_KIB
        && params.t_cost() <= MAX_PASSES
        && params.p_cost() <= MAX_LANES;
    if !bounded || password.len() > MAX_PASSWORD_BYTES {
        return Ok(PasswordComparison { matches: false, upgrade: None });
    }
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, pool.params.clone());
    let matches = argon.verify_password(password, &parsed).is_ok() && stored.is_some();
    let outdated = parsed.algorithm.as_str() != Algorithm::Argon2id.as_str()
        || params.m_cost() != pool.params.m_cost()
        || params.t_cost() != pool.params.t_cost()
        || params.p_cost() != pool.params.p_cost();
    let upgrade = if matches && outdated {
        Some(hash(&pool.params, password, &pool.entropy.bytes())?)
    } else {
        None
    };
    Ok(PasswordComparison { matches, upgrade })
}
