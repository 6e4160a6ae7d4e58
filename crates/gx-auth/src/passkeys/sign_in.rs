//! Signing in with a passkey. Called by the sign-in routes of both services.

use gx_db::PgConnection;
use gx_serve::idempotency::RequestTransaction;
use gx_serve::problem::ErrorChain;
use gx_serve::{Client, Problem};
use serde_json::json;

use super::http::PasskeySignIn;
use super::options::{self, RequestChallenge};
use super::store;
use super::webauthn::{Demands, VerifiedAssertion, has_gone_back, verify_assertion};
use super::{Passkeys, challenge_ended};
use crate::audit;
use crate::devices::DeviceToken;
use crate::realm::{Realm, Subject};
use crate::route_parts::invalid_credentials;
use crate::row_queues::RowQueueTicket;
use crate::sessions::TokenPair;

/// A passkey whose signature is right.
struct VerifiedPasskey {
    subject: Subject,
    passkey_id: String,
    assertion: VerifiedAssertion,
}

/// A passkey whose use is stored, if the transaction of the sign-in is committed.
#[derive(Clone, Copy)]
struct AcceptedPasskey {
    realm: Realm,
    counter_has_gone_back: bool,
}

/// A sign-in whose passkey has signed the challenge. Its transaction has begun: the caller locks
/// the account in it, and decides whether the account may sign in.
pub struct PasskeyAttempt<'a> {
    passkeys: &'a Passkeys,
    request_id: &'a str,
    verified: VerifiedPasskey,
    tx: RequestTransaction,
    ticket: RowQueueTicket,
}

/// A session that a passkey has opened, in a transaction that is to be committed.
#[must_use = "nobody is signed in before the commit"]
pub struct PasskeySession {
    tokens: TokenPair,
    device: DeviceToken,
    passkey_id: String,
    accepted: AcceptedPasskey,
    tx: RequestTransaction,
    ticket: RowQueueTicket,
}

impl AcceptedPasskey {
    /// Counts the sign-in in the metrics. Called after the commit.
    fn count(self) {
        let realm = self.realm.name();
        metrics::counter!("gx_passkey_sign_ins_total", "realm" => realm).increment(1);
        if self.counter_has_gone_back {
            metrics::counter!("gx_passkey_counters_back_total", "realm" => realm).increment(1);
        }
    }
}

impl PasskeyAttempt<'_> {
    /// Returns the account of the passkey, which is one of the realm that was asked for.
    pub fn subject(&self) -> &Subject {
        &self.verified.subject
    }

    /// Returns the transaction of the sign-in.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Stores the use of the passkey, opens a session, and remembers the device. The caller has
    /// locked the account. `role` is that of an administrator.
    ///
    /// # Errors
    /// [`INVALID_CREDENTIALS`](crate::INVALID_CREDENTIALS) if the passkey was removed since it was
    /// verified, or the problem of a database failure.
    pub async fn open(
        self,
        role: Option<&str>,
        device: Option<&DeviceToken>,
        client: &Client,
    ) -> Result<PasskeySession, Problem> {
        let Self { passkeys, request_id, verified, mut tx, ticket } = self;
        let Some(accepted) = passkeys.accept(&mut tx, &verified, request_id).await? else {
            return Err(invalid_credentials());
        };
        let (base, subject) = (&passkeys.base, &verified.subject);
        let tokens = base.auth.sessions.open(&mut tx, subject, role, client).await?;
        let known = base.known_device(&mut tx, Some(subject), device).await?;
        let device = base.remember_device(&mut tx, subject, known, client, false).await?;
        let passkey_id = verified.passkey_id;
        Ok(PasskeySession { tokens, device, passkey_id, accepted, tx, ticket })
    }
}

impl PasskeySession {
    /// Returns the id of the passkey.
    pub fn passkey_id(&self) -> &str {
        &self.passkey_id
    }

    /// Returns the transaction of the sign-in.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Commits the sign-in, counts it, and returns the tokens of the session and of the device.
    ///
    /// # Errors
    /// `sqlx::Error` if the commit fails; nobody is signed in then.
    pub async fn commit(self) -> Result<(TokenPair, DeviceToken), sqlx::Error> {
        let Self { tokens, device, accepted, tx, ticket: _ticket, .. } = self;
        tx.commit().await?;
        accepted.count();
        Ok((tokens, device))
    }
}

impl Passkeys {
    /// Draws a challenge with which anybody may sign in.
    pub(super) async fn begin_sign_in(&self, realm: Realm) -> Result<RequestChallenge, Problem> {
        let relying_party = self.relying_party()?;
        let mut tx = self.base.begin().await?;
        let now = self.base.clock.now();
        let drawn = self.draw_challenge(&mut tx, realm, None, now).await?;
        tx.commit().await?;
        Ok(options::request(relying_party, drawn))
    }

