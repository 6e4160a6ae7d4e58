//! Changes of an account's own factor: enrolment, confirmation, new recovery codes, end. Called by
//! the routes in `http`, and [`SecondFactors::reset`] by svc-admin.

use gx_db::PgConnection;
use gx_serve::Problem;
use gx_serve::idempotency::RequestTransaction;
use secrecy::SecretString;
use serde_json::json;

use super::code::{self, Enrolment, FactorCode, RECOVERY_CODES, SECRET_BYTES};
use super::store::{Owner, TotpState};
use super::{
    CodeRefusals, PassedFactor, SecondFactors, TOTP_ENABLED, TOTP_NOT_ENABLED, WRONG_CODE, delayed,
    store, wait_s,
};
use crate::authorization::Person;
use crate::email::GivenEmail;
use crate::key_ring::rotation::EncryptedColumn;
use crate::notices::{FactorChange, factor_changed};
use crate::password_change::{refuse_wrong_password, wrong_password};
use crate::realm::Subject;
use crate::row_queues::RowQueueTicket;
use crate::session_owner::SessionOwner;
use crate::session_recheck::recheck_and_lock;
use crate::sign_in_throttle::SignInAccount;

impl SecondFactors {
    pub(super) async fn state(&self, who: &SessionOwner) -> Result<TotpState, Problem> {
        let mut conn = self.base.connection().await?;
        Ok(store::state(&mut conn, Owner::of(&who.subject)).await?)
    }

    /// Draws a secret, which replaces one that was not confirmed. It is not in force yet.
    pub(super) async fn enrol(
        &self,
        who: &SessionOwner,
        password: &SecretString,
    ) -> Result<Enrolment, Problem> {
        let email = self.check_password(who, password).await?;
        let (now, owner) = (self.base.clock.now(), Owner::of(&who.subject));
        let (_ticket, mut tx) = self.begin(who).await?;
        if let Some(factor) = store::lock(&mut tx, owner).await? {
            if factor.is_confirmed {
                return Err(already_enabled());
            }
            store::delete(&mut tx, owner).await?;
        }
        let secret: [u8; SECRET_BYTES] = self.base.entropy.bytes();
        let factor_id = self.base.entropy.id(now).to_string();
        let place = EncryptedColumn::TotpSecret.place(&factor_id);
        let encrypted = self.ring.encrypt(place, &secret);
        store::insert(&mut tx, owner, &factor_id, &encrypted, now).await?;
        tx.commit().await?;
        Ok(code::enrolment(&secret, &email))
    }

    /// Puts the factor in force if the code belongs to its secret, and returns recovery codes. A
    /// wrong code is counted, because a caller with a stolen session does not know the secret.
    pub(super) async fn confirm(
        &self,
        who: &SessionOwner,
        code: &FactorCode,
    ) -> Result<Vec<String>, Problem> {
        let now = self.base.clock.now();
        let (_ticket, mut tx) = self.begin(who).await?;
        let factor =
            store::lock(&mut tx, Owner::of(&who.subject)).await?.ok_or_else(not_enabled)?;
        if factor.is_confirmed {
            return Err(already_enabled());
        }
        if let Some(wait_s) = wait_s(&factor, now) {
            let detail = "Wait, and send the code that the authenticator shows then.";
            return Err(delayed(wait_s, detail));
        }
        let wrong = || Problem::new(&WRONG_CODE, "Send the code that the authenticator shows now.");
        let Some(step) = self.step_of(&factor, code, now)? else {
            store::count_failure(&mut tx, &factor.factor_id, now).await?;
            tx.commit().await?;
            return Err(wrong());
        };
        store::forget_failures(&mut tx, &factor.factor_id).await?;
        if !store::confirm(&mut tx, &factor.factor_id, step, now).await? {
            return Err(wrong());
        }
        let codes = self.draw_recovery_codes(&mut tx, &factor.factor_id).await?;
        let action = match who.subject {
            Subject::User(_) => "user.totp_enabled",
            Subject::Admin(_) => "admin.totp_enabled",
        };
        self.append(&mut tx, &who.subject, &who.request_id, action, None).await?;
        factor_changed(&self.base.mailing(), &mut tx, &who.subject, FactorChange::TotpEnabled)
            .await?;
        tx.commit().await?;
        Ok(codes)
    }

