//! Identities: certificates are created, stored in Fabric's folder layout, and verified. Opened at
//! the start; the services verify the creator of each call.

mod authority;
mod files;
mod folder;
mod identity;
mod layout;
mod organization;
mod own_signatures;
mod signature;
mod signer;
mod trust;

#[cfg(test)]
mod tests;

pub(crate) use folder::{ORGANIZATIONS_FOLDER, Organizations, PeerFiles};
pub(crate) use identity::{Identity, NodeRole};
pub(crate) use organization::Organization;
#[cfg(test)]
pub(crate) use signature::high_s_der;
pub(crate) use signer::Signer;
pub(crate) use trust::{TrustedRoots, UntrustedIdentity};

use time::OffsetDateTime;

/// The MSP ids of the organisations that have a peer in the channel.
pub(crate) const CHANNEL_MSP_IDS: [&str; 2] = ["Org1MSP", "Org2MSP"];
/// The MSP id of the organisation that has keys but is not in the channel.
pub(crate) const OUTSIDE_MSP_ID: &str = "Org3MSP";
/// The MSP id of the orderer's organisation.
pub(crate) const ORDERER_MSP_ID: &str = "OrdererMSP";

/// Returns the name of the user who signs with this role. It is the same in every organisation.
pub(crate) fn user_name(role: gx_ledger_api::SignerRole) -> &'static str {
    layout::user_name(role)
}

/// A certificate with its key, as PEM texts.
#[derive(Clone)]
pub struct PemIdentity {
    /// The organisation's MSP.
    pub msp_id: String,
    /// X.509 certificate.
    pub certificate_pem: String,
    /// PKCS#8 private key (ECDSA P-256).
    pub private_key_pem: String,
}

impl std::fmt::Debug for PemIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PemIdentity").field("msp_id", &self.msp_id).finish_non_exhaustive()
    }
}

/// The content of another certificate of the organisation.
#[derive(Clone, Debug)]
pub struct IdentityRequest {
    /// The certificate's common name.
    pub common_name: String,
    /// The organisational unit that decides the role in the channel: client, admin or peer.
    pub unit: String,
    /// The value of the attribute `gxc_role`; `None` for a certificate without it.
    pub gxc_role: Option<String>,
    /// The time at which it expires.
    pub not_after: OffsetDateTime,
}
