//! `gx dev`: everything on one machine, in one process tree, with a private PostgreSQL.
//!
//! The roles are the ones that run alone elsewhere, put together in this process; the ledger,
//! a development ledger unless settings name another, is reached through its wire only. PostgreSQL is a process of its own
//! that survives a kill of this one; the next start adopts it.

mod data_dir;
mod edge;
mod error;
mod first_start;
mod ledger;
mod ports;
mod readiness;
mod stack;
mod store;
mod words;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use gx_db::cluster::PrivateCluster;
use gx_serve::telemetry::{self, LogFormat, LogSettings};

use crate::Failure;
use data_dir::DataDir;
use error::DevError;
use first_start::{ADMIN_PASSWORD_FILE, BIOMETRIC_KEY_FILE, TOKEN_KEY};
use ports::Ports;
use stack::Stack;

/// Largest `--port-offset` that leaves every port below 65536.
const LARGEST_PORT_OFFSET: i64 = 50_000;

/// Where the stack lives.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Folder for everything that is kept
    #[arg(long, default_value = ".gx")]
    data_dir: PathBuf,
    /// Delete what was kept, and start over
    #[arg(long)]
    fresh: bool,
    /// Move every port up by this much
    #[arg(long, default_value_t = 0,
          value_parser = clap::value_parser!(u16).range(0..=LARGEST_PORT_OFFSET))]
    port_offset: u16,
    /// What is logged, as `level` or `target=level,…`
    #[arg(long, env = "GX_LOG", default_value = "warn")]
    log: String,
    #[command(flatten)]
    settings: stack::Settings,
}

/// Runs until Ctrl-C.
pub(crate) async fn run(args: DevArgs) -> Result<(), Failure> {
    telemetry::init(&LogSettings { log_format: LogFormat::Human, log: args.log })?;
    telemetry::metrics();
    let dir = DataDir::open(&args.data_dir).await?;
    if args.fresh {
        start_over(&dir).await?;
    }
    let ports = Ports::with_offset(args.port_offset);
    ports.check_free(!args.settings.fabric.names_a_ledger())?;
    let stack = Stack::start(&dir, ports, args.settings).await?;
    stack.run_until_told(Duration::ZERO).await
}

/// Deletes everything but the folder itself and its lock.
async fn start_over(dir: &DataDir) -> Result<(), Failure> {
    PrivateCluster::delete(dir.join(stack::POSTGRES)).await?;
    let secrets = [ADMIN_PASSWORD_FILE, BIOMETRIC_KEY_FILE, TOKEN_KEY, edge::FILE];
    for part in [stack::LEDGER, stack::ENV].into_iter().chain(secrets) {
        dir.remove(part)?;
    }
    Ok(())
}
