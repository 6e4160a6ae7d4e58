//! Second factors: TOTP and recovery codes of people and administrators.
//!
//! A sign-in calls [`SecondFactors::pass`] in its transaction, after the password. The factor's row
//! is locked until that transaction ends, so that concurrent sign-ins of one account are judged one
//! after the other: a code is accepted once, and failures are counted exactly. The routes with
//! which an account changes its own factor are in `http`.

mod code;
mod http;
mod manage;
mod store;

use ::http::header::RETRY_AFTER;
use gx_db::PgConnection;
use gx_serve::idempotency::RequestTransaction;
use gx_serve::{Problem, ProblemKind};
use secrecy::ExposeSecret;
use time::OffsetDateTime;

pub use self::http::totp_routes;
use crate::audit;
use crate::foundation::Foundation;
use crate::key_ring::KeyRing;
use crate::key_ring::rotation::EncryptedColumn;
use crate::notices::Notice;
use crate::password_change::wrong_password;
use crate::realm::Subject;
use crate::route_parts::invalid_credentials;
use code::CodeKind;
pub use code::FactorCode;
use store::Factor;
pub(crate) use store::Owner;

/// The password is right, a factor is in force, and no code was sent.
pub const SECOND_FACTOR_REQUIRED: ProblemKind =
    ProblemKind::new("second_factor_required", 401, "A code of the second factor is required");
/// Too many wrong codes were sent; codes are refused for some time.
pub const SECOND_FACTOR_DELAYED: ProblemKind =
    ProblemKind::new("second_factor_delayed", 429, "Too many wrong codes were sent");
/// The account already has a TOTP factor.
pub const TOTP_ENABLED: ProblemKind =
    ProblemKind::new("totp_enabled", 409, "A TOTP factor is already in force");
/// The account has no TOTP factor that the request could change.
pub const TOTP_NOT_ENABLED: ProblemKind =
    ProblemKind::new("totp_not_enabled", 409, "No TOTP factor is in force");
/// The code does not confirm the new secret.
pub const WRONG_CODE: ProblemKind =
    ProblemKind::new("wrong_code", 422, "The code does not belong to the new secret");

/// Wrong codes in a row before the first wait.
const FREE_FAILURES: i32 = 5;
/// Limit of wrong codes in a row. After it, only a recovery code or a reset helps.
const MAX_FAILURES: i32 = 100;
/// Number of recovery codes from which the account is told that few are left.
const LOW_RECOVERY_CODES: i64 = 3;
/// Longest wait after a wrong code, in seconds.
const MAX_WAIT_S: i64 = 3_600;

/// How a sign-in passed the second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedFactor {
    /// The account has no factor in force.
    NotEnrolled,
    /// By a TOTP code.
    Totp,
    /// By a recovery code, which is used up.
    RecoveryCode,
}

/// The answers to a code that is missing or wrong.
struct CodeRefusals {
    missing: fn() -> Problem,
    wrong: fn() -> Problem,
}

impl CodeRefusals {
    /// At a sign-in, where a wrong code is answered like a wrong password.
    const AT_SIGN_IN: Self = Self { missing: code_required, wrong: invalid_credentials };
    /// In a valid session. The status is not 401, which would tell the client to sign in again.
    const IN_A_SESSION: Self = Self { missing: wrong_password, wrong: wrong_password };
}

/// Judgement of a code.
enum Judgement {
    Passed(PassedFactor),
    Missing,
    Wrong,
    /// Seconds until a code is judged again.
    Delayed(i64),
}

/// The second factors of people and administrators. Clones share everything.
#[derive(Clone)]
pub struct SecondFactors {
    base: Foundation,
    ring: KeyRing,
}

impl SecondFactors {
    /// Creates the second factors of a service.
    pub fn new(base: &Foundation) -> Self {
        Self { base: base.clone(), ring: base.key_ring.clone() }
    }

