//! Registration of a credential (section 7.1).

use super::attestation::AttestationObject;
use super::authenticator_data::{AAGUID_BYTES, AuthenticatorData};
use super::client_data::{self, Ceremony};
use super::public_key::PublicKey;
use super::{Demands, PasskeyRefusal};

/// Limit of a credential's id, in bytes (section 7.1, `credentialId`).
const MAX_ID_BYTES: usize = 1023;

/// What a browser has sent after `navigator.credentials.create()`.
#[derive(Clone, Debug)]
pub(crate) struct RegistrationResponse {
    /// Id of the credential, as the browser says it.
    pub(crate) credential_id: Vec<u8>,
    pub(crate) client_data_json: Vec<u8>,
    pub(crate) attestation_object: Vec<u8>,
}

/// A credential that may be stored (section 4, credential record).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewCredential {
    pub(crate) id: Vec<u8>,
    /// The key in COSE.
    pub(crate) public_key: Vec<u8>,
    pub(crate) sign_count: u32,
    pub(crate) aaguid: [u8; AAGUID_BYTES],
    pub(crate) is_backup_eligible: bool,
    pub(crate) is_backed_up: bool,
}

/// Verifies a registration and returns the credential. Whether its id is new, the caller knows.
///
/// # Errors
/// [`PasskeyRefusal`] names the first rule that is broken.
pub(crate) fn verify_registration(
    response: &RegistrationResponse,
    demands: &Demands<'_>,
) -> Result<NewCredential, PasskeyRefusal> {
    let hash = client_data::check(&response.client_data_json, Ceremony::Registration, demands)?;
    let object = AttestationObject::read(&response.attestation_object)?;
    let data = AuthenticatorData::read(&object.authenticator_data)?;
    data.check(demands)?;
    let credential = data.credential.as_ref().ok_or(PasskeyRefusal::AuthenticatorData)?;
    let key = PublicKey::read(credential.public_key)?;
    object.check(&key, &hash)?;
    let is_valid = (1..=MAX_ID_BYTES).contains(&credential.id.len());
    if !is_valid || credential.id != response.credential_id {
        return Err(PasskeyRefusal::CredentialId);
    }
    Ok(NewCredential {
        id: credential.id.to_vec(),
        public_key: credential.public_key.to_vec(),
        sign_count: data.sign_count,
        aaguid: credential.aaguid,
        is_backup_eligible: data.is_backup_eligible(),
        is_backed_up: data.is_backed_up(),
    })
}
