//! The organisations' keys and certificates on disk, in the layout of Fabric's `cryptogen`.
//!
//! Everything is made in a folder aside that is renamed at the end: a killed first start
//! leaves nothing half-made that a later one would take for complete.

use std::io;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use gx_model::SignerRole;

use super::authority::{Authority, Issued, NOT_AFTER, Subject};
use super::layout::{
    ORDERER_DOMAIN, PEER_DOMAIN, authority_certificate, orderer_dir, orderer_organization,
    peer_dir, peer_name, peer_organization, user_dir, user_name,
};
use super::{IdentityRequest, Msp, ORDERER_MSP_ID, PEER_MSP_ID, PemIdentity, Signer};
use crate::DevnetError;

/// The identities' folder in the data folder.
pub(crate) const ORGANIZATIONS_FOLDER: &str = "organizations";

/// Tells Fabric's tools that the organisational unit decides a certificate's role.
const NODE_UNITS: &str = "\
NodeOUs:
  Enable: true
  ClientOUIdentifier:
    OrganizationalUnitIdentifier: client
  PeerOUIdentifier:
    OrganizationalUnitIdentifier: peer
  AdminOUIdentifier:
    OrganizationalUnitIdentifier: admin
  OrdererOUIdentifier:
    OrganizationalUnitIdentifier: orderer
";

/// The organisations of the channel, loaded or newly made.
pub(crate) struct Organizations {
    root: PathBuf,
    peer_ca: Authority,
    peer_tls_ca: Authority,
    orderer_ca_pem: String,
}

impl Organizations {
    /// Loads the identities of this data folder, or makes them at the first start.
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

    fn load(root: PathBuf) -> Result<Self, DevnetError> {
        let peers = peer_organization(&root);
        let peer_ca = load_authority(&peers, "ca", PEER_DOMAIN)?;
        let peer_tls_ca = load_authority(&peers, "tlsca", PEER_DOMAIN)?;
        let orderers = orderer_organization(&root);
        let orderer_ca_pem = read(&authority_certificate(&orderers, "ca", ORDERER_DOMAIN))?;
        Ok(Self { root, peer_ca, peer_tls_ca, orderer_ca_pem })
    }

    /// The root that a TLS client must trust.
    pub(crate) fn tls_root_pem(&self) -> &str {
        self.peer_tls_ca.certificate_pem()
    }

    /// The organisations' root certificates by MSP id, in a fixed order.
    pub(crate) fn roots(&self) -> [(&'static str, &str); 2] {
        [(ORDERER_MSP_ID, &self.orderer_ca_pem), (PEER_MSP_ID, self.peer_ca.certificate_pem())]
    }

    /// Verifies against these organisations' roots.
    pub(crate) fn msp(&self) -> Result<Msp, DevnetError> {
        Msp::new(&self.roots()).map_err(|reason| self.broken(&reason))
    }

    /// The MSP folder of the signer with this role.
    pub(crate) fn user_msp_dir(&self, role: SignerRole) -> PathBuf {
        user_dir(&self.root, user_name(role)).join("msp")
    }

    /// The signer with this role.
    pub(crate) fn user(&self, role: SignerRole) -> Result<PemIdentity, DevnetError> {
        load_member(&self.user_msp_dir(role), PEER_MSP_ID)
    }

    /// Signs endorsements.
    pub(crate) fn peer_signer(&self) -> Result<Signer, DevnetError> {
        let member = load_member(&peer_dir(&self.root).join("msp"), PEER_MSP_ID)?;
        Signer::from_pem(&member).map_err(|reason| self.broken(&reason))
    }

    /// Signs blocks.
    pub(crate) fn orderer_signer(&self) -> Result<Signer, DevnetError> {
        let member = load_member(&orderer_dir(&self.root).join("msp"), ORDERER_MSP_ID)?;
        Signer::from_pem(&member).map_err(|reason| self.broken(&reason))
    }

    /// A new TLS certificate at every start, since the address to listen on may be another.
    /// Returns certificate and key.
    pub(crate) fn issue_tls_server(&self, listen: IpAddr) -> Result<PemIdentity, DevnetError> {
        let mut names: Vec<String> =
            [&peer_name(), "localhost", "devnet", "127.0.0.1", "::1"].map(str::to_owned).into();
        if !listen.is_unspecified() && !listen.is_loopback() {
            names.push(listen.to_string());
        }
        let issued = self.peer_tls_ca.issue_server(names).map_err(|e| self.broken(&e))?;
        let folder = peer_dir(&self.root).join("tls");
        write(&folder.join("ca.crt"), self.tls_root_pem())?;
        write(&folder.join("server.crt"), &issued.certificate_pem)?;
        write_secret(&folder.join("server.key"), &issued.key_pem)?;
        Ok(member(PEER_MSP_ID, issued))
    }

    /// A further identity of the peer's organisation, not written to disk.
    pub(crate) fn issue(&self, request: &IdentityRequest) -> Result<PemIdentity, DevnetError> {
        let subject = Subject {
            common_name: &request.common_name,
            unit: &request.unit,
            gxc_role: request.gxc_role.as_deref(),
            not_after: request.not_after,
        };
        let issued = self.peer_ca.issue(&subject).map_err(|e| self.broken(&e))?;
        Ok(member(PEER_MSP_ID, issued))
    }

    fn broken(&self, reason: &impl ToString) -> DevnetError {
        DevnetError::Identities { path: self.root.clone(), reason: reason.to_string() }
    }
}

fn create(root: &Path) -> Result<(), DevnetError> {
    let peers = peer_organization(root);
    let ca = create_authority(&peers, "ca", PEER_DOMAIN)?;
    let tls_ca = create_authority(&peers, "tlsca", PEER_DOMAIN)?;
    write_msp_roots(&peers.join("msp"), &ca, Some(&tls_ca), PEER_DOMAIN)?;
    let peer = Member { folder: peer_dir(root), name: &peer_name(), unit: "peer", role: None };
    peer.create(&ca, &tls_ca, PEER_DOMAIN)?;
    for role in [SignerRole::PartnerApi, SignerRole::Admin, SignerRole::SuperAdmin] {
        let name = user_name(role);
        let unit = if role == SignerRole::SuperAdmin { "admin" } else { "client" };
        let folder = user_dir(root, name);
        let role = Some(role.attribute());
        Member { folder, name, unit, role }.create(&ca, &tls_ca, PEER_DOMAIN)?;
    }

    let orderers = orderer_organization(root);
    let ca = create_authority(&orderers, "ca", ORDERER_DOMAIN)?;
    write_msp_roots(&orderers.join("msp"), &ca, None, ORDERER_DOMAIN)?;
    let name = format!("orderer.{ORDERER_DOMAIN}");
    Member { folder: orderer_dir(root), name: &name, unit: "orderer", role: None }.create(
        &ca,
        &tls_ca,
        ORDERER_DOMAIN,
    )
}

/// One holder of a certificate, to be made.
struct Member<'a> {
    folder: PathBuf,
    name: &'a str,
    unit: &'a str,
    role: Option<&'a str>,
}

