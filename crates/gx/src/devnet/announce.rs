//! Publishes the addresses of a started development ledger: shell exports on standard output, and
//! files in its folder. Called by `gx devnet` after the ledger has started and when it stops. If a
//! file cannot be written, the ledger ends with the error.

use std::path::{Path, PathBuf};

use gx_devnet::Devnet;
use gx_model::SignerRole;
use serde_json::json;

use crate::CliError;
use crate::print::out;

/// The file with the address of the control endpoint; it exists while the ledger runs.
const CONTROL_FILE: &str = "control.json";

/// The files to delete when the ledger stops.
pub(super) struct Announced {
    control_file: Option<PathBuf>,
}

impl Announced {
    /// Deletes the files that are valid only while the ledger runs.
    pub(super) fn withdraw(self) {
        if let Some(path) = self.control_file
            && let Err(error) = std::fs::remove_file(&path)
        {
            let path = path.display();
            tracing::warn!(%error, %path, "the control file {path} cannot be deleted");
        }
    }
}

/// Prints the shell exports and writes the files that a client needs.
pub(super) fn announce(devnet: &Devnet, data_dir: &Path) -> Result<Announced, CliError> {
    let tls_root = data_dir.join("tls-root.pem");
    write(&tls_root, &devnet.tls_root_pem())?;
    let network = data_dir.join("network.json");
    let mut exports = vec![
        format!("export FABRIC_PEER_ENDPOINT={}", devnet.endpoint()),
        format!("export FABRIC_PEER_TLS_CA_CERT_PATH={}", tls_root.display()),
        format!("export FABRIC_MSP_ID={}", devnet.identity(SignerRole::Admin).msp_id),
    ];
    exports.extend(signer_exports("FABRIC", &devnet.msp_dir(SignerRole::Admin)));
    exports.extend(signer_exports("FABRIC_SUPER_ADMIN", &devnet.msp_dir(SignerRole::SuperAdmin)));
    exports.push(format!("export DEVNET_NETWORK={}", network.display()));
    let profile = data_dir.join("connection-profile.yaml");
    exports.push(format!("export DEVNET_PROFILE={}", profile.display()));
    let control_file = match devnet.control_endpoint() {
        None => None,
        Some(address) => {
            let url = format!("http://{address}");
            exports.push(format!("export DEVNET_CONTROL={url}"));
            let path = data_dir.join(CONTROL_FILE);
            write(&path, &format!("{}\n", json!({ "url": url })))?;
            Some(path)
        }
    };
    // The ledger goes on if standard output is closed.
    let _unread = out(&exports.join("\n"));
    Ok(Announced { control_file })
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(path, text).map_err(|why| {
        let path = path.display();
        CliError::message(format!("`{path}` cannot be written: {why}; give another `--data-dir`"))
    })
}

fn signer_exports(prefix: &str, msp: &Path) -> [String; 2] {
    [
        format!("export {prefix}_CERT_PATH={}", msp.join("signcerts/cert.pem").display()),
        format!("export {prefix}_KEY_PATH={}", msp.join("keystore/priv_sk").display()),
    ]
}
