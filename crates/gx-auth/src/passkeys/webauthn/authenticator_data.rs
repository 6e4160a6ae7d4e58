//! Authenticator data: what the authenticator signs (section 6.1).

use super::cbor::{self, Members};
use super::{Demands, PasskeyRefusal};

const HASH_BYTES: usize = 32;
/// Bytes of the model of an authenticator.
pub(super) const AAGUID_BYTES: usize = 16;

/// The bit field `flags`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flags(u8);

impl Flags {
    const USER_PRESENT: u8 = 1;
    const USER_VERIFIED: u8 = 1 << 2;
    const BACKUP_ELIGIBLE: u8 = 1 << 3;
    const BACKED_UP: u8 = 1 << 4;
    const HAS_CREDENTIAL: u8 = 1 << 6;
    const HAS_EXTENSIONS: u8 = 1 << 7;

    const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
}

/// Authenticator data whose every byte was read.
#[derive(Debug)]
pub(super) struct AuthenticatorData<'a> {
    rp_id_hash: &'a [u8],
    flags: Flags,
    /// Counter of signatures; 0 if the authenticator does not count.
    pub(super) sign_count: u32,
    /// A new credential; only in a registration.
    pub(super) credential: Option<AttestedCredential<'a>>,
}

/// A new credential (section 6.5.2).
#[derive(Debug)]
pub(super) struct AttestedCredential<'a> {
    pub(super) aaguid: [u8; AAGUID_BYTES],
    pub(super) id: &'a [u8],
    /// The key in COSE.
    pub(super) public_key: &'a [u8],
}

impl<'a> AuthenticatorData<'a> {
    /// Reads authenticator data. Nothing may be behind its last part.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, PasskeyRefusal> {
        Self::parse(bytes).ok_or(PasskeyRefusal::AuthenticatorData)
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (rp_id_hash, rest) = bytes.split_at_checked(HASH_BYTES)?;
        let (flags, rest) = rest.split_first()?;
        let (sign_count, mut rest) = rest.split_first_chunk()?;
        let flags = Flags(*flags);
        let mut credential = None;
        if flags.has(Flags::HAS_CREDENTIAL) {
            let (found, behind) = AttestedCredential::parse(rest)?;
            (credential, rest) = (Some(found), behind);
        }
        if flags.has(Flags::HAS_EXTENSIONS) {
            // No extension was asked for; what an authenticator adds on its own is not read.
            let (extensions, behind) = cbor::read_first(rest)?;
            Members::of(extensions)?;
            rest = behind;
        }
        let sign_count = u32::from_be_bytes(*sign_count);
        rest.is_empty().then_some(Self { rp_id_hash, flags, sign_count, credential })
    }

    /// Checks relying party, presence, verification and the flags about backups, which sections
    /// 7.1 and 7.2 demand in the same way.
    pub(super) fn check(&self, demands: &Demands<'_>) -> Result<(), PasskeyRefusal> {
        // `rpIdHash`.
        if self.rp_id_hash != demands.relying_party.id_hash() {
            return Err(PasskeyRefusal::RelyingParty);
        }
        // The bit UP.
        if !self.flags.has(Flags::USER_PRESENT) {
            return Err(PasskeyRefusal::Presence);
        }
        // The bit UV: `userVerification` is `required` in all of our options.
        if demands.needs_user_verification && !self.flags.has(Flags::USER_VERIFIED) {
            return Err(PasskeyRefusal::Verification);
        }
        // The bits BE and BS: what is not eligible is not backed up.
        if self.is_backed_up() && !self.is_backup_eligible() {
            return Err(PasskeyRefusal::Backup);
        }
        Ok(())
    }

    pub(super) fn is_backup_eligible(&self) -> bool {
        self.flags.has(Flags::BACKUP_ELIGIBLE)
    }

    pub(super) fn is_backed_up(&self) -> bool {
        self.flags.has(Flags::BACKED_UP)
    }
}

impl<'a> AttestedCredential<'a> {
    /// Reads a credential, and returns it with the bytes behind it.
    fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (aaguid, rest) = bytes.split_first_chunk()?;
        let (id_bytes, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*id_bytes)))?;
        let (_, behind) = cbor::read_first(rest)?;
        let public_key = rest.get(..rest.len() - behind.len())?;
        Some((Self { aaguid: *aaguid, id, public_key }, behind))
    }
}
