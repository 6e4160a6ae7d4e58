//! Parses the number of a national document, when the body of a change of a profile is read. An
//! error becomes one of the field errors of the problem `validation_failed`.

use gx_serve::characters::{
    european_digit, is_digit, is_letter, is_mark, named, nfc, pile_refusal, piled_up,
};
use gx_serve::fields::{Field, FieldError, text};
use serde_json::Value;

/// Longest number, in characters.
pub(crate) const IDENTITY_NUMBER_LIMIT: usize = 40;

/// The number of a national document: letters and digits of any script, with the separators that
/// documents have. Stored as written, in normalisation form C and with European digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentityNumber(pub(crate) String);

impl Field for IdentityNumber {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let given = text(value)?;
        if given.is_empty() {
            return Err(FieldError::new("too_short", "must not be empty"));
        }
        if given.chars().take(IDENTITY_NUMBER_LIMIT * 3 + 1).count() > IDENTITY_NUMBER_LIMIT * 3 {
            return Err(too_long());
        }
        let number: String = nfc(given).chars().map(european_digit).collect();
        if number.chars().count() > IDENTITY_NUMBER_LIMIT {
            return Err(too_long());
        }
        check(&number)?;
        Ok(Self(number))
    }
}

fn too_long() -> FieldError {
    FieldError::new("too_long", format!("must have at most {IDENTITY_NUMBER_LIMIT} characters"))
}

/// Returns whether a character may separate letters and digits. In Finland and Sweden a plus
/// replaces the hyphen for people who are older than a hundred years.
fn is_separator(c: char) -> bool {
    matches!(c, '-' | '/' | '.' | ' ' | '+')
}

/// Checks that the number begins and ends with a letter or digit, that at most one separator is
/// between two of them, and that brackets are closed and not empty.
fn check(number: &str) -> Result<(), FieldError> {
    let wrong = |message: String| Err(FieldError::new("format", message));
    if let Some(mark) = piled_up(number) {
        return Err(pile_refusal(mark));
    }
    let (mut open, mut before, mut digits) = (false, None, 0_usize);
    for c in number.chars() {
        let joins_on = before.is_some_and(|c: char| !is_separator(c) && c != '(');
        let fits = match c {
            '(' => !open && before.is_some_and(|c: char| c != ')'),
            ')' => open && joins_on,
            c if is_separator(c) => joins_on,
            c if is_mark(c) => joins_on && before != Some(')'),
            c => is_letter(c) || is_digit(c),
        };
        if !fits {
            let known = is_separator(c) || matches!(c, '(' | ')');
            return wrong(match before {
                None if c == ' ' => "must not begin with a blank".to_owned(),
                None => format!("must begin with a letter or digit, not with {}", named(c)),
                Some(_) if known => format!("has {} where it separates nothing", named(c)),
                Some(_) => format!(
                    "must not have {}; between letters and digits are blanks, - / . + ( )",
                    named(c)
                ),
            });
        }
        match c {
            '(' => open = true,
            ')' => open = false,
            c if is_digit(c) => digits += 1,
            _ => {}
        }
        before = Some(c);
    }
    match before {
        _ if open => wrong("has a bracket that is not closed".to_owned()),
        Some(' ') => wrong("must not end with a blank".to_owned()),
        Some(c) if is_separator(c) => wrong(format!("must not end with {}", named(c))),
        _ if digits == 0 => wrong("must have a digit".to_owned()),
        _ => Ok(()),
    }
}
