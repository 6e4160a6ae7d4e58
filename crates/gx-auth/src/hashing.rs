//! Password hashes: argon2id, computed by a bounded pool, so that a flood of logins meets a
//! full queue and not a full machine.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use gx_serve::{Entropy, Problem};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Longest wait for a turn; after it the client is told to come back.
const QUEUE_TIME_LIMIT: Duration = Duration::from_secs(5);
/// Seconds that a refused client is asked to wait.
const RETRY_AFTER_S: u32 = 2;
/// Most memory, in KiB, that a stored hash may ask for.
const LARGEST_MEMORY_KIB: u32 = 64 * 1024;
/// Most passes that a stored hash may ask for.
const MOST_PASSES: u32 = 10;
/// Most lanes that a stored hash may ask for.
const MOST_LANES: u32 = 4;
/// Longest password that is hashed at all; a longer one matches nothing.
const LONGEST_PASSWORD_BYTES: usize = 256 * 4;

/// What a hash costs, and how many are computed at a time.
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
    /// Requests that may wait for a password hash; further ones are asked to come back.
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

/// Why the settings make no hasher.
#[derive(Debug, thiserror::Error)]
#[error("these password hash parameters are not valid: {0}")]
pub struct InvalidParameters(String);

/// The pool. Clones share it.
#[derive(Clone)]
pub struct Hasher(Arc<Pool>);

struct Pool {
    params: Params,
    /// Verified instead of the hash of an account that does not exist, with the parameters
    /// in force, so that both take the same time.
    dummy: String,
    queue: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    entropy: Entropy,
}

/// A stored hash, compared with a password.
#[derive(Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether they match.
    pub matches: bool,
    /// The hash to store instead, when the stored one was made with other parameters.
    pub upgrade: Option<String>,
}

impl Hasher {
    /// A pool with these settings.
    ///
    /// # Errors
    /// When the parameters contradict each other.
    pub fn new(settings: &HashingSettings, entropy: Entropy) -> Result<Self, InvalidParameters> {
        let HashingSettings { password_memory_kib, password_passes, .. } = *settings;
        let params = Params::new(password_memory_kib, password_passes, 1, None)
            .map_err(|why| InvalidParameters(why.to_string()))?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let slots = settings.password_hash_concurrency.map_or(cores, usize::from);
        let queue = slots + usize::from(settings.password_hash_queue);
        let nobody = hash(&params, &entropy.bytes::<32>(), &entropy.bytes());
        Ok(Self(Arc::new(Pool {
            dummy: nobody.map_err(|why| InvalidParameters(why.to_string()))?,
            params,
            queue: Arc::new(Semaphore::new(queue)),
            slots: Arc::new(Semaphore::new(slots)),
            entropy,
        })))
    }

    /// Hashes a password exactly as it is.
    ///
    /// # Errors
    /// 503 when too many wait already.
    pub async fn hash(&self, password: &SecretString) -> Result<String, Problem> {
        let (pool, password) = (Arc::clone(&self.0), password.clone());
        self.run(move || {
            hash(&pool.params, password.expose_secret().as_bytes(), &pool.entropy.bytes())
        })
        .await?
        .map_err(|why| Problem::internal(&why))
    }

    /// Compares a password with a stored hash, or with a hash of nobody's.
    ///
    /// # Errors
    /// 503 when too many wait already; 500 when the stored hash cannot be read.
    pub async fn verify(
        &self,
        password: &SecretString,
        stored: Option<String>,
    ) -> Result<Verified, Problem> {
        let (pool, password) = (Arc::clone(&self.0), password.clone());
        self.run(move || verify(&pool, password.expose_secret().as_bytes(), stored.as_deref()))
            .await?
            .map_err(|why| Problem::internal(&why))
    }

    /// Runs other work that costs as much as a hash, in the same pool.
    ///
    /// # Errors
    /// 503 when too many wait already.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = self.turn().await?;
        // The turn moves into the work: work whose client has gone still counts until it ends.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        done.await.map_err(|panic| Problem::internal(&panic))
    }

    async fn turn(&self) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), Problem> {
        let busy = || {
            metrics::counter!("gx_password_hash_refused_total").increment(1);
            Problem::unavailable("Too many people sign in at this moment.", RETRY_AFTER_S)
        };
        let place = Arc::clone(&self.0.queue).try_acquire_owned().map_err(|_| busy())?;
        let slot = Arc::clone(&self.0.slots).acquire_owned();
        match tokio::time::timeout(QUEUE_TIME_LIMIT, slot).await {
            Ok(Ok(slot)) => Ok((place, slot)),
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
) -> Result<Verified, argon2::password_hash::Error> {
    let parsed = PasswordHash::new(stored.unwrap_or(&pool.dummy))?;
    let params = Params::try_from(&parsed)?;
    let bounded = params.m_cost() <= LARGEST_MEMORY_KIB
        && params.t_cost() <= MOST_PASSES
        && params.p_cost() <= MOST_LANES;
    if !bounded || password.len() > LONGEST_PASSWORD_BYTES {
        return Ok(Verified { matches: false, upgrade: None });
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
    Ok(Verified { matches, upgrade })
}