impl Member<'_> {
    fn create(&self, ca: &Authority, tls_ca: &Authority, domain: &str) -> Result<(), DevnetError> {
        let msp = self.folder.join("msp");
        let subject = Subject {
            common_name: self.name,
            unit: self.unit,
            gxc_role: self.role,
            not_after: NOT_AFTER,
        };
        let issued = ca.issue(&subject).map_err(|e| identities(&msp, &e))?;
        write_msp_roots(&msp, ca, Some(tls_ca), domain)?;
        write(&msp.join("signcerts/cert.pem"), &issued.certificate_pem)?;
        write_secret(&msp.join("keystore/priv_sk"), &issued.key_pem)
    }
}

fn create_authority(
    organization: &Path,
    kind: &str,
    domain: &str,
) -> Result<Authority, DevnetError> {
    let authority = Authority::create(&format!("{kind}.{domain}"), domain)
        .map_err(|e| identities(organization, &e))?;
    write(&authority_certificate(organization, kind, domain), authority.certificate_pem())?;
    write_secret(&organization.join(kind).join("priv_sk"), &authority.key_pem())?;
    Ok(authority)
}

fn load_authority(organization: &Path, kind: &str, domain: &str) -> Result<Authority, DevnetError> {
    let certificate = read(&authority_certificate(organization, kind, domain))?;
    let key = read(&organization.join(kind).join("priv_sk"))?;
    Authority::load(&format!("{kind}.{domain}"), domain, &key, certificate)
        .map_err(|e| identities(organization, &e))
}

fn load_member(msp: &Path, msp_id: &str) -> Result<PemIdentity, DevnetError> {
    Ok(PemIdentity {
        msp_id: msp_id.to_owned(),
        certificate_pem: read(&msp.join("signcerts/cert.pem"))?,
        private_key_pem: read(&msp.join("keystore/priv_sk"))?,
    })
}

fn member(msp_id: &str, issued: Issued) -> PemIdentity {
    PemIdentity {
        msp_id: msp_id.to_owned(),
        certificate_pem: issued.certificate_pem,
        private_key_pem: issued.key_pem,
    }
}

fn write_msp_roots(
    msp: &Path,
    ca: &Authority,
    tls_ca: Option<&Authority>,
    domain: &str,
) -> Result<(), DevnetError> {
    write(&msp.join(format!("cacerts/ca.{domain}-cert.pem")), ca.certificate_pem())?;
    if let Some(tls_ca) = tls_ca {
        let path = msp.join(format!("tlscacerts/tlsca.{PEER_DOMAIN}-cert.pem"));
        write(&path, tls_ca.certificate_pem())?;
    }
    write(&msp.join("config.yaml"), NODE_UNITS)
}

fn read(path: &Path) -> Result<String, DevnetError> {
    std::fs::read_to_string(path).map_err(|e| identities(path, &e))
}

fn write(path: &Path, text: &str) -> Result<(), DevnetError> {
    write_with_mode(path, text, 0o644).map_err(|e| unusable(path, e))
}

fn write_secret(path: &Path, text: &str) -> Result<(), DevnetError> {
    write_with_mode(path, text, 0o600).map_err(|e| unusable(path, e))
}

fn write_with_mode(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())
}

/// A ledger whose keys a crash has emptied could not be used again.
fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            std::fs::File::open(&path)?.sync_all()?;
        }
    }
    std::fs::File::open(folder)?.sync_all()
}

fn unusable(path: &Path, reason: io::Error) -> DevnetError {
    DevnetError::DataDir { path: path.to_owned(), reason }
}

fn identities(path: &Path, reason: &impl ToString) -> DevnetError {
    DevnetError::Identities { path: path.to_owned(), reason: reason.to_string() }
}
