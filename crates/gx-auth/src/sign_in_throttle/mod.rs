//! The delay that grows with the failed sign-ins of an address (AUTHN-11). Called before each
//! comparison of a password, whether or not an account has the address.
//!
//! An attempt is counted as a failure before its password is compared, in one statement. So
//! requests at the same time cannot compare more passwords than requests one after the other. A
//! right password deletes the count.

mod store;

use std::time::Duration;

use gx_serve::Problem;
use gx_serve::problem::kind::QUOTA_EXCEEDED;
use http::header::RETRY_AFTER;
use time::OffsetDateTime;

use crate::devices::KnownDevice;
use crate::email::GivenEmail;
use crate::foundation::Foundation;
use crate::hashing::PasswordComparison;
use crate::key_ring::KeyRing;
use crate::realm::Realm;

/// Seconds for which an address is blocked after its first, second, … consecutive failure. The last
/// one is repeated: at most 96 passwords are compared in a day, and nobody is locked out for ever.
const DELAYS_S: [i32; 10] = [0, 0, 0, 0, 30, 60, 120, 240, 480, 900];
/// Failures are forgotten if there was no other one for this time.
pub const FAILURES_KEPT_FOR: Duration = Duration::from_hours(24);
/// Name of the policy in `violated-policies`.
const POLICY: &str = "sign-in-failures";

/// Purpose of the keys with which addresses are hashed.
const ADDRESSES: &str = "addresses of sign-ins";

/// A sign-in that is counted as a failure until its password turns out to be right.
pub(crate) struct SignInAttempt<'a> {
    base: &'a Foundation,
    address: AddressHashes,
}

/// The hashes of an address, so that the table of failures has no addresses.
struct AddressHashes {
    /// The hash under which failures are counted.
    current: [u8; 32],
    /// The hashes with all keys of the ring: failures that were counted with another key still
    /// count.
    all: Vec<Vec<u8>>,
}

impl AddressHashes {
    fn new(ring: &KeyRing, realm: Realm, email: &GivenEmail) -> Self {
        Self::of(ring, &[realm.session_table().as_bytes(), email.form().as_bytes()])
    }

    /// Returns the hashes of an address on a known device, whose failures are counted apart.
    fn of_device(ring: &KeyRing, realm: Realm, email: &GivenEmail, device: &KnownDevice) -> Self {
        let device = device.hash();
        Self::of(ring, &[realm.session_table().as_bytes(), email.form().as_bytes(), &device])
    }

    fn of(ring: &KeyRing, parts: &[&[u8]]) -> Self {
        let hashes = ring.fingerprint_keys(ADDRESSES).hashes(parts);
        let current = *hashes.current();
        let all = std::iter::once(&current).chain(hashes.others());
        Self { current, all: all.map(|hash| hash.to_vec()).collect() }
    }
}

impl Foundation {
    /// Compares the password of a sign-in, and counts a failure unless it matches. Without a stored
    /// hash, the comparison takes the same time and does not match.
    ///
    /// # Errors
    /// [`QUOTA_EXCEEDED`] while the address is blocked, the problem with status 503 if the queue of
    /// hashes is full, or the problem of a database failure.
    pub async fn compare_password(
        &self,
        realm: Realm,
        email: &GivenEmail,
        password: &secrecy::SecretString,
        account: Option<SignInAccount>,
    ) -> Result<PasswordComparison, Problem> {
        self.compare_password_on(realm, email, password, account, None).await
    }

    /// Compares the password of a sign-in on a device that the account may know. Failures on a
    /// known device are counted apart, so that others cannot block it (AUTHN-12).
    ///
    /// # Errors
    /// Those of [`Foundation::compare_password`].
    pub async fn compare_password_on(
        &self,
        realm: Realm,
        email: &GivenEmail,
        password: &secrecy::SecretString,
        account: Option<SignInAccount>,
        device: Option<&KnownDevice>,
    ) -> Result<PasswordComparison, Problem> {
        let attempt = self.begin_sign_in(realm, email, device).await?;
        let (stored, may_sign_in) = match account {
            Some(account) => (Some(account.password_hash), account.may_sign_in),
            None => (None, false),
        };
        match self.auth.hasher.verify(password, stored).await {
            Ok(compared) if compared.matches && may_sign_in => {
                attempt.succeeded().await?;
                Ok(compared)
            }
            Ok(_) => Ok(PasswordComparison { matches: false, upgrade: None }),
            Err(problem) => {
                attempt.withdraw().await?;
                Err(problem)
            }
        }
    }

    async fn begin_sign_in(
        &self,
        realm: Realm,
        email: &GivenEmail,
        device: Option<&KnownDevice>,
    ) -> Result<SignInAttempt<'_>, Problem> {
        let address = match device {
            None => AddressHashes::new(&self.key_ring, realm, email),
            Some(device) => AddressHashes::of_device(&self.key_ring, realm, email, device),
        };
        let now = self.clock.now();
        let attempt = SignInAttempt { base: self, address };
        let _ticket = attempt.ticket().await?;
        let mut conn = self.connection().await?;
        let forgotten = now - FAILURES_KEPT_FOR;
        let AddressHashes { current, all } = &attempt.address;
        if store::count(&mut conn, current, all, &DELAYS_S, forgotten, now).await? {
            return Ok(attempt);
        }
        let until = store::blocked_until(&mut conn, all).await?;
        metrics::counter!("gx_sign_ins_throttled_total", "realm" => realm.name()).increment(1);
        tracing::info!("a sign-in was refused because its address has too many failures");
        Err(blocked(until.unwrap_or(now), now))
    }

    /// Forgets the failed sign-ins of an address, so that it is no longer blocked. Returns whether
    /// there were any.
    ///
    /// # Errors
    /// `sqlx::Error` if the statement fails.
    pub async fn forget_sign_in_failures(
        &self,
        conn: &mut gx_db::PgConnection,
        realm: Realm,
        email: &GivenEmail,
    ) -> Result<bool, sqlx::Error> {
        store::forget(conn, &AddressHashes::new(&self.key_ring, realm, email).all).await
    }
}

/// The facts of an account that a sign-in is compared with.
#[derive(Clone, Debug)]
pub struct SignInAccount {
    /// The stored hash of the password.
    pub password_hash: String,
    /// Whether the status of the account permits a sign-in. If it does not, the right password is a
    /// failure, too.
    pub may_sign_in: bool,
}

impl SignInAttempt<'_> {
    /// Waits in the queue of the address, so that a flood about one address does not use up the
    /// pool (DB-08).
    async fn ticket(&self) -> Result<crate::row_queues::RowQueueTicket, Problem> {
        let address = hex::encode(self.address.current);
        self.base.row_ticket(&format!("sign-in {address}")).await
    }

    async fn succeeded(self) -> Result<(), Problem> {
        let _ticket = self.ticket().await?;
        store::forget(&mut *self.base.connection().await?, &self.address.all).await?;
        Ok(())
    }

    /// Takes the count back, because no password was compared.
    async fn withdraw(self) -> Result<(), Problem> {
        let _ticket = self.ticket().await?;
        Ok(store::withdraw(&mut *self.base.connection().await?, &self.address.current).await?)
    }
}

fn blocked(until: OffsetDateTime, now: OffsetDateTime) -> Problem {
    let left_s = (until - now).whole_milliseconds().max(1).unsigned_abs().div_ceil(1_000);
    Problem::new(
        &QUOTA_EXCEEDED,
        format!("Too many failed sign-ins with this address. Try again in {left_s} s."),
    )
    .with_header(RETRY_AFTER, &left_s.to_string())
    .with_violated_policies(&[POLICY])
}
