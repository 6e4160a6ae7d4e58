//! The keys and certificates of the organisations on disk, in the layout of Fabric's `cryptogen`.
//! `Devnet::start` opens or creates them; an error prevents the start.
//!
//! They are created in a separate folder, which is renamed at the end, so that an interrupted first
//! start leaves no incomplete folder behind.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::files::{identities, sync_tree, unusable, write};
use super::layout::{
    ORDERER_DOMAIN, PEER_ORGANIZATIONS, PeerOrganization, USERS, certificate, key, orderer_dir,
    orderer_name, orderer_organization,
};
use super::organization::{Member, Organization};
use super::{CHANNEL_MSP_IDS, IdentityRequest, ORDERER_MSP_ID, PemIdentity, Signer, TrustedRoots};
use crate::DevnetError;

/// The name of the identities' folder in the data folder.
pub(crate) const ORGANIZATIONS_FOLDER: &str = "organizations";

/// The path of the TLS root certificate in a node's folder.
const TLS_ROOT: &str = "tls/ca.crt";

/// The paths of an organisation's files that clients need.
pub(crate) struct PeerFiles {
    pub(crate) msp_id: &'static str,
    pub(crate) peer_name: String,
    names: PeerOrganization,
    root: PathBuf,
}

impl PeerFiles {
    fn new(names: PeerOrganization, root: &Path) -> Self {
        let peer_name = names.peer_name();
        Self { msp_id: names.msp_id, peer_name, names, root: root.to_owned() }
    }

    /// Returns the path of the root certificate that a TLS client of the peer must trust.
    pub(crate) fn tls_root(&self) -> PathBuf {
        self.names.peer_dir(&self.root).join(TLS_ROOT)
    }

    /// Returns the path of a user's certificate.
    pub(crate) fn certificate(&self, user: &str) -> PathBuf {
        certificate(&self.names.user_dir(&self.root, user).join("msp"))
    }

    /// Returns the path of a user's key.
    pub(crate) fn key(&self, user: &str) -> PathBuf {
        key(&self.names.user_dir(&self.root, user).join("msp"))
    }
}

/// All organisations, loaded or newly created.
pub(crate) struct Organizations {
    root: PathBuf,
    orderer: Organization,
    /// In the order of [`PEER_ORGANIZATIONS`].
    peers: Vec<Organization>,
}

impl Organizations {
    /// Loads the identities of the data folder, or creates them at the first start.
    pub(crate) fn open_or_create(data_dir: &Path, fsync: bool) -> Result<Self, DevnetError> {
        let root = data_dir.join(ORGANIZATIONS_FOLDER);
        if !root.exists() {
            let aside = data_dir.join(format!("{ORGANIZATIONS_FOLDER}.new"));
            if aside.exists() {
                std::fs::remove_dir_all(&aside).map_err(|e| unusable(&aside, e))?;
            }
            create(&aside)?;
            if fsync {
                sync_tree(&aside).map_err(|e| unusable(&aside, e))?;
            }
            std::fs::rename(&aside, &root).map_err(|e| unusable(&root, e))?;
        }
        Self::load(root)
    }

    /// Loads all organisations.
    fn load(root: PathBuf) -> Result<Self, DevnetError> {
        let orderer =
            Organization::load(orderer_organization(&root), ORDERER_MSP_ID, ORDERER_DOMAIN)?;
        let peers = PEER_ORGANIZATIONS
            .iter()
            .map(|names| Organization::load(names.dir(&root), names.msp_id, names.domain))
            .collect::<Result<_, _>>()?;
        Ok(Self { root, orderer, peers })
    }

    /// Returns the organisation of the orderer.
    pub(crate) fn orderer(&self) -> &Organization {
        &self.orderer
    }

    /// Returns the organisations whose peers are in the channel.
    pub(crate) fn in_channel(&self) -> impl Iterator<Item = &Organization> {
        self.peers.iter().filter(|organization| CHANNEL_MSP_IDS.contains(&organization.msp_id))
    }

    /// Returns the channel's root certificates by MSP id, in a fixed order.
    fn roots(&self) -> Vec<(&'static str, &str)> {
        std::iter::once(&self.orderer)
            .chain(self.in_channel())
            .map(|organization| (organization.msp_id, organization.root_pem()))
            .collect()
    }

    /// Returns the files of each organisation that has peers, those of the channel first.
    pub(crate) fn peer_files(&self) -> Vec<PeerFiles> {
        PEER_ORGANIZATIONS.map(|names| PeerFiles::new(names, &self.root)).into()
    }

