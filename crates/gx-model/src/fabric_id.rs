//! The Fabric User ID: `CC CCC AAANNN TCCCC NNNN`, 24 characters in five blocks. An approval
//! generates one (`gx_admin::review`); contracts, services and commands parse it.
//!
//! The blocks are: the country; three hex digits of a checksum over e-mail, birth date and country;
//! birth date and gender; account type and four random letters; four random digits.

use std::fmt;
use std::str::FromStr;

use gx_ledger_api::named;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use time::macros::date;
use time::{Date, Duration};

use crate::ids::text_on_the_wire;
use crate::{AccountType, CountryCode};

/// A well-formed Fabric User ID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FabricUserId(String);

/// The facts that an id is generated from. The rest of an id is random.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdSubject {
    /// The e-mail address; its case does not matter.
    pub email: String,
    /// Date of birth, or of founding.
    pub birth_date: Date,
    /// The country.
    pub country: CountryCode,
    /// The gender; ignored for account types other than individual.
    pub gender: Gender,
    /// The type of the account's holder.
    pub account_type: AccountType,
}

named! {
    /// A person's gender, as the birth-date block encodes it.
    pub enum Gender("a gender is male or female") {
        /// Adds nothing to the birth-date block.
        Male = "male",
        /// Adds 500 000 to the birth-date block.
        Female = "female",
    }
}

/// Why a text is not a Fabric User ID, or why no id can be generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFabricUserId {
    /// The text is not five blocks of the right characters.
    #[error(
        "a Fabric User ID has the form CC CCC AAANNN TCCCC NNNN, such as MY 463 AUN834 0QKZB 5821"
    )]
    Form,
    /// The fourth block begins with a reserved account type.
    #[error("the account types B, C and D are reserved")]
    AccountType,
    /// The birth date is outside 1900-01-01..=4000-01-01.
    #[error("a birth date in a Fabric User ID lies between 1900-01-01 and 4000-01-01")]
    BirthDate,
}

/// The first fact that contradicts an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdMismatch {
    /// The first block has another country.
    #[error("the id names another country")]
    Country,
    /// The third block has another birth date.
    #[error("the id names another birth date")]
    BirthDate,
    /// The second block is the checksum of other facts. If country and birth date match, the e-mail
    /// address differs.
    #[error("the id's checksum is not that of this e-mail address, birth date and country")]
    Checksum,
}

const FIRST_DATE: Date = date!(1900 - 01 - 01);
const LAST_DATE: Date = date!(4000 - 01 - 01);
const FEMALE_OFFSET: i64 = 500_000;
const ORGANISATION_OFFSET: i64 = 1_000_000;

impl FabricUserId {
    /// Generates an id. `rng` must be a CSPRNG. If the id is already taken, the caller generates
    /// another one.
    ///
    /// # Errors
    /// [`InvalidFabricUserId::BirthDate`] if the date is outside the format.
    pub fn generate(subject: &IdSubject, rng: &mut impl Rng) -> Result<Self, InvalidFabricUserId> {
        let IdSubject { email, birth_date, country, gender, account_type } = subject;
        if !(FIRST_DATE..=LAST_DATE).contains(birth_date) {
            return Err(InvalidFabricUserId::BirthDate);
        }
        let checksum = checksum(email, *birth_date, *country);
        let birth = birth_block(*birth_date, *gender, *account_type);
        let class = account_type.digit();
        let letters: String = (0..4).map(|_| char::from(rng.random_range(b'A'..=b'Z'))).collect();
        let digits = rng.random_range(0..10_000);
        Ok(Self(format!("{country} {checksum} {birth} {class}{letters} {digits:04}")))
    }

    /// Parses an id as people type or paste it: in upper or lower case, with or without white space
    /// between its characters, and with the invisible characters that programs add to copied text.
    /// Routes and `gx` commands read ids in this way; the ledger and the database have the one form
    /// that [`str::parse`] reads.
    ///
    /// # Errors
    /// [`InvalidFabricUserId`] if the other characters are not an id.
    pub fn from_pasted(text: &str) -> Result<Self, InvalidFabricUserId> {
        const BLOCKS: [std::ops::Range<usize>; 5] = [0..2, 2..5, 5..11, 11..16, 16..20];
        let typed = text.chars().filter(|c| !c.is_whitespace() && !comes_with_pasting(*c));
        let typed: String = typed.map(|c| c.to_ascii_uppercase()).collect();
        let blocks = BLOCKS.map(|block| typed.get(block).unwrap_or_default());
        if !typed.is_ascii() || typed.len() != BLOCKS[4].end {
            return Err(InvalidFabricUserId::Form);
        }
        blocks.join(" ").parse()
    }

    /// Returns the id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the country in the first block.
    pub fn country(&self) -> CountryCode {
        self.0[..2].parse().expect("a parsed id begins with a country code")
    }

