//! Money: a whole number of Qirat, the smallest unit. The ledger and the database count Qirat;
//! services and people read and write [`Gx`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An amount of money in Qirat, never negative and never above the whole supply.
///
/// On the wire of the ledger it is a decimal string of Qirat (`"500000000"`), because JSON numbers
/// lose digits above 2^53. People read and write [`Gx`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Qirat(i64);

/// An amount as people read and write it: a decimal string of GX with at most
/// [`Qirat::DECIMALS`] decimals and no superfluous zeros (`"12.5"`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gx(pub Qirat);

/// Why a text or number is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAmount {
    /// The text is neither digits, nor digits, a point and one to six decimals.
    #[error("an amount is digits, with at most six decimals after a point, such as 12.5")]
    Syntax,
    /// The amount is negative or above the whole supply.
    #[error("an amount lies between 0 and the supply of 1250000000000 GX")]
    Range,
}

impl Qirat {
    /// Decimals of a GX: 1 GX = 10^6 Qirat.
    pub const DECIMALS: u32 = 6;
    /// Qirat in one GX.
    pub const PER_GX: i64 = 10_i64.pow(Self::DECIMALS);
    /// No money.
    pub const ZERO: Self = Self(0);
    /// The whole supply: 1.25 × 10^12 GX.
    pub const SUPPLY: Self = Self(1_250_000_000_000 * Self::PER_GX);

    /// Returns the amount of `qirat` Qirat.
    ///
    /// # Errors
    /// [`InvalidAmount::Range`] if the count is negative or above [`Qirat::SUPPLY`].
    pub const fn new(qirat: i64) -> Result<Self, InvalidAmount> {
        if qirat < 0 || qirat > Self::SUPPLY.0 {
            Err(InvalidAmount::Range)
        } else {
            Ok(Self(qirat))
        }
    }

    /// Returns the amount of `gx` whole GX.
    ///
    /// # Panics
    /// Panics if the amount is negative or above the supply; in a constant it does not compile.
    pub const fn gx(gx: i64) -> Self {
        assert!(gx >= 0 && gx <= Self::SUPPLY.0 / Self::PER_GX, "within the supply");
        Self(gx * Self::PER_GX)
    }

    /// Returns the amount of `qirat` Qirat, for constants. Panics outside 0 to the supply.
    pub(crate) const fn of(qirat: i64) -> Self {
        assert!(qirat >= 0 && qirat <= Self::SUPPLY.0, "within the supply");
        Self(qirat)
    }

    /// Returns the number of Qirat.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Returns the sum, or `None` if it exceeds the supply.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(|sum| Self::new(sum).ok())
    }

    /// Returns the difference, or `None` if it is negative.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Self::new(self.0 - other.0).ok()
    }

    /// Returns the amount times `count`, or `None` if the product is negative or exceeds the
    /// supply.
    pub fn checked_mul(self, count: i64) -> Option<Self> {
        self.0.checked_mul(count).and_then(|product| Self::new(product).ok())
    }

    /// Returns the given share in 1/10 000, rounded down.
    pub fn basis_points(self, basis_points: u16) -> Self {
        let share = i128::from(self.0) * i128::from(basis_points) / 10_000;
        Self(i64::try_from(share).expect("a u16 of basis points of the supply fits an i64"))
    }
}

impl Serialize for Qirat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Qirat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_qirat(&text).map_err(de::Error::custom)
    }
}

/// Parses Qirat as the ledger writes them: digits alone, no sign, no leading zeros.
impl FromStr for Qirat {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        parse_qirat(text)
    }
}

fn parse_qirat(text: &str) -> Result<Qirat, InvalidAmount> {
    let canonical = text == "0" || !text.starts_with('0');
    if text.is_empty() || !canonical || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(InvalidAmount::Syntax);
    }
    text.parse().map_err(|_| InvalidAmount::Range).and_then(Qirat::new)
}

impl fmt::Display for Qirat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Gx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0.0 / Qirat::PER_GX, self.0.0 % Qirat::PER_GX);
        if rest == 0 {
            return whole.fmt(f);
        }
        let decimals = format!("{rest:06}");
        write!(f, "{whole}.{}", decimals.trim_end_matches('0'))
    }
}

impl FromStr for Gx {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        let (whole, decimals) = match text.split_once('.') {
            Some((_, "")) => return Err(InvalidAmount::Syntax),
            Some(parts) => parts,
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(decimals) || decimals.len() > 6 {
            return Err(InvalidAmount::Syntax);
        }
        format!("{whole}{decimals:0<6}")
            .parse()
            .map_err(|_| InvalidAmount::Range)
            .and_then(Qirat::new)
            .map(Gx)
    }
}

impl Serialize for Gx {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Gx {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
