//! Countries and their shares of world population. Migrations store the list of this release in the
//! database, and the contracts compute grants from the shares.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::ids::text_on_the_wire;

/// A country code: two upper-case letters, by ISO 3166-1 alpha-2 (and XK). Whether the country
/// exists is decided by [`CountryList`] or the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CountryCode([u8; 2]);

/// Error: the text is not two upper-case letters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a country code is two upper-case letters")]
pub struct InvalidCountryCode;

impl FromStr for CountryCode {
    type Err = InvalidCountryCode;

    fn from_str(text: &str) -> Result<Self, InvalidCountryCode> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(Self([*a, *b])),
            _ => Err(InvalidCountryCode),
        }
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", char::from(self.0[0]), char::from(self.0[1]))
    }
}

text_on_the_wire!(CountryCode);

/// One country of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Country {
    /// The country's code.
    pub country_code: CountryCode,
    /// The country's English name.
    pub name: String,
    /// Share of world population in parts per 10^9.
    pub share_ppb: u32,
}

/// All countries that GX knows. Codes are unique and sorted, and the shares sum to exactly 10^9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountryList(Vec<Country>);

/// Why a country file is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CountryListError {
    /// A line is not `code,name,share`.
    #[error("line {line}: {reason}")]
    Line {
        /// Number of the line; the header is line 1.
        line: u64,
        /// What is wrong with the line.
        reason: String,
    },
    /// A code occurs twice.
    #[error("country {0} is listed twice")]
    Twice(CountryCode),
    /// The shares do not sum to 10^9.
    #[error("the shares sum to {0} parts per 10^9, not to 1000000000")]
    Sum(u64),
}

impl CountryList {
    /// The sum that the shares of all countries must have.
    pub const SHARE_TOTAL: u64 = 1_000_000_000;

    /// Returns the list that this release was built with: the one source for database and ledger.
    pub fn embedded() -> &'static Self {
        static LIST: LazyLock<CountryList> = LazyLock::new(|| {
            CountryList::parse(include_str!("../countries.csv"))
                .expect("the embedded country file is checked by a test")
        });
        &LIST
    }

    /// Parses a country file with the header `countryCode,name,sharePpb`.
    ///
    /// # Errors
    /// [`CountryListError`] names the line or the country that is wrong, or the wrong sum.
    pub fn parse(text: &str) -> Result<Self, CountryListError> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let mut countries = BTreeMap::new();
        for row in reader.deserialize::<Country>() {
            let country = row.map_err(|why| CountryListError::line(&why))?;
            let code = country.country_code;
            if countries.insert(code, country).is_some() {
                return Err(CountryListError::Twice(code));
            }
        }
        let sum = countries.values().map(|country| u64::from(country.share_ppb)).sum();
        if sum != Self::SHARE_TOTAL {
            return Err(CountryListError::Sum(sum));
        }
        Ok(Self(countries.into_values().collect()))
    }

    /// Returns the countries, sorted by code.
    pub fn iter(&self) -> std::slice::Iter<'_, Country> {
        self.0.iter()
    }

    /// Returns the country with this code, or `None` if the list does not have it.
    pub fn get(&self, code: CountryCode) -> Option<&Country> {
        let at = self.0.binary_search_by_key(&code, |country| country.country_code).ok()?;
        self.0.get(at)
    }
}

impl<'a> IntoIterator for &'a CountryList {
    type Item = &'a Country;
    type IntoIter = std::slice::Iter<'a, Country>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl CountryListError {
    fn line(why: &csv::Error) -> Self {
        let line = why.position().map_or(0, csv::Position::line);
        let reason = match why.kind() {
            csv::ErrorKind::Deserialize { err, .. } => err.to_string(),
            _ => why.to_string(),
        };
        Self::Line { line, reason }
    }
}
