//! `gx dev`: everything on one machine, in one process tree, with a private PostgreSQL.
//!
//! Services and workers are the same as in production, and run in this process. They reach the
//! ledger, a development ledger unless the settings name another, only through Fabric's protocol.
//! PostgreSQL is a process of its own that survives a kill of this one; the next start adopts it.
//! `main` calls [`run`]. If a part does not start, the others are stopped and the error is printed.

mod announcement;
mod data_dir;
mod documents;
mod edge;
mod error;
mod first_start;
mod ledger;
mod mail_pages;
mod ports;
mod readiness;
mod stack;
mod store;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use gx_db::cluster::PrivateCluster;
use gx_serve::telemetry::{self, LogFormat, LogSettings};

use crate::CliError;
use data_dir::DataDir;
use error::DevError;
use first_start::{ADMIN_PASSWORD_FILE, BIOMETRIC_KEY_FILE, MASTER_KEY_FILE, TOKEN_KEY_FILE};
use ports::Ports;
use stack::Stack;

/// Largest `--port-offset` that leaves every port below 65536.
const MAX_PORT_OFFSET: i64 = 50_000;

/// The arguments of `gx dev`.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Folder for the database, the ledger, documents, keys and passwords
    #[arg(long, default_value = ".gx")]
    data_dir: PathBuf,
    /// Delete all data of earlier starts first
    #[arg(long)]
    fresh: bool,
    /// Number to add to every port, 0 to 50000
    #[arg(long, default_value_t = 0,
          value_parser = clap::value_parser!(u16).range(0..=MAX_PORT_OFFSET))]
    port_offset: u16,
    /// Levels of the log, as `level` or `target=level,…`
    #[arg(long, env = "GX_LOG", default_value = "warn")]
    log: String,
    #[command(flatten)]
    settings: stack::Settings,
}

/// Runs the stack until Ctrl-C.
pub(crate) async fn run(args: DevArgs) -> Result<(), CliError> {
    telemetry::init(&LogSettings { log_format: LogFormat::Human, log: args.log })?;
    telemetry::metrics();
    let dir = DataDir::open(&args.data_dir).await?;
    if args.fresh {
        start_over(&dir).await?;
    }
    let ports = Ports::with_offset(args.port_offset);
    ports.check_free(!args.settings.fabric.names_a_ledger())?;
    let stack = Box::pin(Stack::start(&dir, ports, args.settings)).await?;
    stack.run_until_signal(Duration::ZERO).await
}

/// Deletes everything in the folder except the lock.
async fn start_over(dir: &DataDir) -> Result<(), CliError> {
    PrivateCluster::delete(dir.join(stack::POSTGRES_DIR)).await?;
    let secrets = [
        ADMIN_PASSWORD_FILE,
        BIOMETRIC_KEY_FILE,
        MASTER_KEY_FILE,
        TOKEN_KEY_FILE,
        edge::CERTIFICATE_FILE,
    ];
    let parts = [
        ledger::LEDGER_DIR,
        mail_pages::MAIL_DIR,
        documents::DOCUMENT_DIR,
        documents::KEY_DIR,
        announcement::ENV_FILE,
    ];
    for part in parts.into_iter().chain(secrets) {
        dir.remove(part)?;
    }
    Ok(())
}
