//! Codes and tokens of mails, which prove that their reader has the mailbox (AUTHN-14).
//!
//! A route only queues the mail. [`MailPreparer`] makes the token when the mail is first sent, in a
//! process that no client waits for: so a request about an address takes the same time whether or
//! not an account has it. A token is deleted when it is used.

mod given;
mod prepare;
pub(crate) mod store;

use std::time::Duration;

use gx_db::PgConnection;
use gx_serve::{Problem, ProblemKind};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

pub(crate) use given::{GivenCode, GivenToken};
pub use prepare::MailPreparer;
pub(crate) use store::UsedToken;

use crate::key_ring::KeyRing;
use crate::realm::{Realm, Subject};

/// Life of a code.
const CODE_LIFE: Duration = Duration::from_secs(600);
/// Life of the token in a link.
const TOKEN_LIFE: Duration = Duration::from_hours(1);
/// Life of the link in an invitation of an administrator.
pub const INVITATION_LIFE: Duration = Duration::from_hours(24);
/// Wrong codes after which a code is no longer accepted. The link still is.
const MAX_FAILURES: i32 = 5;
/// Purpose of the keys with which codes are hashed.
const CODES: &str = "codes of mails";

/// The code or token is wrong, expired or used. The answer does not tell which.
pub const INVALID_MAIL_TOKEN: ProblemKind =
    ProblemKind::new("invalid_mail_token", 422, "The code or link is not valid");

/// Returns the one answer to a code or token that cannot be used.
pub(crate) fn invalid() -> Problem {
    Problem::new(&INVALID_MAIL_TOKEN, "It is wrong, too old, or was used. Ask for another mail.")
}

/// What a token permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenPurpose {
    /// To confirm the account's address.
    VerifyEmail,
    /// To give the account the address that the mail went to.
    ChangeEmail,
    /// To set a new password.
    ResetPassword,
}

impl TokenPurpose {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "VERIFY_EMAIL",
            Self::ChangeEmail => "CHANGE_EMAIL",
            Self::ResetPassword => "RESET_PASSWORD",
        }
    }

    /// Returns all purposes.
    fn all() -> Vec<String> {
        let mut all = Self::of_addresses();
        all.push(Self::ResetPassword.name().to_owned());
        all
    }

    /// Returns the purposes of tokens that are about an address.
    pub(crate) fn of_addresses() -> Vec<String> {
        vec![Self::VerifyEmail.name().to_owned(), Self::ChangeEmail.name().to_owned()]
    }
}

/// Ends all codes and links of an account, in the transaction that changes its password or address
/// or locks it. The caller has locked the account's row.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn end_mail_tokens(conn: &mut PgConnection, owner: &Subject) -> Result<(), sqlx::Error> {
    store::delete_all(conn, owner, &TokenPurpose::all()).await
}

/// Returns the mark of a password that the content of a mail has, by the password's stored hash.
/// The mark tells nothing about the password, and changes with the hash.
pub(crate) fn password_mark(password_hash: &str) -> String {
    hex::encode(Sha256::digest(password_hash))
}

/// Uses up a token of a link. Of parallel uses one gets it.
pub(crate) async fn use_token(
    conn: &mut PgConnection,
    realm: Realm,
    token: &GivenToken,
    purposes: &[String],
    now: OffsetDateTime,
) -> Result<Option<UsedToken>, sqlx::Error> {
    store::use_token(conn, realm, &token.hash(), purposes, now).await
}

/// Uses up the code of the newest mail of one of these purposes to an account. A wrong one is
/// counted, which the caller commits. Without an account the same statements run and nothing
/// matches.
pub(crate) async fn use_code(
    conn: &mut PgConnection,
    ring: &KeyRing,
    owner: Option<&Subject>,
    code: &GivenCode,
    purposes: &[String],
    now: OffsetDateTime,
) -> Result<Option<UsedToken>, sqlx::Error> {
    let nobody = Subject::User(String::new().into());
    let newest = store::lock_newest(conn, owner.unwrap_or(&nobody), purposes, now).await?;
    let hashes = code.hashes(ring, newest.as_ref().map_or("", |row| &row.token_id));
    if let Some(row) = &newest {
        let stored = row.code_hash.as_deref();
        let is_right = hashes.iter().any(|hash| stored == Some(&hash[..]));
        if is_right && row.failures < MAX_FAILURES {
            return store::use_by_id(conn, &row.token_id).await;
        }
    }
    store::count_failure(conn, newest.as_ref().map_or("", |row| &row.token_id)).await?;
    Ok(None)
}
