//! Attestation statements (section 8). GX asks for none, because it does not care about models of
//! authenticators. So `none` and the self attestation of `packed` are verified; a statement of
//! another format counts as none, as if the browser had taken it away (section 5.4.7).

use super::PasskeyRefusal;
use super::cbor::{self, Members, Value};
use super::public_key::PublicKey;

/// An attestation object (section 6.5.4).
pub(super) struct AttestationObject {
    format: String,
    statement: Members,
    pub(super) authenticator_data: Vec<u8>,
}

impl AttestationObject {
    /// Reads an attestation object. Nothing may be behind it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, PasskeyRefusal> {
        Self::parse(bytes).ok_or(PasskeyRefusal::AttestationObject)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let members = Members::of(cbor::read_whole(bytes)?)?;
        let format = members.get("fmt").and_then(Value::as_text)?.to_owned();
        let statement = Members::of(members.get("attStmt")?.clone())?;
        let authenticator_data = members.bytes("authData")?.to_vec();
        Some(Self { format, statement, authenticator_data })
    }

    /// Verifies the statement of a credential with this key.
    pub(super) fn check(
        &self,
        key: &PublicKey,
        client_data_hash: &[u8],
    ) -> Result<(), PasskeyRefusal> {
        match self.format.as_str() {
            // Section 8.7.
            "none" if self.statement.is_empty() => Ok(()),
            "none" => Err(PasskeyRefusal::Attestation),
            "packed" if self.statement.get("x5c").is_none() => {
                self.check_self(key, client_data_hash)
            }
            _ => Ok(()),
        }
    }

    /// Verifies a statement that the credential itself has signed (section 8.2, without `x5c`).
    fn check_self(&self, key: &PublicKey, client_data_hash: &[u8]) -> Result<(), PasskeyRefusal> {
        if self.statement.number("alg") != Some(key.algorithm.number()) {
            return Err(PasskeyRefusal::Attestation);
        }
        let signature = self.statement.bytes("sig").ok_or(PasskeyRefusal::Attestation)?;
        let message = [self.authenticator_data.as_slice(), client_data_hash].concat();
        key.verify(&message, signature).map_err(|_| PasskeyRefusal::Attestation)
    }
}
