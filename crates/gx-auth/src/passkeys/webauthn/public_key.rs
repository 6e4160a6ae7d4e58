//! Public keys in COSE (section 6.5.1.1, RFC 9052 and 9053) and their signatures (section 6.5.5).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};

use super::PasskeyRefusal;
use super::cbor::{self, Members};

/// Labels of a COSE key: the common ones, and those of each type of key.
const KEY_TYPE: i64 = 1;
const ALGORITHM: i64 = 3;
const CURVE: i64 = -1;
const X: i64 = -2;
const Y: i64 = -3;
const RSA_MODULUS: i64 = -1;
const RSA_EXPONENT: i64 = -2;

/// Types of keys: octet key pairs, elliptic curves with two coordinates, and RSA (RFC 8230).
const OKP: i64 = 1;
const EC2: i64 = 2;
const RSA: i64 = 3;
/// The curves.
const P256: i64 = 1;
const CURVE_ED25519: i64 = 6;

/// Bytes of a coordinate of P-256 and of an Ed25519 key.
const COORDINATE_BYTES: usize = 32;
/// Lead byte of a point of which both coordinates are given.
const UNCOMPRESSED: u8 = 4;
/// Limits of an RSA key, so that a strange one does not cost much: 2048 to 4096 bits.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=512;
const MAX_RSA_EXPONENT_BYTES: usize = 4;

/// An algorithm of signatures that a passkey may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// Ed25519. Authenticators know it under the number of EdDSA.
    Ed25519,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Algorithm {
    /// All algorithms, the preferred one first.
    pub(crate) const ALL: [Self; 3] = [Self::Es256, Self::Ed25519, Self::Rs256];

    /// Returns the number in the registry of COSE.
    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::Ed25519 => -8,
            Self::Rs256 => -257,
        }
    }
}

/// A public key that is valid for its algorithm.
#[derive(Debug)]
pub(super) struct PublicKey {
    pub(super) algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl PublicKey {
    /// Reads a COSE key of one of the offered algorithms (section 7.1, `alg`).
    pub(super) fn read(cose: &[u8]) -> Result<Self, PasskeyRefusal> {
        Self::parse(cose).ok_or(PasskeyRefusal::PublicKey)
    }

    fn parse(cose: &[u8]) -> Option<Self> {
        let members = Members::of(cbor::read_whole(cose)?)?;
        let number = members.number(ALGORITHM)?;
        let algorithm = Algorithm::ALL.into_iter().find(|known| known.number() == number)?;
        let is_of = |key_type| members.number(KEY_TYPE) == Some(key_type);
        let key = match algorithm {
            Algorithm::Es256 if is_of(EC2) => es256(&members)?,
            Algorithm::Ed25519 if is_of(OKP) => ed25519(&members)?,
            Algorithm::Rs256 if is_of(RSA) => rs256(&members)?,
            _ => return None,
        };
        Some(Self { algorithm, key })
    }

    /// Checks a signature.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), PasskeyRefusal> {
        self.key.verify_sig(message, signature).map_err(|_| PasskeyRefusal::Signature)
    }
}

fn es256(members: &Members) -> Option<ParsedPublicKey> {
    let (x, y) = (members.bytes(X)?, members.bytes(Y)?);
    let is_whole = x.len() == COORDINATE_BYTES && y.len() == COORDINATE_BYTES;
    if members.number(CURVE) != Some(P256) || !is_whole {
        return None;
    }
    ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, [&[UNCOMPRESSED][..], x, y].concat()).ok()
}

fn ed25519(members: &Members) -> Option<ParsedPublicKey> {
    let x = members.bytes(X)?;
    if members.number(CURVE) != Some(CURVE_ED25519) || x.len() != COORDINATE_BYTES {
        return None;
    }
    ParsedPublicKey::new(&ED25519, x).ok()
}

fn rs256(members: &Members) -> Option<ParsedPublicKey> {
    let (n, e) = (members.bytes(RSA_MODULUS)?, members.bytes(RSA_EXPONENT)?);
    if !RSA_MODULUS_BYTES.contains(&n.len()) || e.len() > MAX_RSA_EXPONENT_BYTES {
        return None;
    }
    RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()
}
