//! What a person says about themselves, each fact parsed.

use email_address::{EmailAddress, Options};
use gx_model::{CountryCode, CountryList, Gender, economics};
use gx_serve::fields::{Field, FieldError, Fields, text};
use serde_json::Value;
use time::Date;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

/// Longest name, in characters.
const NAME_LIMIT: usize = 50;
/// Longest e-mail address, in bytes (RFC 5321).
const EMAIL_LIMIT: usize = 254;
/// Longest phone number as people write it.
const PHONE_LIMIT: usize = 32;
/// Digits of a number in E.164, its country code included. Some national plans know longer ones.
const E164_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Who may register.
const AGES: std::ops::RangeInclusive<u8> = 13..=120;
/// `2025-11-25`.
pub(crate) const DATE: StaticFormatDescription = format_description!("[year]-[month]-[day]");

/// A first or last name: letters of any script, with single spaces, hyphens and apostrophes
/// between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) String);

/// An address in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Email(pub(crate) String);

/// A number in E.164.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Phone(pub(crate) String);

/// A country of the list; lower case is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nationality(pub(crate) CountryCode);

/// A date that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BirthDate(pub(crate) Date);

/// `male` or `female` in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnyCaseGender(pub(crate) Gender);

/// Number of a national document: letters, digits, hyphens, slashes and spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentityNumber(pub(crate) String);

impl Field for Name {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let name = text(value)?;
        match name.chars().count() {
            0 => return Err(FieldError::new("too_short", "must not be empty")),
            1..=NAME_LIMIT => {}
            _ => {
                let message = format!("must have at most {NAME_LIMIT} characters");
                return Err(FieldError::new("too_long", message));
            }
        }
        let mut after_letter = false;
        for character in name.chars() {
            let separator = matches!(character, ' ' | '-' | '\'' | '\u{2019}');
            let mark = is_mark(character);
            // A mark or a joiner alone would be a name that nobody can see.
            if !(character.is_alphabetic() || (separator || mark) && after_letter) {
                return Err(bad_name());
            }
            after_letter = !separator;
        }
        if after_letter { Ok(Self(name.to_owned())) } else { Err(bad_name()) }
    }
}

fn bad_name() -> FieldError {
    FieldError::new(
        "format",
        "must consist of letters, with single spaces, hyphens or apostrophes between them",
    )
}

/// A mark that letters of some scripts carry and that Unicode does not call alphabetic:
/// accents, nuktas, viramas, joiners.
fn is_mark(character: char) -> bool {
    matches!(character,
        '\u{300}'..='\u{36f}' | '\u{1dc0}'..='\u{1dff}' | '\u{200c}' | '\u{200d}'
        | '\u{93c}' | '\u{94d}' | '\u{9bc}' | '\u{9cd}' | '\u{a3c}' | '\u{a4d}'
        | '\u{abc}' | '\u{acd}' | '\u{b3c}' | '\u{b4d}' | '\u{bcd}' | '\u{c4d}'
        | '\u{cbc}' | '\u{ccd}' | '\u{d4d}' | '\u{dca}' | '\u{e3a}' | '\u{e47}'..='\u{e4e}'
        | '\u{ec8}'..='\u{ecc}' | '\u{f84}' | '\u{1037}' | '\u{1039}' | '\u{103a}'
        | '\u{17d2}' | '\u{64b}'..='\u{65f}')
}

impl Field for Email {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let given = text(value)?;
        if given.len() > EMAIL_LIMIT {
            let message = format!("must have at most {EMAIL_LIMIT} bytes");
            return Err(FieldError::new("too_long", message));
        }
        let options =
            Options::default().with_required_tld().without_display_text().without_domain_literal();
        EmailAddress::parse_with_options(given, options)
            .map(|address| Self(address.as_str().to_lowercase()))
            .map_err(|why| FieldError::new("format", format!("must be an e-mail address: {why}")))
    }
}

impl Field for Phone {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let given = text(value)?;
        if given.len() > PHONE_LIMIT {
            let message = format!("must have at most {PHONE_LIMIT} characters");
            return Err(FieldError::new("too_long", message));
        }
        let refused = || {
            let message = "must be a phone number with its country code, such as +60123456790";
            FieldError::new("format", message)
        };
        let plain = |c: char| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '(' | ')' | '.');
        if !given.starts_with('+') || !given.chars().all(plain) {
            return Err(refused());
        }
        let number = phonenumber::parse(None, given).map_err(|_| refused())?;
        if !phonenumber::is_valid(&number) {
            return Err(refused());
        }
        let written = number.format().mode(phonenumber::Mode::E164).to_string();
        let digits = written.bytes().filter(u8::is_ascii_digit).count();
        if E164_DIGITS.contains(&digits) { Ok(Self(written)) } else { Err(refused()) }
    }
}

impl Field for Nationality {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let refused = || FieldError::new("format", "must be an ISO 3166-1 code such as MY");
        let code: CountryCode = text(value)?.to_ascii_uppercase().parse().map_err(|_| refused())?;
        match CountryList::embedded().get(code) {
            Some(_) => Ok(Self(code)),
            None => Err(FieldError::new("unknown_country", "must be a country that GX knows")),
        }
    }
}

impl Field for BirthDate {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let given = text(value)?;
        let refused = || FieldError::new("format", "must be a date such as 1992-08-20");
        if given.len() != "1992-08-20".len() {
            return Err(refused());
        }
        Date::parse(given, DATE).map(Self).map_err(|_| refused())
    }
}

impl BirthDate {
    /// Refuses, in the field's name, who is too young or too old to register.
    pub(crate) fn check_age(self, fields: &mut Fields, name: &str) {
        let today = fields.now().date();
        if self.0 > today || !AGES.contains(&economics::age_on(self.0, today)) {
            let message = format!("must make you {} to {} years old", AGES.start(), AGES.end());
            fields.refuse(name, FieldError::new("range", message));
        }
    }
}

impl Field for AnyCaseGender {
    fn read(value: &Value) -> Result<Self, FieldError> {
        Gender::from_name(&text(value)?.to_lowercase())
            .map(Self)
            .ok_or_else(|| FieldError::new("format", "must be male or female"))
    }
}

impl Field for IdentityNumber {
    fn read(value: &Value) -> Result<Self, FieldError> {
        const LIMIT: usize = 40;
        let given = text(value)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '/' | ' ');
        if given.is_empty() || given.len() > LIMIT || !given.chars().all(plain) {
            let message = format!("must be 1 to {LIMIT} letters, digits, hyphens or slashes");
            return Err(FieldError::new("format", message));
        }
        Ok(Self(given.to_owned()))
    }
}
