//! The folder layout of `cryptogen`, and the names that are used here. `folder` and `organization`
//! compute all paths with it.

use std::path::{Path, PathBuf};

use gx_ledger_api::SignerRole;

use super::{CHANNEL_MSP_IDS, OUTSIDE_MSP_ID};

/// The domain of the orderer's organisation.
pub(super) const ORDERER_DOMAIN: &str = "devnet.gx";

/// An organisation that has a peer: its MSP id and its domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PeerOrganization {
    pub(super) msp_id: &'static str,
    pub(super) domain: &'static str,
}

/// The organisations of the channel first, then the one outside the channel.
pub(super) const PEER_ORGANIZATIONS: [PeerOrganization; 3] = [
    PeerOrganization { msp_id: CHANNEL_MSP_IDS[0], domain: "org1.devnet.gx" },
    PeerOrganization { msp_id: CHANNEL_MSP_IDS[1], domain: "org2.devnet.gx" },
    PeerOrganization { msp_id: OUTSIDE_MSP_ID, domain: "org3.devnet.gx" },
];

/// A holder of a certificate in every peer organisation.
pub(super) struct User {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) role: Option<SignerRole>,
}

/// Two users as `cryptogen` creates them, without attributes, and one for each role of the GX
/// contracts.
pub(super) const USERS: [User; 5] = [
    User { name: "User1", unit: "client", role: None },
    User { name: "Admin", unit: "admin", role: None },
    User { name: "PartnerApi", unit: "client", role: Some(SignerRole::PartnerApi) },
    User { name: "Operator", unit: "client", role: Some(SignerRole::Admin) },
    User { name: "SuperAdmin", unit: "admin", role: Some(SignerRole::SuperAdmin) },
];

pub(super) fn user_name(role: SignerRole) -> &'static str {
    let found = USERS.iter().find(|user| user.role == Some(role));
    found.expect("there is a user for every role").name
}

impl PeerOrganization {
    pub(super) fn dir(self, root: &Path) -> PathBuf {
        root.join("peerOrganizations").join(self.domain)
    }

    pub(super) fn peer_name(self) -> String {
        format!("peer0.{}", self.domain)
    }

    pub(super) fn peer_dir(self, root: &Path) -> PathBuf {
        self.dir(root).join("peers").join(self.peer_name())
    }

    pub(super) fn user_dir(self, root: &Path, name: &str) -> PathBuf {
        self.dir(root).join("users").join(format!("{name}@{}", self.domain))
    }
}

pub(super) fn orderer_organization(root: &Path) -> PathBuf {
    root.join("ordererOrganizations").join(ORDERER_DOMAIN)
}

pub(super) fn orderer_name() -> String {
    format!("orderer.{ORDERER_DOMAIN}")
}

pub(super) fn orderer_dir(root: &Path) -> PathBuf {
    orderer_organization(root).join("orderers").join(orderer_name())
}

pub(super) fn authority_certificate(organization: &Path, kind: &str, domain: &str) -> PathBuf {
    organization.join(kind).join(format!("{kind}.{domain}-cert.pem"))
}

pub(super) fn authority_key(organization: &Path, kind: &str) -> PathBuf {
    organization.join(kind).join("priv_sk")
}

/// Returns the path of the holder's certificate in an MSP folder.
pub(super) fn certificate(msp: &Path) -> PathBuf {
    msp.join("signcerts/cert.pem")
}

/// Returns the path of the holder's key in an MSP folder.
pub(super) fn key(msp: &Path) -> PathBuf {
    msp.join("keystore/priv_sk")
}
