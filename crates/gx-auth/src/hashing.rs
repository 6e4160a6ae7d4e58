//! Password hashes with argon2id in a bounded pool, so that a flood of logins fills the queue and
//! not the machine. Called at registration and sign-in. Hashes of imported accounts may be
//! bcrypt's, which are replaced at the next sign-in.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use gx_serve::{Entropy, Problem};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::password::{NewPassword, PasswordRefusal};
use crate::password_filter::{FilterError, PasswordFilter};

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
/// Beginnings of bcrypt's hashes. `$2x$` is that of a faulty implementation.
const BCRYPT_PREFIXES: [&str; 3] = ["$2a$", "$2b$", "$2y$"];
/// The costs that a stored hash of bcrypt may have: less is guessed too fast, more takes too long.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 10..=14;
/// Bytes of a password that bcrypt hashes. It ignores the rest, so a longer one is refused.
const MAX_BCRYPT_BYTES: usize = 72;

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
    /// File with the passwords of data breaches, made with `gx passwords build-filter`; new
    /// passwords that it has are refused.
    #[arg(long, env = "GX_PASSWORD_FILTER")]
    pub password_filter: Option<PathBuf>,
}

impl Default for HashingSettings {
    fn default() -> Self {
        Self {
            password_memory_kib: 12 * 1024,
            password_passes: 3,
            password_hash_concurrency: None,
            password_hash_queue: 64,
            password_filter: None,
        }
    }
}

/// Why passwords cannot be hashed or checked.
#[derive(Debug, thiserror::Error)]
pub enum HasherError {
    /// The parameters of hashes contradict each other.
    #[error(transparent)]
    Parameters(#[from] InvalidHashParameters),
    /// The filter file cannot be used.
    #[error(transparent)]
    Filter(#[from] FilterError),
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
    filter: Option<PasswordFilter>,
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
    /// [`HasherError`] if the parameters contradict each other, or the filter file cannot be used.
    pub fn new(settings: &HashingSettings, entropy: Entropy) -> Result<Self, HasherError> {
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
            filter: settings.password_filter.as_deref().map(PasswordFilter::open).transpose()?,
            entropy,
        };
        let nobody = pool.hash(&pool.entropy.bytes::<32>());
        pool.dummy = nobody.map_err(|why| InvalidHashParameters(why.to_string()))?;
        Ok(Self(Arc::new(pool)))
    }

    /// Hashes a new password that has passed [`NewPassword::check`], unless the filter file has it.
    ///
    /// # Errors
    /// The problem with status 503 if the queue is full, and 500 if the filter file is damaged.
    pub async fn hash_new(
        &self,
        password: &NewPassword,
    ) -> Result<Result<String, PasswordRefusal>, Problem> {
        let (pool, password) = (Arc::clone(&self.0), password.secret().clone());
        self.run(move || {
            let password = password.expose_secret().as_bytes();
            match pool.filter.as_ref().map(|filter| filter.contains(password)) {
                Some(Err(error)) => Err(Problem::internal(&error)),
                Some(Ok(true)) => Ok(Err(PasswordRefusal::Leaked)),
                Some(Ok(false)) | None => {
                    pool.hash(password).map(Ok).map_err(|why| Problem::internal(&why))
                }
            }
        })
        .await?
    }

    /// Hashes a password without changing it. A new password needs [`Hasher::hash_new`].
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
    /// The problem with status 503 if the queue is full. A stored hash that cannot be read matches
    /// nothing.
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
        if password.len() > MAX_PASSWORD_BYTES {
            return Ok(PasswordComparison { matches: false, upgrade: None });
        }
        match stored {
            None => self.refuse(password),
            Some(stored) if stored.starts_with("$2") => self.verify_bcrypt(password, stored),
            Some(stored) => self.verify_argon(password, stored),
        }
    }

    /// Refuses a password in the time of another comparison.
    fn refuse(&self, password: &[u8]) -> HashResult<PasswordComparison> {
        self.is_of(password, &PasswordHash::new(&self.dummy)?, &self.params)?;
        Ok(PasswordComparison { matches: false, upgrade: None })
    }

    /// Compares a password with a hash of argon2. A hash that demands too much or cannot be read
    /// does not match, in the time of another hash, so that no answer tells that an account has it.
    fn verify_argon(&self, password: &[u8], stored: &str) -> HashResult<PasswordComparison> {
        let (matches, is_outdated) = match self.compare_argon(password, stored) {
            Ok(Some(compared)) => compared,
            Ok(None) => return self.refuse(password),
            Err(error) => {
                tracing::error!(%error,
                    "a stored hash of a password cannot be read, so that its account cannot sign in \
                     with a password; look for values of `passwordHash` that begin neither with \
                     `$argon2` nor with `$2`, and let their people set another password by mail");
                return self.refuse(password);
            }
        };
        let upgrade = if matches && is_outdated { Some(self.hash(password)?) } else { None };
        Ok(PasswordComparison { matches, upgrade })
    }

