//! Codes of second factors: TOTP codes of 30 seconds (RFC 6238), and recovery codes.

use gx_serve::Entropy;
use gx_serve::fields::{Field, FieldError, text};
use qrcode::QrCode;
use qrcode::render::svg;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use totp_rs::{Builder, Totp};

/// Limit of a code as it is typed, in characters.
const MAX_CHARACTERS: usize = 64;
/// Digits of a TOTP code.
const TOTP_DIGITS: usize = 6;
/// Characters of a recovery code without its dashes: 120 bits.
const RECOVERY_CHARACTERS: usize = 24;
/// Characters between two dashes of a recovery code.
const RECOVERY_GROUP: usize = 4;
/// Crockford's alphabet: without i, l, o and u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Number of recovery codes that a factor gets.
pub(super) const RECOVERY_CODES: usize = 10;
/// Bytes of a TOTP secret: the length of HMAC-SHA-1's output (RFC 4226, 4).
pub(super) const SECRET_BYTES: usize = 20;
/// Name that authenticators show.
const ISSUER: &str = "GX";
/// Side of a module of the QR code, in pixels.
const QR_MODULE_PIXELS: u32 = 4;

/// A code that a client has sent: of an authenticator, or a recovery code. Blanks, dashes and case
/// do not matter.
#[derive(Clone, Debug)]
pub struct FactorCode(SecretString);

/// What a code is by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CodeKind {
    /// An empty text, which counts as no code.
    Empty,
    /// A recovery code.
    Recovery,
    /// A TOTP code, or a text that is no code.
    Other,
}

impl FactorCode {
    /// Creates a code from a text.
    pub fn new(given: &str) -> Self {
        let plain = given.chars().filter(|c| !c.is_whitespace() && *c != '-');
        Self(plain.flat_map(char::to_lowercase).collect::<String>().into())
    }

    pub(super) fn kind(&self) -> CodeKind {
        match self.0.expose_secret().len() {
            0 => CodeKind::Empty,
            RECOVERY_CHARACTERS => CodeKind::Recovery,
            _ => CodeKind::Other,
        }
    }

    /// Returns the hash under which a recovery code of this factor is stored.
    pub(super) fn recovery_hash(&self, factor_id: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(factor_id);
        hash.update(":");
        hash.update(self.0.expose_secret());
        hash.finalize().into()
    }
}

impl Field for FactorCode {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let given = text(value)?;
        if given.chars().count() > MAX_CHARACTERS {
            let message = format!("must have at most {MAX_CHARACTERS} characters");
            return Err(FieldError::new("too_long", message));
        }
        Ok(Self::new(given))
    }
}

fn totp(secret: &[u8], account: &str) -> Totp {
    // A label cannot contain a colon, which quoted addresses may have.
    let account = account.replace(':', "_");
    let builder = Builder::new().with_secret(secret.to_vec()).with_issuer(Some(ISSUER));
    builder.with_account_name(account).build().expect("secret, issuer and label have valid forms")
}

fn unix_s(now: OffsetDateTime) -> u64 {
    u64::try_from(now.unix_timestamp()).expect("the clock is after 1970")
}

/// Returns the time step of a TOTP code: the present one, the one before or the one after. `None`
/// if the code is of none of them.
pub(super) fn step(secret: &[u8], code: &FactorCode, now: OffsetDateTime) -> Option<i64> {
    let code = code.0.expose_secret();
    if code.len() != TOTP_DIGITS {
        return None;
    }
    let step = totp(secret, "").check(code, unix_s(now))?;
    Some(i64::try_from(step).expect("a step is a time divided by 30"))
}

/// What an authenticator needs of a new secret.
pub(super) struct Enrolment {
    /// The secret in base32.
    pub(super) secret: String,
    /// `otpauth:` URI of the secret.
    pub(super) uri: String,
    /// The URI as a QR code, in SVG.
    pub(super) qr: String,
}

