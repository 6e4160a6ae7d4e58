//! The facts that people state about themselves, parsed and checked when the body of a registration
//! or of a change of a profile is read. A `FieldError` becomes one of the field errors of the
//! answer.

mod identity_number;
mod name;
mod phone;
#[cfg(test)]
mod tests;

use gx_model::{CountryCode, CountryList, Gender, economics};
use gx_serve::fields::{Field, FieldError, Fields, text};
use serde_json::Value;
use time::Date;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

pub(crate) use identity_number::IdentityNumber;
pub(crate) use name::Name;
pub(crate) use phone::Phone;

/// Ages of people who may register.
const AGES: std::ops::RangeInclusive<u8> = 13..=120;
/// Format of dates, such as `2025-11-25`.
pub(crate) const DATE: StaticFormatDescription = format_description!("[year]-[month]-[day]");

/// A country of the list of countries; lower case is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nationality(pub(crate) CountryCode);

/// A date of birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BirthDate(pub(crate) Date);

/// A gender: `male` or `female` in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnyCaseGender(pub(crate) Gender);

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
        day(value).map(Self)
    }
}

/// Reads a day, such as `1992-08-20`.
pub(crate) fn day(value: &Value) -> Result<Date, FieldError> {
    let given = text(value)?;
    let refused = || FieldError::new("format", "must be a date such as 1992-08-20");
    if given.len() != "1992-08-20".len() {
        return Err(refused());
    }
    Date::parse(given, DATE).map_err(|_| refused())
}

impl BirthDate {
    /// Adds an error for the field `name` if the person is too young or too old to register.
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
