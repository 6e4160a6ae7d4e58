//! Passkeys of people and administrators: adding, listing and removing them, and signing in with
//! one. Both services have the routes, each under its own paths.
//!
//! A challenge is a row that its use deletes, so that of many uses one succeeds, in whatever
//! process. What a browser has sent is verified by [`webauthn`]. A sign-in of either service calls
//! [`Passkeys::begin_session`], locks and judges its account, and calls [`PasskeyAttempt::open`].

mod credential;
mod http;
mod manage;
mod options;
mod sign_in;
mod store;
mod webauthn;

use gx_db::PgConnection;
use gx_serve::{Problem, ProblemKind};
use time::OffsetDateTime;

pub use self::http::{PasskeySignIn, passkey_challenge_route, passkey_routes};
pub use sign_in::{PasskeyAttempt, PasskeySession};

use crate::foundation::Foundation;
use crate::realm::{Realm, Subject};
use crate::relying_party::RelyingParty;
use crate::second_factor::{Owner, SecondFactors};
use store::NewChallenge;

/// The deployment has no domain for passkeys.
pub const PASSKEYS_NOT_CONFIGURED: ProblemKind =
    ProblemKind::new("passkeys_not_configured", 404, "This deployment has no passkeys");
/// The challenge does not exist, was used, has expired, or is of somebody else.
pub const CHALLENGE_ENDED: ProblemKind =
    ProblemKind::new("challenge_ended", 422, "The challenge was used or has expired");
/// The password is right, and the account signs in with a passkey instead of a code.
pub const PASSKEY_REQUIRED: ProblemKind =
    ProblemKind::new("passkey_required", 401, "A passkey is required");
/// Neither the password was sent, nor is the session new, or it is an administrator's.
pub(crate) const FRESH_SIGN_IN_REQUIRED: ProblemKind =
    ProblemKind::new("fresh_sign_in_required", 403, "The password or a fresh sign-in is required");
/// What the authenticator has sent is not valid.
pub(crate) const PASSKEY_REFUSED: ProblemKind =
    ProblemKind::new("passkey_refused", 422, "The passkey cannot be added");
/// The credential belongs to an account already.
pub(crate) const PASSKEY_EXISTS: ProblemKind =
    ProblemKind::new("passkey_exists", 409, "The passkey is already in use");
/// The account has as many passkeys as it may have.
pub(crate) const TOO_MANY_PASSKEYS: ProblemKind =
    ProblemKind::new("too_many_passkeys", 409, "The account has too many passkeys");
/// The passkey does not exist, or belongs to somebody else.
pub(crate) const NO_PASSKEY: ProblemKind =
    ProblemKind::new("no_passkey", 404, "There is no such passkey");

/// Life of a challenge.
const CHALLENGE_LIFE: time::Duration = time::Duration::minutes(5);
/// Bytes of a challenge (section 13.4.3 of WebAuthn asks for 16 or more) and of a user handle.
const RANDOM_BYTES: usize = 32;
/// Limit of the passkeys of an account.
const MAX_PASSKEYS: usize = 20;
/// Age of a person's session from which a change of passkeys needs the password.
const FRESH_FOR: time::Duration = time::Duration::minutes(10);

/// The passkeys of people and administrators. Clones share everything.
#[derive(Clone)]
pub struct Passkeys {
    base: Foundation,
    factors: SecondFactors,
}

/// A challenge that was drawn and stored.
struct DrawnChallenge {
    challenge_id: String,
    challenge: [u8; RANDOM_BYTES],
}

impl Passkeys {
    /// Creates the passkeys of a service.
    pub fn new(base: &Foundation, factors: &SecondFactors) -> Self {
        Self { base: base.clone(), factors: factors.clone() }
    }

    /// Returns whether the account has a passkey.
    ///
    /// # Errors
    /// `sqlx::Error` if the statement fails.
    pub async fn exist(
        &self,
        conn: &mut PgConnection,
        subject: &Subject,
    ) -> Result<bool, sqlx::Error> {
        store::exist(conn, Owner::of(subject)).await
    }

    /// Deletes all passkeys of an account and returns their number. The caller has locked the
    /// account and writes the audit row.
    ///
    /// # Errors
    /// `sqlx::Error` if the statement fails.
    pub async fn remove_all(
        &self,
        conn: &mut PgConnection,
        subject: &Subject,
    ) -> Result<u64, sqlx::Error> {
        store::delete_all(conn, Owner::of(subject)).await
    }

    fn relying_party(&self) -> Result<&RelyingParty, Problem> {
        self.base.relying_party.as_ref().ok_or_else(|| {
            Problem::new(&PASSKEYS_NOT_CONFIGURED, "Sign in with the password instead.")
        })
    }

    /// Draws a challenge and stores it. `adds` names the account and the session that add a
    /// passkey.
    async fn draw_challenge(
        &self,
        conn: &mut PgConnection,
        realm: Realm,
        adds: Option<(&[u8], &str)>,
        now: OffsetDateTime,
    ) -> Result<DrawnChallenge, sqlx::Error> {
        let challenge = self.base.entropy.bytes();
        let challenge_id = self.base.entropy.id(now).to_string();
        let new = NewChallenge {
            challenge_id: &challenge_id,
            challenge: &challenge,
            realm: realm.name(),
            user_handle: adds.map(|(user_handle, _)| user_handle),
            session_id: adds.map(|(_, session_id)| session_id),
            expires_at: now + CHALLENGE_LIFE,
        };
        store::insert_challenge(conn, &new).await?;
        Ok(DrawnChallenge { challenge_id, challenge })
    }
}

fn challenge_ended() -> Problem {
    Problem::new(&CHALLENGE_ENDED, "Ask for new options and try again.")
}

/// Returns the problem of an id that is none of the account's passkeys.
fn no_passkey() -> Problem {
    Problem::new(&NO_PASSKEY, "Take an id from the list of passkeys.")
}
