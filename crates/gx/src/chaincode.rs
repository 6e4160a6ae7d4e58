//! `gx chaincode`: serves the contracts to Fabric peers, and writes the package that tells a peer
//! the address of this service. `main` calls [`run`], and prints an error and exits with code 1.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use gx_chaincode::{
    ChaincodeOptions, ChaincodeServer, Connection, Package, PackageError, TlsFiles,
};
use gx_serve::CancellationToken;
use gx_serve::telemetry::{self, LogSettings};
use serde_json::json;

use crate::CliError;
use crate::print::Format;
use crate::process::signal;

/// The arguments of `gx chaincode`; without a subcommand it serves.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ChaincodeRole {
    #[command(subcommand)]
    command: Option<ChaincodeCommand>,
    #[command(flatten)]
    service: ServiceSettings,
}

#[derive(Debug, Subcommand)]
enum ChaincodeCommand {
    /// Write the package that `peer lifecycle chaincode install` takes, and print its id
    Package(PackageArgs),
}

/// The package id, address and certificates of the service.
#[derive(Debug, Args)]
struct ServiceSettings {
    /// Id of the installed package, as `peer lifecycle chaincode install` prints it
    #[arg(long, env = "CHAINCODE_ID", required = true)]
    chaincode_id: Option<String>,
    /// Address to listen on, as host:port
    #[arg(long, env = "CHAINCODE_SERVER_ADDRESS", default_value = "0.0.0.0:7052")]
    chaincode_server_address: String,
    /// Name under which the chaincode is committed to the channel; a proposal with another name
    /// cannot change the ledger
    #[arg(long, env = "FABRIC_CHAINCODE_NAME", default_value = "gxtv3")]
    fabric_chaincode_name: String,
    /// PEM certificate of the service; without it connections are plain
    #[arg(long, env = "CHAINCODE_TLS_CERT_FILE", requires = "chaincode_tls_key_file")]
    chaincode_tls_cert_file: Option<PathBuf>,
    /// PEM private key of that certificate
    #[arg(long, env = "CHAINCODE_TLS_KEY_FILE", requires = "chaincode_tls_cert_file")]
    chaincode_tls_key_file: Option<PathBuf>,
    /// PEM roots of the certificates that peers must present
    #[arg(long, env = "CHAINCODE_TLS_CLIENT_CACERT_FILE", requires = "chaincode_tls_cert_file")]
    chaincode_tls_client_cacert_file: Option<PathBuf>,
    #[command(flatten)]
    log: LogSettings,
}

/// The content of the package. Environment variables are not read, because the package is made for
/// another machine.
#[derive(Debug, Args)]
struct PackageArgs {
    /// File to write, such as gxtv3.tar.gz
    #[arg(long)]
    output: PathBuf,
    /// host:port under which peers reach the service
    #[arg(long)]
    address: String,
    /// Label, by convention the chaincode's name and version
    #[arg(long, default_value = concat!("gxtv3_", env!("CARGO_PKG_VERSION")))]
    label: String,
    /// PEM roots of the service's certificate; peers then use TLS
    #[arg(long)]
    root_cert: Option<PathBuf>,
    /// PEM certificate that peers present to the service
    #[arg(long, requires_all = ["client_key", "root_cert"])]
    client_cert: Option<PathBuf>,
    /// PEM private key of that certificate; anybody who has the package can read it
    #[arg(long, requires = "client_cert")]
    client_key: Option<PathBuf>,
}

/// Serves until SIGTERM or SIGINT, or writes the package.
pub(crate) async fn run(role: ChaincodeRole, format: Format) -> Result<(), CliError> {
    match role.command {
        Some(ChaincodeCommand::Package(args)) => package(&args, format),
        None => serve(role.service).await,
    }
}

/// Serves the contracts until a signal, or until the server fails.
async fn serve(settings: ServiceSettings) -> Result<(), CliError> {
    let Some(package_id) = settings.chaincode_id else {
        return Err(CliError::message(
            "CHAINCODE_ID: is required and not set; set it to the package id that \
             `gx chaincode package` prints",
        ));
    };
    telemetry::init(&settings.log)?;
    let tls = match (settings.chaincode_tls_cert_file, settings.chaincode_tls_key_file) {
        (Some(certificate), Some(key)) => {
            let client_roots = settings.chaincode_tls_client_cacert_file;
            Some(TlsFiles { certificate, key, client_roots })
        }
        _ => None,
    };
    let options = ChaincodeOptions { package_id, name: settings.fabric_chaincode_name, tls };
    let is_encrypted = options.tls.is_some();
    let server = ChaincodeServer::bind(&settings.chaincode_server_address, options).await?;
    let address = server.address();
    tracing::info!(%address, tls = is_encrypted, "listening on {address}");
    let stop = CancellationToken::new();
    let serving = server.serve(stop.clone());
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        signal = signal() => {
            let signal = signal?;
            tracing::info!(signal, "stopping because of {signal}");
        }
    }
    stop.cancel();
    Ok(serving.await?)
}

/// Writes the package and prints its id.
fn package(args: &PackageArgs, format: Format) -> Result<(), CliError> {
    let root_pem = args.root_cert.as_deref().map(read_pem).transpose()?;
    let client = match (&args.client_cert, &args.client_key) {
        (Some(certificate), Some(key)) => Some((read_pem(certificate)?, read_pem(key)?)),
        _ => None,
    };
    let connection = Connection { address: args.address.clone(), root_pem, client };
    let package = Package::new(&args.label, &connection)
        .map_err(|why| CliError::new(&why).about(&named_file(args, &why)))?;
    write_private(&args.output, &package.bytes).map_err(|why| {
        let path = args.output.display();
        CliError::message(format!("`{path}` cannot be written: {why}; give another `--output`"))
    })?;
    format.line(&package.id, &json!({ "packageId": package.id }))
}

/// Returns the path of the file that the error is about, as the start of a message.
fn named_file(args: &PackageArgs, error: &PackageError) -> String {
    let file = match error {
        PackageError::Roots(_) => &args.root_cert,
        PackageError::Client(why) if why.is_about_key() => &args.client_key,
        PackageError::Client(_) => &args.client_cert,
        PackageError::Label | PackageError::ClientWithoutTls => &None,
    };
    file.as_ref().map(|path| format!("`{}`: ", path.display())).unwrap_or_default()
}

/// Writes a file that only its owner can read, because it may contain a client's private key.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(bytes)
}

fn read_pem(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|why| {
        let path = path.display();
        CliError::message(format!(
            "`{path}` cannot be read: {why}; check the path and its permissions"
        ))
    })
}