    /// Returns whether a hash of argon2 is this password's, and whether it has other parameters
    /// than new ones. `None` if it demands too much.
    fn compare_argon(&self, password: &[u8], stored: &str) -> HashResult<Option<(bool, bool)>> {
        let parsed = PasswordHash::new(stored)?;
        let params = Params::try_from(&parsed)?;
        let is_bounded = params.m_cost() <= MAX_MEMORY_KIB
            && params.t_cost() <= MAX_PASSES
            && params.p_cost() <= MAX_LANES;
        if !is_bounded {
            return Ok(None);
        }
        let is_outdated = parsed.algorithm != Algorithm::Argon2id.ident()
            || params.m_cost() != self.params.m_cost()
            || params.t_cost() != self.params.t_cost()
            || params.p_cost() != self.params.p_cost();
        Ok(Some((self.is_of(password, &parsed, &params)?, is_outdated)))
    }

    /// Compares a password with a hash of bcrypt. A hash that costs too little or too much, and a
    /// password of which bcrypt would ignore a part, do not match, in the time of another hash.
    fn verify_bcrypt(&self, password: &[u8], stored: &str) -> HashResult<PasswordComparison> {
        let parsed = stored.parse::<bcrypt::HashParts>().ok();
        let is_bounded = parsed.is_some_and(|parts| BCRYPT_COSTS.contains(&parts.get_cost()))
            && BCRYPT_PREFIXES.iter().any(|prefix| stored.starts_with(prefix))
            && password.len() <= MAX_BCRYPT_BYTES;
        if !is_bounded {
            return self.refuse(password);
        }
        let matches = bcrypt::verify(password, stored).unwrap_or(false);
        let upgrade = if matches { Some(self.hash(password)?) } else { None };
        Ok(PasswordComparison { matches, upgrade })
    }

    /// Returns whether a hash is this password's, comparing them in constant time.
    fn is_of(&self, password: &[u8], stored: &PasswordHash, params: &Params) -> HashResult<bool> {
        let (Some(salt), Some(hash)) = (&stored.salt, &stored.hash) else {
            return Err(argon2::password_hash::Error::EncodingInvalid);
        };
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

    /// AUTHN-07: a hash of bcrypt matches its password and is replaced by one of argon2id. One of
    /// too low a cost, of a faulty implementation, or of a longer password matches nothing.
    #[tokio::test]
    async fn hashes_of_bcrypt_are_verified_and_replaced() {
        let hasher = Hasher::new(&HashingSettings::default(), Entropy::system()).unwrap();
        let compare = async |password: &str, stored: &str| {
            let password = SecretString::from(password);
            hasher.verify(&password, Some(stored.to_owned())).await.unwrap()
        };
        let nothing = PasswordComparison { matches: false, upgrade: None };
        // A published vector, and the same under the other names of the algorithm.
        let letters = "abcdefghijklmnopqrstuvwxyz";
        let rest = "10$fVH8e28OQRj9tqiDXs1e1uxpsjN0c7II7YPKXua2NAKYvM6iQk7dq";
        for version in ["2a", "2b", "2y"] {
            let stored = format!("${version}${rest}");
            let compared = compare(letters, &stored).await;
            assert!(compared.matches, "{stored}");
            let upgraded = compared.upgrade.unwrap();
            assert!(upgraded.starts_with("$argon2id$"), "{upgraded}");
            let again = compare(letters, &upgraded).await;
            assert_eq!(again, PasswordComparison { matches: true, upgrade: None });
            assert_eq!(compare("another password", &stored).await, nothing);
        }
        assert_eq!(compare(letters, &format!("$2x${rest}")).await, nothing);
        for unreadable in ["$2b$", "$2b$10$short", "$2b$99$fVH8e28OQRj9tqiDXs1e1u"] {
            assert_eq!(compare(letters, unreadable).await, nothing);
        }
        let cheap = bcrypt::hash(letters, 9).unwrap();
        assert_eq!(compare(letters, &cheap).await, nothing);

        let longest = "x".repeat(MAX_BCRYPT_BYTES);
        let stored = bcrypt::hash(&longest, 10).unwrap();
        assert!(compare(&longest, &stored).await.matches);
        assert_eq!(compare(&format!("{longest}y"), &stored).await, nothing);
    }

    /// AUTHN-03: a new password that the filter file has is refused, and a damaged file refuses
    /// every start.
    #[tokio::test]
    async fn a_new_password_of_the_filter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (list, filter) = (folder.path().join("list"), folder.path().join("filter"));
        // The SHA-1 of "correct horse battery staple".
        std::fs::write(&list, "ABF7AAD6438836DBE526AA231ABDE2D0EEF74D42:5\r\n").unwrap();
        crate::build_password_filter(&list, &filter).unwrap();
        let settings =
            HashingSettings { password_filter: Some(filter.clone()), ..HashingSettings::default() };
        let hasher = Hasher::new(&settings, Entropy::system()).unwrap();
        let hash = async |password: &str| {
            hasher.hash_new(&NewPassword::new(password).unwrap()).await.unwrap()
        };
        let leaked = hash("correct horse battery staple").await;
        assert_eq!(leaked, Err(PasswordRefusal::Leaked));
        assert!(hash("four rare words: quince, gable").await.is_ok());

        std::fs::write(&filter, "no filter").unwrap();
        let refused = Hasher::new(&settings, Entropy::system()).err().unwrap().to_string();
        assert!(refused.contains("GX_PASSWORD_FILTER"), "{refused}");
    }
}
