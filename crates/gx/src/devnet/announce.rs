//! Tells clients how to reach the ledger: shell exports on standard output, and files in its
//! folder.

use std::path::{Path, PathBuf};

use gx_devnet::Devnet;
use gx_model::SignerRole;
use serde_json::json;

use crate::Failure;

/// Where programs find the address to steer the ledger at, while it runs.
const CONTROL_FILE: &str = "control.json";

/// What must not stay when the ledger stops.
pub(super) struct Announced {
    control_file: Option<PathBuf>,
}

impl Announced {
    /// Removes what is true of a running ledger only.
    pub(super) fn withdraw(self) {
        if let Some(path) = self.control_file
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::warn!(%error, path = %path.display(), "a stale file stays");
        }
    }
}

/// Prints and writes what a client needs.
pub(super) fn announce(devnet: &Devnet, data_dir: &Path) -> Result<Announced, Failure> {
    let tls_root = data_dir.join("tls-root.pem");
    std::fs::write(&tls_root, devnet.tls_root_pem())?;
    println!("export FABRIC_PEER_ENDPOINT={}", devnet.endpoint());
    println!("export FABRIC_PEER_TLS_CA_CERT_PATH={}", tls_root.display());
    println!("export FABRIC_MSP_ID={}", devnet.identity(SignerRole::Admin).msp_id);
    print_signer("FABRIC", &devnet.msp_dir(SignerRole::Admin));
    print_signer("FABRIC_SUPER_ADMIN", &devnet.msp_dir(SignerRole::SuperAdmin));
    let network = data_dir.join("network.json");
    println!("export DEVNET_NETWORK={}", network.display());
    println!("export DEVNET_PROFILE={}", data_dir.join("connection-profile.yaml").display());
    let control_file = match devnet.control_endpoint() {
        None => None,
        Some(address) => {
            let url = format!("http://{address}");
            println!("export DEVNET_CONTROL={url}");
            let path = data_dir.join(CONTROL_FILE);
            std::fs::write(&path, format!("{}\n", json!({ "url": url })))?;
            Some(path)
        }
    };
    Ok(Announced { control_file })
}

fn print_signer(prefix: &str, msp: &Path) {
    println!("export {prefix}_CERT_PATH={}", msp.join("signcerts/cert.pem").display());
    println!("export {prefix}_KEY_PATH={}", msp.join("keystore/priv_sk").display());
}