    /// Judges the code of a sign-in whose password is right. If the code is wrong, commits the
    /// transaction with the counted failure and fails like a wrong password.
    ///
    /// # Errors
    /// [`SECOND_FACTOR_REQUIRED`], [`SECOND_FACTOR_DELAYED`],
    /// [`INVALID_CREDENTIALS`](crate::INVALID_CREDENTIALS), or the problem of a database failure.
    pub async fn pass(
        &self,
        tx: RequestTransaction,
        subject: &Subject,
        code: Option<&FactorCode>,
    ) -> Result<(RequestTransaction, PassedFactor), Problem> {
        self.pass_or(tx, subject, code, &CodeRefusals::AT_SIGN_IN).await
    }

    /// Judges a code and counts a failure in the same way, with these answers.
    async fn pass_or(
        &self,
        mut tx: RequestTransaction,
        subject: &Subject,
        code: Option<&FactorCode>,
        refusals: &CodeRefusals,
    ) -> Result<(RequestTransaction, PassedFactor), Problem> {
        let judgement = self.judge(&mut tx, Owner::of(subject), code).await?;
        let outcome = match judgement {
            Judgement::Passed(PassedFactor::NotEnrolled) => None,
            Judgement::Passed(_) => Some("accepted"),
            Judgement::Missing => Some("missing"),
            Judgement::Wrong => Some("refused"),
            Judgement::Delayed(_) => Some("delayed"),
        };
        if let Some(outcome) = outcome {
            metrics::counter!("gx_second_factors_total", "outcome" => outcome).increment(1);
        }
        match judgement {
            Judgement::Passed(passed) => Ok((tx, passed)),
            Judgement::Missing => Err((refusals.missing)()),
            Judgement::Wrong => {
                tx.commit().await?;
                Err((refusals.wrong)())
            }
            Judgement::Delayed(wait_s) => Err(delayed(
                wait_s,
                "Wait, and send the code that your authenticator shows then, or a recovery code.",
            )),
        }
    }

    /// Appends the audit entry of a recovery code that was used, and tells the account if few are
    /// left.
    ///
    /// # Errors
    /// `sqlx::Error` if a statement fails.
    pub async fn append_used_recovery_code(
        &self,
        conn: &mut PgConnection,
        subject: &Subject,
        request_id: &str,
    ) -> Result<(), sqlx::Error> {
        let action = match subject {
            Subject::User(_) => "user.recovery_code_used",
            Subject::Admin(_) => "admin.recovery_code_used",
        };
        let left = store::state(conn, Owner::of(subject)).await?.recovery_codes_left;
        if left <= LOW_RECOVERY_CODES {
            let mailing = self.base.mailing();
            mailing.notify(conn, subject, Notice::RecoveryCodesLow(left)).await?;
        }
        let after = serde_json::json!({ "recoveryCodesLeft": left });
        self.append(conn, subject, request_id, action, Some(after)).await
    }

    async fn judge(
        &self,
        conn: &mut PgConnection,
        owner: Owner<'_>,
        code: Option<&FactorCode>,
    ) -> Result<Judgement, Problem> {
        let Some(factor) = store::lock(conn, owner).await?.filter(|factor| factor.is_confirmed)
        else {
            return Ok(Judgement::Passed(PassedFactor::NotEnrolled));
        };
        let Some(code) = code.filter(|code| code.kind() != CodeKind::Empty) else {
            return Ok(Judgement::Missing);
        };
        let id = factor.factor_id.as_str();
        if code.kind() == CodeKind::Recovery {
            // A wrong one is not counted and waits for nothing: nobody guesses 120 bits.
            if !store::use_recovery_code(conn, id, &code.recovery_hash(id)).await? {
                return Ok(Judgement::Wrong);
            }
            store::forget_failures(conn, id).await?;
            return Ok(Judgement::Passed(PassedFactor::RecoveryCode));
        }
        let now = self.base.clock.now();
        if let Some(wait_s) = wait_s(&factor, now) {
            return Ok(Judgement::Delayed(wait_s));
        }
        match self.step_of(&factor, code, now)? {
            Some(step) if store::accept_step(conn, id, step).await? => {
                Ok(Judgement::Passed(PassedFactor::Totp))
            }
            // A right code that was used already is refused, but nobody guessed it.
            Some(_) => Ok(Judgement::Wrong),
            None => {
                store::count_failure(conn, id, now).await?;
                Ok(Judgement::Wrong)
            }
        }
    }