    /// Uses up the challenge, verifies the signature, and begins the transaction of the sign-in
    /// when the account's turn has come. Every refusal is answered like that of a wrong password.
    ///
    /// # Errors
    /// [`PASSKEYS_NOT_CONFIGURED`](super::PASSKEYS_NOT_CONFIGURED),
    /// [`CHALLENGE_ENDED`](super::CHALLENGE_ENDED),
    /// [`INVALID_CREDENTIALS`](crate::INVALID_CREDENTIALS), or the problem of a database failure.
    pub async fn begin_session<'a>(
        &'a self,
        realm: Realm,
        given: &PasskeySignIn,
        request_id: &'a str,
    ) -> Result<PasskeyAttempt<'a>, Problem> {
        let verified = self.verify(realm, given, request_id).await?;
        let ticket = self.base.row_ticket(verified.subject.as_str()).await?;
        let tx = self.base.begin().await?;
        Ok(PasskeyAttempt { passkeys: self, request_id, verified, tx, ticket })
    }

    /// Uses up the challenge and verifies the signature.
    async fn verify(
        &self,
        realm: Realm,
        given: &PasskeySignIn,
        request_id: &str,
    ) -> Result<VerifiedPasskey, Problem> {
        let relying_party = self.relying_party()?;
        let response = given.credential.response();
        let mut conn = self.base.connection().await?;
        let (name, now) = (realm.name(), self.base.clock.now());
        let challenge_id = &given.challenge_id.0;
        let challenge = store::use_sign_in_challenge(&mut conn, name, challenge_id, now).await?;
        let challenge = challenge.ok_or_else(challenge_ended)?;
        let found = store::by_credential(&mut conn, &response.credential_id).await?;
        drop(conn);
        let Some(found) = found.filter(|found| found.subject.realm() == realm) else {
            tracing::info!(request_id, "a passkey was refused: the credential is unknown");
            return Err(invalid_credentials());
        };
        let demands = Demands::new(relying_party, &challenge);
        let verified = verify_assertion(&response, &found.credential, &demands);
        let assertion = verified.map_err(|refusal| {
            tracing::info!(request_id, error = %ErrorChain(&refusal),
                "a passkey was refused: {refusal}");
            invalid_credentials()
        })?;
        Ok(VerifiedPasskey { subject: found.subject, passkey_id: found.passkey_id, assertion })
    }

    /// Stores the use of a verified passkey in the transaction of the sign-in. Returns `None` if
    /// the passkey was removed since it was verified. A counter that has gone back is recorded and
    /// refuses nothing.
    async fn accept(
        &self,
        conn: &mut PgConnection,
        verified: &VerifiedPasskey,
        request_id: &str,
    ) -> Result<Option<AcceptedPasskey>, sqlx::Error> {
        let VerifiedPasskey { subject, passkey_id, assertion } = verified;
        let Some(stored) = store::lock_sign_count(conn, passkey_id).await? else {
            return Ok(None);
        };
        let now = self.base.clock.now();
        let counter_has_gone_back = has_gone_back(stored, assertion.sign_count);
        if counter_has_gone_back {
            self.record_counter(conn, verified, stored, request_id).await?;
        }
        store::set_used(conn, passkey_id, *assertion, now).await?;
        Ok(Some(AcceptedPasskey { realm: subject.realm(), counter_has_gone_back }))
    }

    /// Records a counter that has gone back: there may be a copy of the passkey.
    async fn record_counter(
        &self,
        conn: &mut PgConnection,
        verified: &VerifiedPasskey,
        stored: i64,
        request_id: &str,
    ) -> Result<(), sqlx::Error> {
        let VerifiedPasskey { subject, passkey_id, assertion } = verified;
        let (actor, action, table, person, admin) = match subject {
            Subject::User(id) => {
                let actor = audit::Actor::User(id);
                (actor, "user.passkey_counter_back", "UserProfile", Some(id.as_str()), None)
            }
            Subject::Admin(id) => {
                let actor = audit::Actor::Admin(id);
                (actor, "admin.passkey_counter_back", "AdminUser", None, Some(id.as_str()))
            }
        };
        tracing::warn!(
            person,
            admin,
            request_id,
            "the counter of passkey {passkey_id} has gone back"
        );
        let id = Some(subject.as_str());
        let entry = audit::Entry {
            before: Some(json!({ "signCount": stored })),
            after: Some(json!({ "passkeyId": passkey_id, "signCount": assertion.sign_count })),
            ..audit::Entry::new(actor, action, table, id, Some(request_id))
        };
        audit::append(conn, entry, self.base.clock.now()).await
    }
}
