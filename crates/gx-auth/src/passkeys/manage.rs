//! Changes of an account's own passkeys. Called by the routes in `http`.

use gx_serve::Problem;
use gx_serve::idempotency::RequestTransaction;
use gx_serve::problem::ErrorChain;
use serde_json::json;

use super::credential::CreatedCredential;
use super::http::{PasskeyItem, Reauthentication};
use super::options::{self, CreationChallenge};
use super::store::{self, NewPasskey, PasskeyRow};
use super::webauthn::{Demands, PasskeyRefusal, verify_registration};
use super::{
    FRESH_FOR, FRESH_SIGN_IN_REQUIRED, MAX_PASSKEYS, PASSKEY_EXISTS, PASSKEY_REFUSED, Passkeys,
    RANDOM_BYTES, TOO_MANY_PASSKEYS, challenge_ended, no_passkey,
};
use crate::audit;
use crate::notices::{FactorChange, factor_changed};
use crate::realm::Subject;
use crate::row_queues::RowQueueTicket;
use crate::second_factor::Owner;
use crate::session_owner::SessionOwner;

impl Passkeys {
    pub(super) async fn list(&self, who: &SessionOwner) -> Result<Vec<PasskeyItem>, Problem> {
        self.relying_party()?;
        let mut conn = self.base.connection().await?;
        let rows = store::list(&mut conn, Owner::of(&who.subject)).await?;
        Ok(rows.into_iter().map(PasskeyItem::from).collect())
    }

    /// Draws a challenge with which this session may add a passkey.
    pub(super) async fn begin_adding(
        &self,
        who: &SessionOwner,
        given: &Reauthentication,
    ) -> Result<CreationChallenge, Problem> {
        let relying_party = self.relying_party()?;
        let (now, owner) = (self.base.clock.now(), Owner::of(&who.subject));
        let (_ticket, mut tx) = self.begin_change(who, given).await?;
        let known = store::credentials(&mut tx, owner).await?;
        if known.len() >= MAX_PASSKEYS {
            return Err(too_many());
        }
        let drawn_handle: [u8; RANDOM_BYTES] = self.base.entropy.bytes();
        let user_handle = store::user_handle(&mut tx, owner, &drawn_handle, now).await?;
        let adds = Some((user_handle.as_slice(), who.session_id.as_str()));
        let realm = who.subject.realm();
        let drawn = self.draw_challenge(&mut tx, realm, adds, now).await?;
        let account = store::account_names(&mut tx, owner).await?;
        tx.commit().await?;
        Ok(options::creation(relying_party, drawn, &user_handle, account, known))
    }

    /// Adds a passkey whose challenge this session has asked for. The challenge is used up even if
    /// the passkey is refused.
    pub(super) async fn add(
        &self,
        who: &SessionOwner,
        challenge_id: &str,
        given: &CreatedCredential,
        name: &str,
    ) -> Result<PasskeyItem, Problem> {
        let relying_party = self.relying_party()?;
        let (now, owner) = (self.base.clock.now(), Owner::of(&who.subject));
        let mut conn = self.base.connection().await?;
        let session_id = &who.session_id;
        let used =
            store::use_own_challenge(&mut conn, owner, session_id, challenge_id, now).await?;
        drop(conn);
        let (challenge, user_handle) = used.ok_or_else(challenge_ended)?;
        let demands = Demands::new(relying_party, &challenge);
        let credential = verify_registration(&given.response(), &demands)
            .map_err(|refusal| refused(&refusal, &who.request_id))?;
        let (_ticket, mut tx) = self.factors.begin(who).await?;
        if store::credentials(&mut tx, owner).await?.len() >= MAX_PASSKEYS {
            return Err(too_many());
        }
        let passkey_id = self.base.entropy.id(now).to_string();
        let new = NewPasskey {
            passkey_id: &passkey_id,
            user_handle: &user_handle,
            credential: &credential,
            transports: &given.transports(),
            name,
            now,
        };
        if !store::insert(&mut tx, &new).await? {
            return Err(Problem::new(&PASSKEY_EXISTS, "Choose another authenticator."));
        }
        let action = match who.subject {
            Subject::User(_) => "user.passkey_added",
            Subject::Admin(_) => "admin.passkey_added",
        };
        self.record(&mut tx, who, (action, FactorChange::PasskeyAdded), &passkey_id).await?;
        tx.commit().await?;
        Ok(PasskeyItem::from(PasskeyRow {
            passkey_id,
            name: name.to_owned(),
            is_backed_up: credential.is_backed_up,
            created_at: now,
            last_used_at: None,
        }))
    }