    /// Returns the time step that a TOTP code belongs to, or `None` if the code is wrong.
    fn step_of(
        &self,
        factor: &Factor,
        code: &FactorCode,
        now: OffsetDateTime,
    ) -> Result<Option<i64>, Problem> {
        let place = EncryptedColumn::TotpSecret.place(&factor.factor_id);
        let secret =
            self.ring.decrypt(place, &factor.secret).map_err(|why| Problem::internal(&why))?;
        Ok(code::step(secret.expose_secret(), code, now))
    }

    async fn append(
        &self,
        conn: &mut PgConnection,
        subject: &Subject,
        request_id: &str,
        action: &str,
        after: Option<serde_json::Value>,
    ) -> Result<(), sqlx::Error> {
        let (actor, table) = match subject {
            Subject::User(id) => (audit::Actor::User(id), "UserProfile"),
            Subject::Admin(id) => (audit::Actor::Admin(id), "AdminUser"),
        };
        let id = Some(subject.as_str());
        let entry =
            audit::Entry { after, ..audit::Entry::new(actor, action, table, id, Some(request_id)) };
        audit::append(conn, entry, self.base.clock.now()).await
    }
}

fn code_required() -> Problem {
    Problem::new(
        &SECOND_FACTOR_REQUIRED,
        "Send the code of your authenticator, or a recovery code, as totp.",
    )
}

/// Returns the problem of a code that is not judged before a wait.
fn delayed(wait_s: i64, detail: &str) -> Problem {
    Problem::new(&SECOND_FACTOR_DELAYED, detail).with_header(RETRY_AFTER, &wait_s.to_string())
}

/// Returns the seconds until the factor accepts a code again, or `None` if it does now. The wait is
/// one second after six failures in a row, and doubles with each further one.
fn wait_s(factor: &Factor, now: OffsetDateTime) -> Option<i64> {
    let last = factor.last_failure_at?;
    if factor.failures >= MAX_FAILURES {
        return Some(MAX_WAIT_S);
    }
    let doublings = u32::try_from(factor.failures - FREE_FAILURES - 1).ok()?;
    let wait_s = 1_i64.checked_shl(doublings).unwrap_or(MAX_WAIT_S).clamp(1, MAX_WAIT_S);
    let left_ms = (last + time::Duration::seconds(wait_s) - now).whole_milliseconds();
    let left_s = i64::try_from((left_ms + 999).div_euclid(1_000)).unwrap_or(MAX_WAIT_S);
    (left_s > 0).then_some(left_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_ring::EncryptedValue;
    use time::macros::datetime;

    /// AUTHN-11: wrong codes have a counter of their own: five are free, the wait doubles from one
    /// second up to an hour, and after 100 in a row codes of the authenticator are refused.
    #[test]
    fn authn_11_the_wait_after_wrong_codes_doubles_up_to_an_hour() {
        let failed_at = datetime!(2026-03-01 12:00:00 UTC);
        let wait_after = |failures: i32, seconds: i64| {
            let factor = Factor {
                factor_id: String::new(),
                secret: EncryptedValue { key_version: 1, bytes: Vec::new() },
                failures,
                last_failure_at: (failures > 0).then_some(failed_at),
                is_confirmed: true,
            };
            wait_s(&factor, failed_at + time::Duration::seconds(seconds))
        };
        for (failures, wait) in
            [(0, None), (5, None), (6, Some(1)), (7, Some(2)), (17, Some(2_048)), (18, Some(3_600))]
        {
            assert_eq!(wait_after(failures, 0), wait, "{failures}");
        }
        assert_eq!((wait_after(7, 1), wait_after(7, 2)), (Some(1), None));
        assert_eq!((wait_after(99, 3_599), wait_after(99, 3_600)), (Some(1), None));
        assert_eq!(wait_after(100, 1_000_000), Some(3_600));
    }
}
