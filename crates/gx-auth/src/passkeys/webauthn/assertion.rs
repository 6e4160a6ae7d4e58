//! Assertions: signatures of a credential (section 7.2).

use super::authenticator_data::AuthenticatorData;
use super::client_data::{self, Ceremony};
use super::public_key::PublicKey;
use super::{Demands, PasskeyRefusal};

/// What a browser has sent after `navigator.credentials.get()`.
#[derive(Clone, Debug)]
pub(crate) struct AssertionResponse {
    pub(crate) credential_id: Vec<u8>,
    pub(crate) client_data_json: Vec<u8>,
    pub(crate) authenticator_data: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    /// The account, as the authenticator knows it.
    pub(crate) user_handle: Vec<u8>,
}

/// A stored credential, found by the id in the response.
#[derive(Clone, Debug)]
pub(crate) struct StoredCredential {
    /// The key in COSE.
    pub(crate) public_key: Vec<u8>,
    pub(crate) user_handle: Vec<u8>,
    pub(crate) is_backup_eligible: bool,
}

/// What is stored after an assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VerifiedAssertion {
    pub(crate) sign_count: u32,
    pub(crate) is_backed_up: bool,
}

/// Verifies an assertion. The counter of signatures is not judged: the caller compares it with the
/// stored one by [`has_gone_back`] when the credential is locked.
///
/// # Errors
/// [`PasskeyRefusal`] names the first rule that is broken.
pub(crate) fn verify_assertion(
    response: &AssertionResponse,
    stored: &StoredCredential,
    demands: &Demands<'_>,
) -> Result<VerifiedAssertion, PasskeyRefusal> {
    // The user was not identified before: the credential must be of the user that it names.
    if response.user_handle != stored.user_handle {
        return Err(PasskeyRefusal::UserHandle);
    }
    let hash = client_data::check(&response.client_data_json, Ceremony::Assertion, demands)?;
    let data = AuthenticatorData::read(&response.authenticator_data)?;
    data.check(demands)?;
    // `currentBe`: a credential does not change whether it can be backed up.
    if data.is_backup_eligible() != stored.is_backup_eligible {
        return Err(PasskeyRefusal::Backup);
    }
    let key = PublicKey::read(&stored.public_key)?;
    let message = [response.authenticator_data.as_slice(), hash.as_slice()].concat();
    key.verify(&message, &response.signature)?;
    Ok(VerifiedAssertion { sign_count: data.sign_count, is_backed_up: data.is_backed_up() })
}

/// Returns whether a counter is not above the stored one although the authenticator counts: there
/// may be a copy of the credential (sections 6.1.1 and 7.2, `signCount`).
pub(crate) fn has_gone_back(stored: i64, given: u32) -> bool {
    let given = i64::from(given);
    (stored != 0 || given != 0) && given <= stored
}