    /// Returns the account type in the fourth block.
    pub fn account_type(&self) -> AccountType {
        AccountType::from_digit(char::from(self.0.as_bytes()[14]))
            .expect("a parsed id has a known account type")
    }

    /// Returns the date in the third block. The format has a collision: a man born after 3268-12-13
    /// has the block of a woman born 500 000 days earlier, and is read as that woman.
    pub fn birth_date(&self) -> Date {
        self.birth().expect("a parsed id has a birth date").0
    }

    /// Returns the gender in the third block, or `None` for an organisation.
    pub fn gender(&self) -> Option<Gender> {
        self.birth().expect("a parsed id has a birth date").1
    }

    /// Checks that the id agrees with these facts.
    ///
    /// # Errors
    /// [`IdMismatch`] names the first fact that differs.
    pub fn verify(
        &self,
        email: &str,
        birth_date: Date,
        country: CountryCode,
    ) -> Result<(), IdMismatch> {
        let days = (birth_date - FIRST_DATE).whole_days();
        let offset = offset(&self.0[7..13]);
        let same_day = match self.account_type() {
            AccountType::Individual => offset == days || offset == days + FEMALE_OFFSET,
            _ => offset == days + ORGANISATION_OFFSET,
        };
        if self.country() != country {
            Err(IdMismatch::Country)
        } else if !same_day {
            Err(IdMismatch::BirthDate)
        } else if self.0[3..6] != checksum(email, birth_date, country) {
            Err(IdMismatch::Checksum)
        } else {
            Ok(())
        }
    }

    /// Returns the facts in the third block, or `None` if it encodes no valid date.
    fn birth(&self) -> Option<(Date, Option<Gender>)> {
        let offset = offset(&self.0[7..13]);
        let (days, gender) = match self.account_type() {
            AccountType::Individual if offset < FEMALE_OFFSET => (offset, Some(Gender::Male)),
            AccountType::Individual => (offset - FEMALE_OFFSET, Some(Gender::Female)),
            _ => (offset - ORGANISATION_OFFSET, None),
        };
        let last = (LAST_DATE - FIRST_DATE).whole_days();
        (0..=last).contains(&days).then(|| (FIRST_DATE + Duration::days(days), gender))
    }
}

impl FromStr for FabricUserId {
    type Err = InvalidFabricUserId;

    fn from_str(text: &str) -> Result<Self, InvalidFabricUserId> {
        const FORM: &[u8] = b"AA HHH AAA000 HAAAA 0000";
        let fits = |(byte, class): (u8, &u8)| match class {
            b'A' => byte.is_ascii_uppercase(),
            b'H' => byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte),
            b'0' => byte.is_ascii_digit(),
            space => byte == *space,
        };
        if text.len() != FORM.len() || !text.bytes().zip(FORM).all(fits) {
            return Err(InvalidFabricUserId::Form);
        }
        if AccountType::from_digit(char::from(text.as_bytes()[14])).is_none() {
            return Err(InvalidFabricUserId::AccountType);
        }
        let id = Self(text.to_owned());
        if id.birth().is_none() { Err(InvalidFabricUserId::BirthDate) } else { Ok(id) }
    }
}

impl fmt::Display for FabricUserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_on_the_wire!(FabricUserId);

/// Returns whether programs add this character to copied text: marks of direction, joiners and
/// spaces without width, soft hyphens, byte order marks.
fn comes_with_pasting(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Returns the first three hex digits of SHA-1 over lower-cased e-mail, `YYYY-MM-DD` and country.
fn checksum(email: &str, birth_date: Date, country: CountryCode) -> String {
    let digest = Sha1::digest(format!("{}{birth_date}{country}", email.to_lowercase()));
    format!("{:02X}{:X}", digest[0], digest[1] >> 4)
}

/// Returns the birth-date block: days since 1900-01-01 plus the offset for gender or organisation,
/// with the thousands as three letters in base 26 and the rest as three digits.
fn birth_block(birth_date: Date, gender: Gender, account_type: AccountType) -> String {
    let days = (birth_date - FIRST_DATE).whole_days();
    let offset = match (account_type, gender) {
        (AccountType::Individual, Gender::Male) => days,
        (AccountType::Individual, Gender::Female) => days + FEMALE_OFFSET,
        _ => days + ORGANISATION_OFFSET,
    };
    let thousands = offset / 1000;
    let letter = |digit: i64| {
        char::from(b'A' + u8::try_from(digit % 26).expect("a remainder of 26 fits a byte"))
    };
    let [a, b, c] = [letter(thousands / 676), letter(thousands / 26), letter(thousands)];
    format!("{a}{b}{c}{:03}", offset % 1000)
}

/// Returns the number that a birth-date block encodes.
fn offset(block: &str) -> i64 {
    let (letters, digits) = block.split_at(3);
    let thousands = letters.bytes().fold(0, |sum, b| sum * 26 + i64::from(b - b'A'));
    thousands * 1000 + digits.parse::<i64>().expect("a parsed id has three digits here")
}
