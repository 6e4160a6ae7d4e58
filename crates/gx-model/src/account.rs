//! Accounts of the ledger: a person, a country's treasury or a pool. Commands, events, the
//! contracts' state and the read model name them by the text of [`AccountId`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{CountryCode, FabricUserId, InvalidId, Qirat};

/// A holder of money on the ledger. Its text form is the account id on the wire and in SQL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountId {
    /// A person or an organisation.
    User(FabricUserId),
    /// A country's treasury, written `treasury_MY`.
    Treasury(CountryCode),
    /// One of the system's pools, written as the pool's name.
    Pool(Pool),
}

/// The pools that hold the whole supply after bootstrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pool {
    /// Pays the genesis grants of people.
    UserGenesis,
    /// Pays the part of each grant that goes to a country's treasury.
    GovtGenesis,
    /// For charitable purposes.
    Charitable,
    /// For loans.
    Loan,
    /// For GX itself.
    Gx,
    /// Receives the transfer fees.
    OperationsFund,
}

impl Pool {
    /// All pools, in the order in which bootstrap writes them.
    pub const ALL: [Self; 6] = [
        Self::UserGenesis,
        Self::GovtGenesis,
        Self::Charitable,
        Self::Loan,
        Self::Gx,
        Self::OperationsFund,
    ];

    /// Returns the account id of the pool.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UserGenesis => "SYSTEM_USER_GENESIS_POOL",
            Self::GovtGenesis => "SYSTEM_GOVT_GENESIS_POOL",
            Self::Charitable => "SYSTEM_CHARITABLE_POOL",
            Self::Loan => "SYSTEM_LOAN_POOL",
            Self::Gx => "SYSTEM_GX_POOL",
            Self::OperationsFund => "SYSTEM_OPERATIONS_FUND",
        }
    }

    /// Returns the balance that bootstrap gives the pool.
    pub const fn start(self) -> Qirat {
        match self {
            Self::UserGenesis => Qirat::gx(577_500_000_000),
            Self::GovtGenesis => Qirat::gx(152_000_000_000),
            Self::Charitable => Qirat::gx(158_000_000_000),
            Self::Loan => Qirat::gx(312_500_000_000),
            Self::Gx => Qirat::gx(31_250_000_000),
            Self::OperationsFund => Qirat::gx(18_750_000_000),
        }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::Treasury(country) => write!(f, "treasury_{country}"),
            Self::Pool(pool) => f.write_str(pool.name()),
        }
    }
}

impl FromStr for AccountId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if let Some(country) = text.strip_prefix("treasury_") {
            return country.parse().map(Self::Treasury).map_err(|_| InvalidId::Account);
        }
        if let Some(pool) = Pool::ALL.into_iter().find(|pool| pool.name() == text) {
            return Ok(Self::Pool(pool));
        }
        text.parse().map(Self::User).map_err(|_| InvalidId::Account)
    }
}

impl Serialize for AccountId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
