//! Small value types of commands, events and the contracts' state. A value is always well-formed,
//! because parsing and deserializing reject any other text.

use std::fmt;
use std::str::FromStr;

use gx_ledger_api::named;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not a valid id or code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Not a UUID in its lower-case hyphenated form.
    #[error("a command id is a UUID in lower case with hyphens")]
    Command,
    /// Not a Fabric User ID, a treasury or a pool.
    #[error("an account is a Fabric User ID, treasury_CC or a pool's name")]
    Account,
    /// Not 64 lower-case hexadecimal digits.
    #[error("a biometric hash is 64 lower-case hexadecimal digits")]
    BiometricHash,
    /// Not a code of 1 to 40 upper-case letters, digits and underscores.
    #[error("a reason code is 1 to 40 upper-case letters, digits and underscores")]
    ReasonCode,
}

/// The id of a command. The caller that requests the command derives it, so repeating the request
/// has no further effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommandId(Uuid);

impl CommandId {
    /// Namespace of the UUIDv5 ids derived by [`CommandId::derive`].
    const NAMESPACE: Uuid = Uuid::from_u128(0x8f1c_3c0e_54a1_5d3b_9b57_2a6f_0c1d_7e21);

    /// Derives the id from parts; the same parts always give the same id (UUIDv5 over the parts,
    /// each with its length).
    pub fn derive(parts: &[&str]) -> Self {
        let name: String = parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
        Self(Uuid::new_v5(&Self::NAMESPACE, name.as_bytes()))
    }
}

impl From<Uuid> for CommandId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for CommandId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let id = Self(Uuid::try_parse(text).map_err(|_| InvalidId::Command)?);
        if id.to_string() == text { Ok(id) } else { Err(InvalidId::Command) }
    }
}

/// HMAC-SHA-256 of a person's biometric sample: 64 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BiometricHash(String);

impl FromStr for BiometricHash {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 64 && text.bytes().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::BiometricHash)
        }
    }
}

impl fmt::Display for BiometricHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The reason of a freeze or a pause, as a code: no free text is stored on the ledger (G5).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReasonCode(String);

impl FromStr for ReasonCode {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        if (1..=40).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::ReasonCode)
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

named! {
    /// The class of a transfer, which decides its fee.
    pub enum TxType("a transaction type is P2P, MERCHANT, GOVERNMENT or B2B") {
        /// Between two people.
        P2p = "P2P",
        /// From a person to an organisation.
        Merchant = "MERCHANT",
        /// Payer or receiver is a government.
        Government = "GOVERNMENT",
        /// Between organisations.
        B2b = "B2B",
    }
}

macro_rules! text_on_the_wire {
    ($($name:ty),*) => {$(
        impl TryFrom<String> for $name {
            type Error = <$name as FromStr>::Err;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    )*};
}
pub(crate) use text_on_the_wire;
text_on_the_wire!(CommandId, BiometricHash, ReasonCode);
