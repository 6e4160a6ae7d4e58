//! The rules for new passwords, checked at registration and when an administrator gets a password.
//!
//! Length and rarity count; composition does not. A password is hashed exactly as it was sent:
//! nothing is trimmed, folded or normalised, so that every keyboard that sends the same bytes can
//! repeat it.

use gx_serve::Problem;
use gx_serve::fields::{Field, FieldError, text};
use gx_serve::problem::InvalidField;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::common_passwords::is_common;

/// Fewest characters of a password that is the only factor.
const MIN_CHARACTERS: usize = 15;
/// Limit of characters.
const MAX_CHARACTERS: usize = 256;
/// Shortest part of the person's own name or address that a password must not contain.
const MIN_CONTEXT_WORD: usize = 4;
/// Names of the product, which an attacker tries first.
const PRODUCT_WORDS: [&str; 3] = ["gxprotocol", "gx protocol", "gxcoin"];

/// A new password of valid length.
#[derive(Clone, Debug)]
pub struct NewPassword(SecretString);

/// The password of a sign-in, which may break the rules for new ones.
#[derive(Clone, Debug)]
pub struct GivenPassword(pub SecretString);

impl Field for GivenPassword {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let given = text(value)?;
        if given.chars().count() > MAX_CHARACTERS {
            return Err(FieldError::new(
                "too_long",
                format!("must have at most {MAX_CHARACTERS} characters"),
            ));
        }
        Ok(Self(given.into()))
    }
}

/// The person whose password is checked.
#[derive(Clone, Copy, Debug)]
pub struct PasswordOwner<'a> {
    /// First and last name, or the display name.
    pub names: &'a [&'a str],
    /// E-mail address.
    pub email: &'a str,
}

/// Why a password is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordRefusal {
    /// Contains the person's own name or address.
    OwnName,
    /// Contains the product's name.
    ProductName,
    /// Is one of the passwords that an attacker tries first.
    Common,
    /// Is one of the passwords of the filter file, which come from data breaches.
    Leaked,
}

impl PasswordRefusal {
    /// Returns the error of the request's field.
    pub fn field_error(self) -> FieldError {
        match self {
            Self::OwnName => FieldError::new(
                "password_contains_own_name",
                "must not contain your own name or e-mail address",
            ),
            Self::ProductName => FieldError::new(
                "password_contains_product_name",
                "must not contain the name of this product",
            ),
            Self::Common => FieldError::new(
                "password_too_common",
                "is one of the passwords that attackers try first; use a rare one, such as four \
                 random words",
            ),
            Self::Leaked => FieldError::new(
                "password_leaked",
                "has appeared in a data breach of another service; use one that you use nowhere \
                 else",
            ),
        }
    }

    /// Returns the problem of a request whose field at this JSON Pointer is the password.
    pub fn problem(self, pointer: &str) -> Problem {
        let FieldError { code, message } = self.field_error();
        Problem::invalid(vec![InvalidField { pointer: pointer.to_owned(), code, message }])
    }
}

impl NewPassword {
    /// Creates a password of 15 to 256 characters.
    ///
    /// # Errors
    /// [`FieldError`] if it is shorter or longer.
    pub fn new(password: &str) -> Result<Self, FieldError> {
        match password.chars().count() {
            0..MIN_CHARACTERS => Err(FieldError::new(
                "too_short",
                format!("must have at least {MIN_CHARACTERS} characters; use several words"),
            )),
            MIN_CHARACTERS..=MAX_CHARACTERS => Ok(Self(password.into())),
            _ => Err(FieldError::new(
                "too_long",
                format!("must have at most {MAX_CHARACTERS} characters"),
            )),
        }
    }

    /// Returns the text, for hashing.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }

    /// Checks the password against the person and against common passwords.
    /// [`Hasher::hash_new`](crate::Hasher::hash_new) asks the filter file.
    ///
    /// # Errors
    /// [`PasswordRefusal`] with the first rule that is broken.
    pub fn check(&self, subject: PasswordOwner<'_>) -> Result<(), PasswordRefusal> {
        let lower = self.0.expose_secret().to_lowercase();
        let local_part = subject.email.split('@').next().unwrap_or("");
        let names = subject.names.iter().flat_map(|name| name.split_whitespace().chain([*name]));
        let own = names.chain([local_part, subject.email]);
        let mut own_words = own.map(str::to_lowercase);
        if own_words.any(|word| word.chars().count() >= MIN_CONTEXT_WORD && lower.contains(&word)) {
            return Err(PasswordRefusal::OwnName);
        }
        if PRODUCT_WORDS.iter().any(|word| lower.contains(word)) {
            return Err(PasswordRefusal::ProductName);
        }
        if is_common(self.0.expose_secret()) {
            return Err(PasswordRefusal::Common);
        }
        Ok(())
    }
}

impl Field for NewPassword {
    fn read(value: &Value) -> Result<Self, FieldError> {
        Self::new(text(value)?)
    }
}
