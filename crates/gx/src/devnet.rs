//! `gx devnet`: the development ledger as a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use gx_devnet::{Devnet, DevnetOptions};
use gx_model::{Clock, SignerRole};
use gx_serve::shutdown::shutdown_signal;

use crate::Failure;

/// Where the ledger is kept and reached.
#[derive(Debug, Args)]
pub(crate) struct DevnetArgs {
    /// Folder for keys, certificates and blocks
    #[arg(long, default_value = ".gx/devnet")]
    data_dir: PathBuf,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:7051")]
    listen: SocketAddr,
}

/// Serves until SIGTERM or SIGINT. Says on standard output what a client needs, as shell
/// exports.
pub(crate) async fn run(args: DevnetArgs) -> Result<(), Failure> {
    let options =
        DevnetOptions { listen: args.listen, ..DevnetOptions::new(args.data_dir, Clock::system()) };
    let tls_root = options.data_dir.join("tls-root.pem");
    let devnet = Devnet::start(options).await?;
    std::fs::write(&tls_root, devnet.tls_root_pem())?;
    println!("export FABRIC_PEER_ENDPOINT={}", devnet.endpoint());
    println!("export FABRIC_PEER_TLS_CA_CERT_PATH={}", tls_root.display());
    println!("export FABRIC_MSP_ID={}", devnet.identity(SignerRole::Admin).msp_id);
    print_signer("FABRIC", &devnet.msp_dir(SignerRole::Admin));
    print_signer("FABRIC_SUPER_ADMIN", &devnet.msp_dir(SignerRole::SuperAdmin));
    shutdown_signal().await?;
    devnet.stop().await;
    Ok(())
}

fn print_signer(prefix: &str, msp: &Path) {
    println!("export {prefix}_CERT_PATH={}", msp.join("signcerts/cert.pem").display());
    println!("export {prefix}_KEY_PATH={}", msp.join("keystore/priv_sk").display());
}