    /// Removes a passkey of the account. Sessions that it has opened go on.
    pub(super) async fn remove(
        &self,
        who: &SessionOwner,
        passkey_id: &str,
        given: &Reauthentication,
    ) -> Result<(), Problem> {
        self.relying_party()?;
        let (_ticket, mut tx) = self.begin_change(who, given).await?;
        if !store::delete(&mut tx, Owner::of(&who.subject), passkey_id).await? {
            return Err(no_passkey());
        }
        let action = match who.subject {
            Subject::User(_) => "user.passkey_removed",
            Subject::Admin(_) => "admin.passkey_removed",
        };
        self.record(&mut tx, who, (action, FactorChange::PasskeyRemoved), passkey_id).await?;
        Ok(tx.commit().await?)
    }

    /// Begins a change after the password, and after a code if a factor is in force. A person's
    /// session that was just opened needs neither, nor does an enrolment token.
    async fn begin_change(
        &self,
        who: &SessionOwner,
        given: &Reauthentication,
    ) -> Result<(RowQueueTicket, RequestTransaction), Problem> {
        if let Some(password) = &given.password {
            return self.factors.begin_reauthenticated(who, &password.0, given.totp.as_ref()).await;
        }
        match who.subject {
            Subject::Admin(_) if who.is_enrolling => {}
            Subject::Admin(_) => {
                // A stolen session, however new, must not be enough to add or remove a factor.
                return Err(Problem::new(
                    &FRESH_SIGN_IN_REQUIRED,
                    "Send the password, and a code if a second factor is in force.",
                ));
            }
            Subject::User(_) => self.require_fresh_session(who).await?,
        }
        self.factors.begin(who).await
    }

    async fn require_fresh_session(&self, who: &SessionOwner) -> Result<(), Problem> {
        let mut conn = self.base.connection().await?;
        let (owner, session_id) = (Owner::of(&who.subject), &who.session_id);
        let opened_at = store::session_opened_at(&mut conn, owner, session_id).await?;
        let now = self.base.clock.now();
        if opened_at.is_none_or(|opened_at| now - opened_at > FRESH_FOR) {
            return Err(Problem::new(
                &FRESH_SIGN_IN_REQUIRED,
                "Send the password, and a code if a second factor is in force, or sign in again.",
            ));
        }
        Ok(())
    }

    /// Writes the audit row of a change and the notice to the owner.
    async fn record(
        &self,
        tx: &mut RequestTransaction,
        who: &SessionOwner,
        (action, change): (&str, FactorChange),
        passkey_id: &str,
    ) -> Result<(), sqlx::Error> {
        let table = match who.subject {
            Subject::User(_) => "UserProfile",
            Subject::Admin(_) => "AdminUser",
        };
        let entry = audit::Entry {
            after: Some(json!({ "passkeyId": passkey_id })),
            ..who.audit_entry(action, table, Some(who.subject.as_str()))
        };
        audit::append(tx, entry, self.base.clock.now()).await?;
        factor_changed(&self.base.mailing(), tx, &who.subject, change).await
    }
}

fn too_many() -> Problem {
    Problem::new(&TOO_MANY_PASSKEYS, "Remove one before you add another.")
}

/// Returns the problem of a registration that is not valid. Its sender is signed in, and learns
/// why.
fn refused(refusal: &PasskeyRefusal, request_id: &str) -> Problem {
    tracing::info!(request_id, error = %ErrorChain(refusal),
        "a new passkey was refused: {refusal}");
    Problem::new(&PASSKEY_REFUSED, format!("The browser's answer is not valid: {refusal}."))
}
