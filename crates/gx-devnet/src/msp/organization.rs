//! One organisation's authorities and members, in the layout of `cryptogen`. `Organizations`
//! creates it at the first start and loads it at each later one; an error names the folder and
//! prevents the start.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use gx_fabric_proto::{PemError, certificate_of, certificates_in, private_key_in};
use rcgen::KeyPair;

use super::authority::{Authority, Issued, NOT_AFTER, Subject};
use super::files::{identities, read, write, write_secret};
use super::layout::{authority_certificate, authority_key, certificate, key};
use super::{IdentityRequest, PemIdentity, Signer};
use crate::DevnetError;

/// Tells Fabric's tools that the organisational unit determines a certificate's role.
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

/// The names and addresses of this machine, which every node's certificate has.
const LOCAL_NAMES: [&str; 4] = ["localhost", "devnet", "127.0.0.1", "::1"];

/// An organisation with the keys of its authorities.
pub(crate) struct Organization {
    pub(crate) msp_id: &'static str,
    domain: &'static str,
    dir: PathBuf,
    ca: Authority,
    tls_ca: Authority,
}

/// A holder of a certificate that is to be created.
pub(super) struct Member<'a> {
    pub(super) dir: &'a Path,
    pub(super) name: &'a str,
    pub(super) unit: &'a str,
    pub(super) role: Option<&'a str>,
}

impl Organization {
    /// Creates the authorities and writes their files.
    pub(super) fn create(
        dir: PathBuf,
        msp_id: &'static str,
        domain: &'static str,
    ) -> Result<Self, DevnetError> {
        let ca = create_authority(&dir, "ca", domain)?;
        let tls_ca = create_authority(&dir, "tlsca", domain)?;
        let organization = Self { msp_id, domain, dir, ca, tls_ca };
        organization.write_roots(&organization.dir.join("msp"))?;
        Ok(organization)
    }

    /// Loads the organisation of this folder.
    pub(super) fn load(
        dir: PathBuf,
        msp_id: &'static str,
        domain: &'static str,
    ) -> Result<Self, DevnetError> {
        let ca = load_authority(&dir, "ca", domain)?;
        let tls_ca = load_authority(&dir, "tlsca", domain)?;
        Ok(Self { msp_id, domain, dir, ca, tls_ca })
    }

    /// Returns the root certificate of the members.
    pub(crate) fn root_pem(&self) -> &str {
        self.ca.certificate_pem()
    }

    /// Returns the root certificate that a TLS client must trust.
    pub(crate) fn tls_root_pem(&self) -> &str {
        self.tls_ca.certificate_pem()
    }

    /// Creates a member and writes its MSP folder.
    pub(super) fn create_member(&self, member: &Member<'_>) -> Result<(), DevnetError> {
        let msp = member.dir.join("msp");
        let subject = Subject {
            common_name: member.name,
            unit: member.unit,
            gxc_role: member.role,
            not_after: NOT_AFTER,
        };
        let issued = self.ca.issue(&subject).map_err(|e| identities(&msp, &e))?;
        self.write_roots(&msp)?;
        write(&certificate(&msp), &issued.certificate_pem)?;
        write_secret(&key(&msp), &issued.key_pem)
    }

    /// Returns another identity, which is not written to disk.
    pub(super) fn issue(&self, request: &IdentityRequest) -> Result<PemIdentity, DevnetError> {
        let subject = Subject {
            common_name: &request.common_name,
            unit: &request.unit,
            gxc_role: request.gxc_role.as_deref(),
            not_after: request.not_after,
        };
        let issued = self.ca.issue(&subject).map_err(|e| identities(&self.dir, &e))?;
        Ok(self.identity(issued))
    }

    /// Loads the member of this MSP folder.
    pub(super) fn load_member(&self, msp: &Path) -> Result<PemIdentity, DevnetError> {
        let (certificate_pem, private_key_pem) = read_pair(&certificate(msp), &key(msp))?;
        Ok(PemIdentity { msp_id: self.msp_id.to_owned(), certificate_pem, private_key_pem })
    }

    /// Loads the signer of this node's folder.
    pub(super) fn load_signer(&self, node_dir: &Path) -> Result<Signer, DevnetError> {
        let msp = node_dir.join("msp");
        let member = self.load_member(&msp)?;
        Signer::from_pem(&member).map_err(|reason| identities(&msp, &reason))
    }

    /// Returns a new TLS certificate. Each start issues one, because the address may have changed.
    pub(super) fn issue_tls_server(
        &self,
        node_dir: &Path,
        name: &str,
        listen: IpAddr,
    ) -> Result<PemIdentity, DevnetError> {
        let mut names = vec![name.to_owned()];
        names.extend(LOCAL_NAMES.map(str::to_owned));
        if !listen.is_unspecified() && !listen.is_loopback() {
            names.push(listen.to_string());
        }
        let issued = self.tls_ca.issue_server(names).map_err(|e| identities(&self.dir, &e))?;
        let tls = node_dir.join("tls");
        write(&tls.join("ca.crt"), self.tls_root_pem())?;
        write(&tls.join("server.crt"), &issued.certificate_pem)?;
        write_secret(&tls.join("server.key"), &issued.key_pem)?;
        Ok(self.identity(issued))
    }

    fn identity(&self, issued: Issued) -> PemIdentity {
        PemIdentity {
            msp_id: self.msp_id.to_owned(),
            certificate_pem: issued.certificate_pem,
            private_key_pem: issued.key_pem,
        }
    }

    fn write_roots(&self, msp: &Path) -> Result<(), DevnetError> {
        let domain = self.domain;
        write(&msp.join(format!("cacerts/ca.{domain}-cert.pem")), self.root_pem())?;
        write(&msp.join(format!("tlscacerts/tlsca.{domain}-cert.pem")), self.tls_root_pem())?;
        write(&msp.join("config.yaml"), NODE_UNITS)
    }
}

fn create_authority(dir: &Path, kind: &str, domain: &str) -> Result<Authority, DevnetError> {
    let authority =
        Authority::create(&format!("{kind}.{domain}"), domain).map_err(|e| identities(dir, &e))?;
    write(&authority_certificate(dir, kind, domain), authority.certificate_pem())?;
    write_secret(&authority_key(dir, kind), &authority.key_pem())?;
    Ok(authority)
}

fn load_authority(dir: &Path, kind: &str, domain: &str) -> Result<Authority, DevnetError> {
    let (certificate, key) =
        read_pair(&authority_certificate(dir, kind, domain), &authority_key(dir, kind))?;
    Authority::load(&format!("{kind}.{domain}"), domain, &key, certificate)
        .map_err(|e| identities(dir, &e))
}

/// Reads a certificate and its key, and returns both encoded again. They are published in blocks
/// and to clients, and the rest of their files must not be.
fn read_pair(certificate: &Path, key: &Path) -> Result<(String, String), DevnetError> {
    let (certificate_text, key_text) = (read(certificate)?, read(key)?);
    let of =
        |error: PemError| identities(if error.is_about_key() { key } else { certificate }, &error);
    certificates_in(&certificate_text).map_err(of)?;
    let key_pem = private_key_in(&key_text).map_err(of)?.pem();
    let pair = KeyPair::from_pem(&key_pem).map_err(|e| identities(key, &e))?;
    let found = certificate_of(&certificate_text, pair.public_key_raw()).map_err(of)?;
    Ok((found.pem(), key_pem))
}