    /// Replaces all recovery codes and returns the new ones.
    pub(super) async fn renew_recovery_codes(
        &self,
        who: &SessionOwner,
        password: &SecretString,
        code: &FactorCode,
    ) -> Result<Vec<String>, Problem> {
        let (_ticket, mut tx) = self.begin_authenticated(who, password, code).await?;
        let factor =
            store::lock(&mut tx, Owner::of(&who.subject)).await?.ok_or_else(not_enabled)?;
        let codes = self.draw_recovery_codes(&mut tx, &factor.factor_id).await?;
        let action = match who.subject {
            Subject::User(_) => "user.recovery_codes_renewed",
            Subject::Admin(_) => "admin.recovery_codes_renewed",
        };
        self.append(&mut tx, &who.subject, &who.request_id, action, None).await?;
        let change = FactorChange::RecoveryCodesRenewed;
        factor_changed(&self.base.mailing(), &mut tx, &who.subject, change).await?;
        tx.commit().await?;
        Ok(codes)
    }

    /// Ends the factor, with its recovery codes.
    pub(super) async fn disable(
        &self,
        who: &SessionOwner,
        password: &SecretString,
        code: &FactorCode,
    ) -> Result<(), Problem> {
        let (_ticket, mut tx) = self.begin_authenticated(who, password, code).await?;
        store::delete(&mut tx, Owner::of(&who.subject)).await?;
        let action = match who.subject {
            Subject::User(_) => "user.totp_disabled",
            Subject::Admin(_) => "admin.totp_disabled",
        };
        self.append(&mut tx, &who.subject, &who.request_id, action, None).await?;
        factor_changed(&self.base.mailing(), &mut tx, &who.subject, FactorChange::TotpDisabled)
            .await?;
        Ok(tx.commit().await?)
    }

    /// Deletes an account's factor and ends its sessions, for somebody who has lost the factor, who
    /// is told by mail.
    /// Returns the values of the audit entry, which the caller appends.
    ///
    /// # Errors
    /// `sqlx::Error` if a statement fails.
    pub async fn reset(
        &self,
        conn: &mut PgConnection,
        subject: &Subject,
    ) -> Result<serde_json::Value, sqlx::Error> {
        let owner = Owner::of(subject);
        store::lock_account(conn, owner).await?;
        let was_enabled = store::delete(conn, owner).await?.unwrap_or(false);
        let sessions = &self.base.auth.sessions;
        let ended = sessions.end(conn, subject, None, "second factors reset").await?;
        factor_changed(&self.base.mailing(), conn, subject, FactorChange::Reset).await?;
        Ok(json!({ "totpWasEnabled": was_enabled, "ended": ended }))
    }

    /// Deletes an account's factor and returns whether it was in force. The caller has locked the
    /// account, ends its sessions, tells the person and writes the audit row.
    pub(crate) async fn remove(
        &self,
        conn: &mut PgConnection,
        subject: &Subject,
    ) -> Result<bool, sqlx::Error> {
        Ok(store::delete(conn, Owner::of(subject)).await?.unwrap_or(false))
    }

    /// Begins a change of a person's account itself, after the password, and after a code if a
    /// factor is in force: waits for the account's turn and locks its row.
    ///
    /// # Errors
    /// [`WRONG_PASSWORD`](crate::WRONG_PASSWORD),
    /// [`SECOND_FACTOR_DELAYED`](crate::SECOND_FACTOR_DELAYED), or the problem of a database
    /// failure.
    pub async fn begin_confirmed(
        &self,
        person: &Person,
        password: &SecretString,
        code: Option<&FactorCode>,
    ) -> Result<(RowQueueTicket, RequestTransaction), Problem> {
        self.begin_reauthenticated(&person.clone().into(), password, code).await
    }