/// Returns what an authenticator needs of a secret.
pub(super) fn enrolment(secret: &[u8], account: &str) -> Enrolment {
    let totp = totp(secret, account);
    let uri = totp.to_url().expect("an account has an e-mail address");
    let code = QrCode::new(&uri).expect("an address of 254 characters fits into a QR code");
    let qr = code
        .render::<svg::Color<'_>>()
        .module_dimensions(QR_MODULE_PIXELS, QR_MODULE_PIXELS)
        .build();
    Enrolment { secret: totp.secret().to_base32(), uri, qr }
}

/// Returns a new recovery code of 120 random bits, with its dashes.
pub(super) fn recovery_code(entropy: &Entropy) -> String {
    let bits = u128::from_be_bytes(entropy.bytes());
    let mut code = String::new();
    for at in 0..RECOVERY_CHARACTERS {
        if at > 0 && at % RECOVERY_GROUP == 0 {
            code.push('-');
        }
        let index = usize::try_from(bits >> (5 * at) & 31).expect("five bits fit");
        code.push(char::from(ALPHABET[index]));
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const SECRET: &[u8] = b"12345678901234567890";

    /// AUTHN-13: codes are those of RFC 6238 with a step of 30 s, at the time that is passed in;
    /// the step before and the step after are accepted.
    #[test]
    fn authn_13_codes_have_steps_of_30_seconds() {
        // RFC 6238, appendix B: the last six digits of 94287082 (59 s) and 14050471 (1111111111 s).
        for (second, code, step_of) in [(59, "287082", 1), (1_111_111_111, "050471", 37_037_037)] {
            for offset in [-30, 0, 30] {
                let now = OffsetDateTime::from_unix_timestamp(second + offset).unwrap();
                assert_eq!(step(SECRET, &FactorCode::new(code), now), Some(step_of), "{offset}");
            }
            let late = OffsetDateTime::from_unix_timestamp(second + 61).unwrap();
            assert_eq!(step(SECRET, &FactorCode::new(code), late), None);
        }
        let now = datetime!(1970-01-01 00:00:59 UTC);
        assert_eq!(step(SECRET, &FactorCode::new("287 082"), now), Some(1));
        for wrong in ["", "28708", "2870820", "+87082", "28708a", "94287082"] {
            assert_eq!(step(SECRET, &FactorCode::new(wrong), now), None, "{wrong}");
        }
    }

    /// AUTHN-13: a recovery code has 120 random bits, and may be typed in any case and grouping.
    #[test]
    fn authn_13_a_recovery_code_has_120_bits() {
        let entropy = Entropy::seeded(1);
        let codes: std::collections::BTreeSet<String> =
            (0..1_000).map(|_| recovery_code(&entropy)).collect();
        assert_eq!(codes.len(), 1_000);
        let mut seen = std::collections::BTreeSet::new();
        for code in &codes {
            let plain = code.replace('-', "");
            assert_eq!((code.len(), plain.len()), (29, 24));
            seen.extend(plain.bytes());
            let typed = FactorCode::new(&format!(" {} ", plain.to_uppercase()));
            assert_eq!(typed.kind(), CodeKind::Recovery);
            assert_eq!(typed.recovery_hash("f"), FactorCode::new(code).recovery_hash("f"));
            assert_ne!(typed.recovery_hash("f"), typed.recovery_hash("g"));
        }
        assert_eq!(seen.len(), 32, "five bits a character");
    }

    #[test]
    fn an_enrolment_is_readable_by_authenticators() {
        let Enrolment { secret, uri, qr } = enrolment(SECRET, "\"a:b\"@gxtest.com");
        assert_eq!(secret, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(uri.starts_with("otpauth://totp/GX:%22a_b%22%40gxtest.com?secret=GEZDGN"), "{uri}");
        assert!(uri.contains("issuer=GX"), "{uri}");
        assert!(qr.starts_with("<?xml") && qr.ends_with("</svg>"), "{qr}");
        let long = format!("{}@{}.example", "a".repeat(64), "é".repeat(180));
        assert!(enrolment(SECRET, &long).qr.len() < 400_000);
    }
}
