//! Which passwords are accepted.
//!
//! Length and guessability count; composition does not. A password is taken exactly as it
//! was sent: nothing is trimmed, folded or normalised, so that it stays the same on every
//! keyboard that sends the same bytes.

use gx_serve::fields::{Field, FieldError, text};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// Fewest characters where the password is the only factor.
const SHORTEST: usize = 15;
/// Most characters.
const LONGEST: usize = 256;
/// A password that a guesser who knows the common ones finds within this many tries is one
/// of them.
const COMMON_WITHIN_GUESSES: u64 = 100_000_000;
/// Shortest own name, or part of an own address, that a password must not contain.
const SHORTEST_CONTEXT_WORD: usize = 4;
/// Words of the product that are the first guess of everybody who knows where it belongs.
const PRODUCT_WORDS: [&str; 3] = ["gxprotocol", "gx protocol", "gxcoin"];

/// A password of admissible length that somebody wants to have from now on.
#[derive(Clone, Debug)]
pub struct NewPassword(SecretString);

/// A password that somebody says is theirs, whatever it is made of.
#[derive(Clone, Debug)]
pub struct GivenPassword(pub SecretString);

impl Field for GivenPassword {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let given = text(value)?;
        if given.chars().count() > LONGEST {
            return Err(FieldError::new("too_long", format!("has at most {LONGEST} characters")));
        }
        Ok(Self(given.into()))
    }
}

/// Whose password it is to be, as far as a guesser would try.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// First and last name, or the display name.
    pub names: &'a [&'a str],
    /// The address.
    pub email: &'a str,
}

/// Why a password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordRefusal {
    /// Contains the person's own name or address.
    OwnName,
    /// Contains the product's name.
    ProductName,
    /// One of the first that anybody would try.
    Common,
}

impl PasswordRefusal {
    /// As a field of a request is refused.
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
                "is among the passwords that are tried first; use one that nobody would think of, \
                 such as four random words",
            ),
        }
    }
}

impl NewPassword {
    /// A password of 15 to 256 characters.
    ///
    /// # Errors
    /// When it is shorter or longer.
    pub fn new(password: &str) -> Result<Self, FieldError> {
        match password.chars().count() {
            0..SHORTEST => Err(FieldError::new(
                "too_short",
                format!("must have at least {SHORTEST} characters; several words make a good one"),
            )),
            SHORTEST..=LONGEST => Ok(Self(password.into())),
            _ => {
                Err(FieldError::new("too_long", format!("must have at most {LONGEST} characters")))
            }
        }
    }

    /// The text, for hashing.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }

    /// Checks what needs more than the password to see. Takes milliseconds of CPU.
    ///
    /// # Errors
    /// Why the password is not good enough for this person.
    pub fn check(&self, subject: Subject<'_>) -> Result<(), PasswordRefusal> {
        let lower = self.0.expose_secret().to_lowercase();
        let local_part = subject.email.split('@').next().unwrap_or("");
        let own = subject.names.iter().copied().chain([local_part, subject.email]);
        let mut own_words = own.map(str::to_lowercase);
        if own_words
            .any(|word| word.chars().count() >= SHORTEST_CONTEXT_WORD && lower.contains(&word))
        {
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

/// Whether no part of the password would take a guesser long. A long password is looked at
/// in parts, for the estimate takes time that grows faster than the length.
fn is_common(password: &str) -> bool {
    const PART: usize = 40;
    let characters: Vec<char> = password.chars().collect();
    characters.chunks(PART).all(|part| {
        let part: String = part.iter().collect();
        zxcvbn::zxcvbn(&part, &PRODUCT_WORDS).guesses() < COMMON_WITHIN_GUESSES
    })
}

impl Field for NewPassword {
    fn read(value: &Value) -> Result<Self, FieldError> {
        Self::new(text(value)?)
    }
}
