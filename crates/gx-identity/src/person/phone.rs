//! Parses phone numbers as people write and copy them. Called when the body of a registration or of
//! a change of a profile is read; an error becomes one of the field errors of the answer.

use gx_serve::characters::{european_digit, is_space, named, without_traces_of_pasting};
use gx_serve::fields::{Field, FieldError, text};
use phonenumber::Type;
use phonenumber::metadata::DATABASE;
use serde_json::Value;

/// Longest text of a phone number, in characters.
pub(crate) const PHONE_LIMIT: usize = 40;
/// Number of digits in E.164, with the country code. Longer numbers of national plans are refused.
const E164_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Marks between a number and its extension.
const EXTENSION_MARKS: [&str; 10] = ["ext", "ex", "x", "#", ";", ",", "доб", "anexo", "int", "вн"];

/// A phone number in E.164.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Phone(pub(crate) String);

impl Field for Phone {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let given = text(value)?;
        let given = without_traces_of_pasting(given);
        if given.chars().count() > PHONE_LIMIT {
            let message = format!("must have at most {PHONE_LIMIT} characters");
            return Err(FieldError::new("too_long", message));
        }
        let mut written: String = given.chars().map(plain).collect();
        if written.starts_with("(+") {
            written = written.replacen('(', "", 1).replacen(')', " ", 1);
        }
        if !written.starts_with('+') {
            return Err(refused());
        }
        check_characters(&written)?;
        let number = phonenumber::parse(None, &written).map_err(|_| refused())?;
        let e164 = number.format().mode(phonenumber::Mode::E164).to_string();
        match number.number_type(&DATABASE) {
            Type::TollFree => return Err(of_a_service("a toll-free number")),
            Type::PremiumRate => return Err(of_a_service("a premium-rate number")),
            Type::SharedCost => return Err(of_a_service("a shared-cost number")),
            _ => {}
        }
        let digits = e164.bytes().filter(u8::is_ascii_digit).count();
        if phonenumber::is_valid(&number) && E164_DIGITS.contains(&digits) {
            Ok(Self(e164))
        } else {
            Err(refused())
        }
    }
}

fn refused() -> FieldError {
    let message = "must be a phone number with its country code, such as +60123456790";
    FieldError::new("format", message)
}

fn of_a_service(what: &str) -> FieldError {
    FieldError::new("not_personal", format!("is {what}; give one at which you can be reached"))
}

/// Returns the ASCII character with the same meaning.
fn plain(c: char) -> char {
    match european_digit(c) {
        '\u{ff0b}' | '\u{fe62}' => '+',
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' | '\u{fe63}' => '-',
        '\u{ff08}' => '(',
        '\u{ff09}' => ')',
        '\u{ff0e}' | '\u{b7}' => '.',
        c if is_space(c) => ' ',
        c => c,
    }
}

/// Checks that the text has only digits and the separators that people write between them.
fn check_characters(written: &str) -> Result<(), FieldError> {
    let usual = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '-' | '(' | ')' | '.' | '/');
    let Some(at) = written.char_indices().skip(1).find(|(_, c)| !usual(*c)) else { return Ok(()) };
    let (at, wrong) = at;
    let rest = written[at..].to_lowercase();
    let after_a_number = written[..at].chars().filter(char::is_ascii_digit).count() > 5;
    let announced = EXTENSION_MARKS.iter().any(|word| rest.starts_with(word));
    if after_a_number && announced && rest.ends_with(|c: char| c.is_ascii_digit()) {
        let message = "has an extension; give a number at which you answer yourself";
        return Err(FieldError::new("extension", message));
    }
    let message = format!("must not have {} in a phone number", named(wrong));
    Err(FieldError::new("format", message))
}
