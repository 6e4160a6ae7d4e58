//! The settings of the ledger: a connection profile, the `FABRIC_*` variables, or both. Both
//! workers, `gx dev`, `gx fabric` and `gx projection` use them; settings that cannot work end the
//! start.

mod command;
mod connection;
mod overlay;

use std::path::PathBuf;

use clap::Args;
use gx_fabric_client::LARGEST_TIMEOUT_MS;

pub(crate) use command::{FabricCommand, run};
pub(crate) use connection::LedgerConnection;

/// The settings of peers and signers. Their names are those of existing deployments.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Ledger")]
pub(crate) struct FabricSettings {
    /// Connection profile, YAML or JSON (`gx fabric profile --example` prints one); the settings
    /// below replace its values
    #[arg(long = "fabric", env = "GX_FABRIC_PROFILE", value_name = "PROFILE")]
    pub(crate) fabric_profile: Option<PathBuf>,
    /// Peers of the signers' organisation as host:port, separated by commas; required without
    /// a profile
    #[arg(long, env = "FABRIC_PEER_ENDPOINT", value_delimiter = ',')]
    pub(crate) fabric_peer_endpoint: Vec<String>,
    /// PEM file with the root of those peers' TLS certificates; required without a profile
    #[arg(long, env = "FABRIC_PEER_TLS_CA_CERT_PATH")]
    pub(crate) fabric_peer_tls_ca_cert_path: Option<PathBuf>,
    /// Name expected in those peers' TLS certificates instead of the host
    #[arg(long, env = "FABRIC_TLS_SERVER_NAME_OVERRIDE")]
    pub(crate) fabric_tls_server_name_override: Option<String>,
    /// MSP id of those peers and of the signers; required without a profile
    #[arg(long, env = "FABRIC_MSP_ID")]
    pub(crate) fabric_msp_id: Option<String>,
    /// Channel; gxchannel if the profile names none
    #[arg(long, env = "FABRIC_CHANNEL_NAME")]
    pub(crate) fabric_channel_name: Option<String>,
    /// Chaincode with the GX contracts; gxtv3 if the profile names none
    #[arg(long, env = "FABRIC_CHAINCODE_NAME")]
    pub(crate) fabric_chaincode_name: Option<String>,
    /// PEM certificate of the signer with the role gx_admin; required without a profile
    #[arg(long, env = "FABRIC_CERT_PATH", requires = "fabric_key_path")]
    pub(crate) fabric_cert_path: Option<PathBuf>,
    /// PEM private key of that signer; required without a profile
    #[arg(long, env = "FABRIC_KEY_PATH", requires = "fabric_cert_path")]
    pub(crate) fabric_key_path: Option<PathBuf>,
    /// PEM certificate of the signer with the role gx_super_admin; without it the signer with the
    /// role gx_admin signs everything
    #[arg(long, env = "FABRIC_SUPER_ADMIN_CERT_PATH", requires = "fabric_super_admin_key_path")]
    pub(crate) fabric_super_admin_cert_path: Option<PathBuf>,
    /// PEM private key of that signer
    #[arg(long, env = "FABRIC_SUPER_ADMIN_KEY_PATH", requires = "fabric_super_admin_cert_path")]
    pub(crate) fabric_super_admin_key_path: Option<PathBuf>,
    /// PEM certificate of the signer with the role gx_partner_api, which reads blocks and sends
    /// queries; without it the signer with the role gx_admin does
    #[arg(long, env = "FABRIC_PARTNER_API_CERT_PATH", requires = "fabric_partner_api_key_path")]
    pub(crate) fabric_partner_api_cert_path: Option<PathBuf>,
    /// PEM private key of that signer
    #[arg(long, env = "FABRIC_PARTNER_API_KEY_PATH", requires = "fabric_partner_api_cert_path")]
    pub(crate) fabric_partner_api_key_path: Option<PathBuf>,
    /// PEM certificate for peers that require a TLS certificate of their clients
    #[arg(long, env = "FABRIC_TLS_CLIENT_CERT_PATH", requires = "fabric_tls_client_key_path")]
    pub(crate) fabric_tls_client_cert_path: Option<PathBuf>,
    /// PEM private key of that certificate
    #[arg(long, env = "FABRIC_TLS_CLIENT_KEY_PATH", requires = "fabric_tls_client_cert_path")]
    pub(crate) fabric_tls_client_key_path: Option<PathBuf>,
    /// Longest time of name resolution, of connecting and of the TLS handshake each, in
    /// milliseconds
    #[arg(long, env = "FABRIC_CONNECT_TIMEOUT_MS", value_parser = timeout_ms())]
    pub(crate) fabric_connect_timeout_ms: Option<u64>,
    /// Longest time of a query, in milliseconds
    #[arg(long, env = "FABRIC_EVALUATE_TIMEOUT_MS", value_parser = timeout_ms())]
    pub(crate) fabric_evaluate_timeout_ms: Option<u64>,
    /// Longest time of an endorsement, in milliseconds
    #[arg(long, env = "FABRIC_ENDORSE_TIMEOUT_MS", value_parser = timeout_ms())]
    pub(crate) fabric_endorse_timeout_ms: Option<u64>,
    /// Longest time of a submission, in milliseconds
    #[arg(long, env = "FABRIC_SUBMIT_TIMEOUT_MS", value_parser = timeout_ms())]
    pub(crate) fabric_submit_timeout_ms: Option<u64>,
}

fn timeout_ms() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=LARGEST_TIMEOUT_MS)
}

impl FabricSettings {
    /// Returns whether the settings name a ledger. If not, `gx dev` starts one.
    #[cfg(feature = "dev")]
    pub(crate) fn names_a_ledger(&self) -> bool {
        self.fabric_profile.is_some() || !self.fabric_peer_endpoint.is_empty()
    }
}