    /// Returns the path of the root certificate that a TLS client of the orderer must trust.
    pub(crate) fn orderer_tls_root(&self) -> PathBuf {
        orderer_dir(&self.root).join(TLS_ROOT)
    }

    /// Returns the verifier of identities, which trusts the roots of the channel.
    pub(crate) fn msp(&self) -> Result<TrustedRoots, DevnetError> {
        TrustedRoots::new(&self.roots()).map_err(|reason| self.broken(&reason))
    }

    /// Returns the MSP folder of a user, or `None` if the organisation has no peers.
    pub(crate) fn user_msp_dir(&self, msp_id: &str, name: &str) -> Option<PathBuf> {
        let names = PEER_ORGANIZATIONS.iter().find(|names| names.msp_id == msp_id)?;
        Some(names.user_dir(&self.root, name).join("msp"))
    }

    /// Returns a user of an organisation that has peers.
    pub(crate) fn user(&self, msp_id: &str, name: &str) -> Result<PemIdentity, DevnetError> {
        let (organization, names) = self.peer_organization(msp_id)?;
        organization.load_member(&names.user_dir(&self.root, name).join("msp"))
    }

    /// Returns another identity of an organisation that has peers. It is not written to disk.
    pub(crate) fn issue(
        &self,
        msp_id: &str,
        request: &IdentityRequest,
    ) -> Result<PemIdentity, DevnetError> {
        self.peer_organization(msp_id)?.0.issue(request)
    }

    /// Returns the signer of an organisation's endorsements.
    pub(crate) fn peer_signer(&self, msp_id: &str) -> Result<Signer, DevnetError> {
        let (organization, names) = self.peer_organization(msp_id)?;
        organization.load_signer(&names.peer_dir(&self.root))
    }

    /// Returns the signer of blocks.
    pub(crate) fn orderer_signer(&self) -> Result<Signer, DevnetError> {
        self.orderer.load_signer(&orderer_dir(&self.root))
    }

    /// Returns a TLS certificate for an organisation's peer.
    pub(crate) fn issue_peer_tls(
        &self,
        msp_id: &str,
        listen: IpAddr,
    ) -> Result<PemIdentity, DevnetError> {
        let (organization, names) = self.peer_organization(msp_id)?;
        let dir = names.peer_dir(&self.root);
        organization.issue_tls_server(&dir, &names.peer_name(), listen)
    }

    /// Returns a TLS certificate for the orderer.
    pub(crate) fn issue_orderer_tls(&self, listen: IpAddr) -> Result<PemIdentity, DevnetError> {
        self.orderer.issue_tls_server(&orderer_dir(&self.root), &orderer_name(), listen)
    }

    /// Returns the error for a folder with invalid content.
    pub(crate) fn broken(&self, reason: &str) -> DevnetError {
        identities(&self.root, &reason)
    }

    /// Returns an organisation that has peers, with its names.
    fn peer_organization(
        &self,
        msp_id: &str,
    ) -> Result<(&Organization, PeerOrganization), DevnetError> {
        let mut found = self.peers.iter().zip(PEER_ORGANIZATIONS);
        found
            .find(|(_, names)| names.msp_id == msp_id)
            .ok_or_else(|| self.broken(&format!("{msp_id} has no peers here")))
    }
}

/// Creates all organisations with their members.
fn create(root: &Path) -> Result<(), DevnetError> {
    for names in PEER_ORGANIZATIONS {
        let organization = Organization::create(names.dir(root), names.msp_id, names.domain)?;
        let (dir, name) = (names.peer_dir(root), names.peer_name());
        organization.create_member(&Member { dir: &dir, name: &name, unit: "peer", role: None })?;
        write(&dir.join(TLS_ROOT), organization.tls_root_pem())?;
        for user in &USERS {
            organization.create_member(&Member {
                dir: &names.user_dir(root, user.name),
                name: &format!("{}@{}", user.name, names.domain),
                unit: user.unit,
                role: user.role.map(gx_ledger_api::SignerRole::attribute),
            })?;
        }
    }
    let orderers =
        Organization::create(orderer_organization(root), ORDERER_MSP_ID, ORDERER_DOMAIN)?;
    let (dir, name) = (orderer_dir(root), orderer_name());
    orderers.create_member(&Member { dir: &dir, name: &name, unit: "orderer", role: None })
}
