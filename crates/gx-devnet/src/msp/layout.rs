//! Where `cryptogen` puts what, and what things are called here.

use std::path::{Path, PathBuf};

use gx_model::SignerRole;

/// The organisation that holds the peer.
pub(super) const PEER_DOMAIN: &str = "org1.devnet.gx";
/// The organisation that orders.
pub(super) const ORDERER_DOMAIN: &str = "devnet.gx";

pub(super) fn user_name(role: SignerRole) -> &'static str {
    match role {
        SignerRole::PartnerApi => "PartnerApi",
        SignerRole::Admin => "Operator",
        SignerRole::SuperAdmin => "Admin",
    }
}

pub(super) fn peer_organization(root: &Path) -> PathBuf {
    root.join("peerOrganizations").join(PEER_DOMAIN)
}

pub(super) fn orderer_organization(root: &Path) -> PathBuf {
    root.join("ordererOrganizations").join(ORDERER_DOMAIN)
}

pub(super) fn peer_name() -> String {
    format!("peer0.{PEER_DOMAIN}")
}

pub(super) fn peer_dir(root: &Path) -> PathBuf {
    peer_organization(root).join("peers").join(peer_name())
}

pub(super) fn orderer_dir(root: &Path) -> PathBuf {
    orderer_organization(root).join("orderers").join(format!("orderer.{ORDERER_DOMAIN}"))
}

pub(super) fn user_dir(root: &Path, name: &str) -> PathBuf {
    peer_organization(root).join("users").join(format!("{name}@{PEER_DOMAIN}"))
}

pub(super) fn authority_certificate(organization: &Path, kind: &str, domain: &str) -> PathBuf {
    organization.join(kind).join(format!("{kind}.{domain}-cert.pem"))
}
