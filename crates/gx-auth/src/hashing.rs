//! Password hashes with argon2id in a bounded pool, so that a flood of logins fills the queue and
//! not the machine. Called at registration and sign-in.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
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
#[error(
    "GX_PASSWORD_MEMORY_KIB and GX_PASSWORD_PASSES cannot be used together: {0}; change one of them"
)]
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
    /// Memory of hashes that have ended, at most one for each slot. The next hash uses it again: a
    /// new allocation would come from the heap of whichever thread computes it, and each heap keeps
    /// what it once had.
    memory: Mutex<Vec<Vec<Block>>>,
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
        let mut pool = Pool {
            dummy: String::new(),
            params,
            queue: Arc::new(Semaphore::new(queue)),
            slots: Arc::new(Semaphore::new(slots)),
            memory: Mutex::default(),
            entropy,
        };
        let nobody = pool.hash(&pool.entropy.bytes::<32>());
        pool.dummy = nobody.map_err(|why| InvalidHashParameters(why.to_string()))?;
        Ok(Self(Arc::new(pool)))
    }

    /// Hashes a password without changing it.
    ///
    /// # Errors
    /// The problem with status 503 if the queue is full.
    pub async fn hash(&self, password: &SecretString) -> Result<String, Problem> {
        let (pool, password) = (Arc::clone(&self.0), password.clone());
        self.run(move || pool.hash(password.expose_secret().as_bytes()))
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
        self.run(move || pool.verify(password.expose_secret().as_bytes(), stored.as_deref()))
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

type HashResult<T> = Result<T, argon2::password_hash::Error>;

impl Pool {
    fn hash(&self, password: &[u8]) -> HashResult<String> {
        let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
        let salt = Salt::new(&self.entropy.bytes::<16>())?;
        let argon = Argon2::new(algorithm, version, self.params.clone());
        let hash = self.compute(&argon, password, &salt, Params::DEFAULT_OUTPUT_LEN)?;
        let hash = PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(&self.params)?,
            salt: Some(salt),
            hash: Some(hash),
        };
        Ok(hash.to_string())
    }

    fn verify(&self, password: &[u8], stored: Option<&str>) -> HashResult<PasswordComparison> {
        let parsed = PasswordHash::new(stored.unwrap_or(&self.dummy))?;
        let params = Params::try_from(&parsed)?;
        let is_bounded = params.m_cost() <= MAX_MEMORY_KIB
            && params.t_cost() <= MAX_PASSES
            && params.p_cost() <= MAX_LANES;
        if !is_bounded || password.len() > MAX_PASSWORD_BYTES {
            return Ok(PasswordComparison { matches: false, upgrade: None });
        }
        let matches = self.is_of(password, &parsed, &params)? && stored.is_some();
        let is_outdated = parsed.algorithm != Algorithm::Argon2id.ident()
            || params.m_cost() != self.params.m_cost()
            || params.t_cost() != self.params.t_cost()
            || params.p_cost() != self.params.p_cost();
        let upgrade = if matches && is_outdated { Some(self.hash(password)?) } else { None };
        Ok(PasswordComparison { matches, upgrade })
    }

    /// Returns whether a hash is this password's, comparing them in constant time.
    fn is_of(&self, password: &[u8], stored: &PasswordHash, params: &Params) -> HashResult<bool> {
        let (Some(salt), Some(hash)) = (&stored.salt, &stored.hash) else { return Ok(false) };
        let algorithm = Algorithm::try_from(stored.algorithm.as_str())?;
        let version = stored.version.map_or(Ok(Version::default()), Version::try_from)?;
        let argon = Argon2::new(algorithm, version, params.clone());
        Ok(self.compute(&argon, password, salt, hash.len())? == *hash)
    }

    /// Computes a hash in memory that an earlier one has left.
    fn compute(
        &self,
        argon: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
        length: usize,
    ) -> HashResult<Output> {
        let memory = || self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut blocks = memory().pop().unwrap_or_default();
        blocks.resize(argon.params().block_count(), Block::default());
        let mut buffer = [0; Output::MAX_LENGTH];
        let out = buffer.get_mut(..length).ok_or(argon2::password_hash::Error::OutputSize)?;
        let done = argon.hash_password_into_with_memory(password, salt, out, &mut blocks);
        // A stored hash may have demanded more than those of today.
        blocks.truncate(self.params.block_count());
        blocks.shrink_to_fit();
        memory().push(blocks);
        done?;
        Ok(Output::new(out)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AUTHN-08: hashes leave memory for as many as run at once, and a hash that demanded more
    /// leaves no more than the others.
    #[tokio::test]
    async fn hashes_use_the_memory_of_earlier_ones() {
        let settings =
            HashingSettings { password_hash_concurrency: Some(2), ..HashingSettings::default() };
        let hasher = Hasher::new(&settings, Entropy::system()).unwrap();
        let password = SecretString::from("correct horse battery staple");
        let larger = HashingSettings { password_memory_kib: 24 * 1024, ..settings };
        let stored =
            Hasher::new(&larger, Entropy::system()).unwrap().hash(&password).await.unwrap();
        assert!(hasher.verify(&password, Some(stored)).await.unwrap().upgrade.is_some());
        for _ in 0..4 {
            let (one, other) = tokio::join!(hasher.hash(&password), hasher.hash(&password));
            assert!(one.unwrap() != other.unwrap(), "salts differ");
        }
        let kept: Vec<usize> = hasher.0.memory.lock().unwrap().iter().map(Vec::capacity).collect();
        assert!(kept.len() <= 2, "{kept:?}");
        assert!(kept.iter().all(|blocks| *blocks == 12 * 1024), "{kept:?}");
    }
}
