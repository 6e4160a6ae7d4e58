//! The ledger as the FABRIC_* variables describe it.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use gx_fabric_client::{Identity, LedgerConfig, LedgerLimits, PeerConfig};

use gx_submitter::Signers;

use crate::Failure;

/// Where the ledger is, and who signs. The names are those of existing deployments.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Ledger")]
pub(crate) struct FabricSettings {
    /// Peers as host:port, separated by commas; all belong to FABRIC_MSP_ID
    #[arg(long, env = "FABRIC_PEER_ENDPOINT", value_delimiter = ',', required = true)]
    pub(crate) fabric_peer_endpoint: Vec<String>,
    /// PEM file with the root that the peers' TLS certificates are issued by
    #[arg(long, env = "FABRIC_PEER_TLS_CA_CERT_PATH")]
    pub(crate) fabric_peer_tls_ca_cert_path: PathBuf,
    /// Name expected in the peers' TLS certificates instead of the host
    #[arg(long, env = "FABRIC_TLS_SERVER_NAME_OVERRIDE")]
    pub(crate) fabric_tls_server_name_override: Option<String>,
    /// MSP id of the peers and of the signers
    #[arg(long, env = "FABRIC_MSP_ID")]
    pub(crate) fabric_msp_id: String,
    /// Channel
    #[arg(long, env = "FABRIC_CHANNEL_NAME", default_value = "gxchannel")]
    pub(crate) fabric_channel_name: String,
    /// Chaincode with the GX contracts
    #[arg(long, env = "FABRIC_CHAINCODE_NAME", default_value = "gxtv3")]
    pub(crate) fabric_chaincode_name: String,
    /// PEM certificate of the signer with the role gx_admin
    #[arg(long, env = "FABRIC_CERT_PATH")]
    pub(crate) fabric_cert_path: PathBuf,
    /// PEM private key of that signer
    #[arg(long, env = "FABRIC_KEY_PATH")]
    pub(crate) fabric_key_path: PathBuf,
    /// PEM certificate of the signer with the role gx_super_admin; without it the signer
    /// above signs everything
    #[arg(long, env = "FABRIC_SUPER_ADMIN_CERT_PATH", requires = "fabric_super_admin_key_path")]
    pub(crate) fabric_super_admin_cert_path: Option<PathBuf>,
    /// PEM private key of that signer
    #[arg(long, env = "FABRIC_SUPER_ADMIN_KEY_PATH", requires = "fabric_super_admin_cert_path")]
    pub(crate) fabric_super_admin_key_path: Option<PathBuf>,
}

/// The text of a PEM file.
fn read_pem(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|why| Failure::say(format!("{} cannot be read: {why}", path.display())))
}

impl FabricSettings {
    /// The client's configuration. Loopback and literal addresses are accepted in
    /// development only.
    pub(crate) fn ledger(&self, development: bool) -> Result<LedgerConfig, Failure> {
        let tls_root_pem = read_pem(&self.fabric_peer_tls_ca_cert_path)?;
        let peer = |endpoint: &String| PeerConfig {
            endpoint: endpoint.clone(),
            msp_id: self.fabric_msp_id.clone(),
            tls_root_pem: tls_root_pem.clone(),
            server_name: self.fabric_tls_server_name_override.clone(),
        };
        Ok(LedgerConfig {
            peers: self.fabric_peer_endpoint.iter().map(peer).collect(),
            channel: self.fabric_channel_name.clone(),
            chaincode: self.fabric_chaincode_name.clone(),
            client_tls: None,
            development,
            limits: LedgerLimits::default(),
        })
    }

    /// The signers, each with its certificate checked against its key.
    pub(crate) fn signers(&self) -> Result<Signers, Failure> {
        let admin = self.identity(&self.fabric_cert_path, &self.fabric_key_path)?;
        let super_admin =
            match (&self.fabric_super_admin_cert_path, &self.fabric_super_admin_key_path) {
                (Some(certificate), Some(key)) => self.identity(certificate, key)?,
                _ => admin.clone(),
            };
        Ok(Signers { admin, super_admin })
    }

    fn identity(&self, certificate: &Path, key: &Path) -> Result<Identity, Failure> {
        Identity::from_pem(&self.fabric_msp_id, &read_pem(certificate)?, &read_pem(key)?)
            .map_err(|why| Failure::say(format!("{}: {why}", certificate.display())))
    }
}