    /// Begins a change: waits for the account's turn, locks its row, and checks again that the
    /// session or the enrolment token is valid. The session cannot be ended before the change is.
    pub(crate) async fn begin(
        &self,
        who: &SessionOwner,
    ) -> Result<(RowQueueTicket, RequestTransaction), Problem> {
        let ticket = self.base.row_ticket(who.subject.as_str()).await?;
        let mut tx = self.base.begin().await?;
        store::lock_account(&mut tx, Owner::of(&who.subject)).await?;
        recheck_and_lock(&self.base, &mut tx, who).await?;
        Ok((ticket, tx))
    }

    /// Begins a change of a factor that is in force, after password and code.
    async fn begin_authenticated(
        &self,
        who: &SessionOwner,
        password: &SecretString,
        code: &FactorCode,
    ) -> Result<(RowQueueTicket, RequestTransaction), Problem> {
        self.check_password(who, password).await?;
        let (ticket, tx) = self.begin(who).await?;
        let refusals = &CodeRefusals::IN_A_SESSION;
        match self.pass_or(tx, &who.subject, Some(code), refusals).await? {
            (_, PassedFactor::NotEnrolled) => Err(not_enabled()),
            (tx, PassedFactor::Totp | PassedFactor::RecoveryCode) => Ok((ticket, tx)),
        }
    }

    /// Begins a change of another credential, after the password, and after a code if a factor is
    /// in force.
    pub(crate) async fn begin_reauthenticated(
        &self,
        who: &SessionOwner,
        password: &SecretString,
        code: Option<&FactorCode>,
    ) -> Result<(RowQueueTicket, RequestTransaction), Problem> {
        self.check_password(who, password).await?;
        let (ticket, tx) = self.begin(who).await?;
        let refusals = &CodeRefusals::IN_A_SESSION;
        let (mut tx, passed) = self.pass_or(tx, &who.subject, code, refusals).await?;
        if passed == PassedFactor::RecoveryCode {
            self.append_used_recovery_code(&mut tx, &who.subject, &who.request_id).await?;
        }
        Ok((ticket, tx))
    }

    /// Checks the password of the account and returns the e-mail address. A wrong one counts as a
    /// failed sign-in.
    async fn check_password(
        &self,
        who: &SessionOwner,
        password: &SecretString,
    ) -> Result<String, Problem> {
        let owner = Owner::of(&who.subject);
        let account = store::account(&mut *self.base.connection().await?, owner).await?;
        let account = account.ok_or_else(wrong_password)?;
        let stored = SignInAccount { password_hash: account.password_hash, may_sign_in: true };
        let (realm, email) = (who.subject.realm(), GivenEmail::new(&account.mailbox));
        let verified = self.base.compare_password(realm, &email, password, Some(stored)).await?;
        if verified.matches {
            return Ok(account.email);
        }
        Err(refuse_wrong_password(realm, &who.request_id))
    }

    async fn draw_recovery_codes(
        &self,
        conn: &mut PgConnection,
        factor_id: &str,
    ) -> Result<Vec<String>, sqlx::Error> {
        let draw = |_| code::recovery_code(&self.base.entropy);
        let codes: Vec<String> = (0..RECOVERY_CODES).map(draw).collect();
        let hash = |code: &String| FactorCode::new(code).recovery_hash(factor_id).to_vec();
        let hashes: Vec<Vec<u8>> = codes.iter().map(hash).collect();
        store::replace_recovery_codes(conn, factor_id, &hashes).await?;
        Ok(codes)
    }
}

fn already_enabled() -> Problem {
    Problem::new(&TOTP_ENABLED, "Disable it before you enrol another one.")
}

fn not_enabled() -> Problem {
    Problem::new(&TOTP_NOT_ENABLED, "Enrol one first.")
}
