//! Verification of passkeys after WebAuthn Level 3 (<https://www.w3.org/TR/webauthn-3/>), whose
//! sections the comments quote: what a browser has sent is compared with what it was asked for.
//! Pure functions: no HTTP, no SQL, no clock. Called by the parent module and by tests.

mod assertion;
mod attestation;
mod authenticator_data;
mod cbor;
mod client_data;
mod public_key;
mod registration;
#[cfg(test)]
mod tests;

pub(crate) use assertion::{
    AssertionResponse, StoredCredential, VerifiedAssertion, has_gone_back, verify_assertion,
};
pub(crate) use public_key::Algorithm;
pub(crate) use registration::{NewCredential, RegistrationResponse, verify_registration};

use crate::relying_party::RelyingParty;

/// What a registration or an assertion is compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demands<'a> {
    relying_party: &'a RelyingParty,
    /// The challenge that the server has drawn.
    challenge: &'a [u8],
    needs_user_verification: bool,
}

impl<'a> Demands<'a> {
    /// Creates the demands of GX: the user must be present and verified.
    pub(crate) fn new(relying_party: &'a RelyingParty, challenge: &'a [u8]) -> Self {
        Self { relying_party, challenge, needs_user_verification: true }
    }

    /// Returns demands that are met without user verification, as many test vectors lack it.
    #[cfg(test)]
    fn without_user_verification(self) -> Self {
        Self { needs_user_verification: false, ..self }
    }
}

/// Why a registration or an assertion is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasskeyRefusal {
    /// The client data is not the JSON of section 5.8.1.
    #[error("the client data cannot be read")]
    ClientData,
    /// The response is of the other ceremony.
    #[error("the response is of another ceremony")]
    Ceremony,
    /// The challenge is not the one that was drawn.
    #[error("the challenge is another one")]
    Challenge,
    /// The page is not one of ours.
    #[error("the origin is not permitted")]
    Origin,
    /// The page was in a frame of another origin.
    #[error("the page was in a frame of another origin")]
    CrossOrigin,
    /// The attestation object cannot be read.
    #[error("the attestation object cannot be read")]
    AttestationObject,
    /// The authenticator data is too short, too long or malformed.
    #[error("the authenticator data cannot be read")]
    AuthenticatorData,
    /// The credential is of another relying party.
    #[error("the relying party is another one")]
    RelyingParty,
    /// The authenticator did not see that somebody was there.
    #[error("no user was present")]
    Presence,
    /// The authenticator did not verify who was there.
    #[error("the user was not verified")]
    Verification,
    /// The flags about backups contradict each other or the stored credential.
    #[error("the backup flags are inconsistent")]
    Backup,
    /// The key is malformed, or of an algorithm that was not offered.
    #[error("the public key is not of an offered algorithm")]
    PublicKey,
    /// The id of the credential is empty, too long, or not the one in the authenticator data.
    #[error("the credential id is not valid")]
    CredentialId,
    /// The attestation statement is wrong.
    #[error("the attestation statement is not valid")]
    Attestation,
    /// The credential belongs to another user than the authenticator says.
    #[error("the user handle is another one")]
    UserHandle,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    Signature,
}
