//! The `gx` binary: every long-running role, the development stack and the operator's commands.

mod administrator;
mod audit;
mod chaincode;
mod database;
#[cfg(feature = "dev")]
mod dev;
#[cfg(feature = "dev")]
mod devnet;
mod fabric;
mod failure;
mod id;
mod outbox;
mod print;
mod process;
mod projection;
mod roles;
mod workers;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use gx_serve::settings::{self, NoStart};

use gx_admin::AdminSettings;
use gx_identity::IdentitySettings;
use gx_projector::ProjectorSettings;
use gx_submitter::SubmitterSettings;

pub(crate) use failure::Failure;
use print::Format;
use roles::{NoSettings, ServiceRole, WorkerRole};

/// Turns a person into a participant of a permissioned ledger.
#[derive(Debug, Parser)]
#[command(name = "gx", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine, with a private PostgreSQL and a development ledger
    #[cfg(feature = "dev")]
    Dev(Box<dev::DevArgs>),
    /// Run a development ledger alone
    #[cfg(feature = "dev")]
    Devnet(Box<devnet::DevnetRole>),
    /// Run the service of registration, sessions and profiles
    SvcIdentity(Box<ServiceRole<IdentitySettings>>),
    /// Run the service of wallets and balances
    SvcTokenomics(Box<ServiceRole<NoSettings>>),
    /// Run the service of administrators
    SvcAdmin(Box<ServiceRole<AdminSettings>>),
    /// Run the worker that turns committed commands into ledger transactions
    OutboxSubmitter(Box<WorkerRole<SubmitterSettings>>),
    /// Run the worker that turns blocks into the read model
    Projector(Box<WorkerRole<ProjectorSettings>>),
    /// Serve the GX contracts to Fabric peers as chaincode-as-a-service
    Chaincode(chaincode::ChaincodeRole),
    /// The Fabric network: connection profiles, and whether it serves us
    #[command(subcommand)]
    Fabric(fabric::FabricCommand),
    /// Administrators
    #[command(subcommand)]
    Admin(administrator::AdminCommand),
    /// The log of who did what
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Fabric User IDs
    #[command(subcommand)]
    Id(id::IdCommand),
    /// The database's schema and instances
    #[command(subcommand)]
    Db(database::DbCommand),
    /// Commands on their way to the ledger
    #[command(subcommand)]
    Outbox(outbox::OutboxCommand),
    /// The read model
    #[command(subcommand)]
    Projection(projection::ProjectionCommand),
}

/// Names of ours that are no settings: what a build is told, where PostgreSQL is, and what the
/// `env` file of a development stack exports for other programs.
const KNOWN: [&str; 8] = [
    "GX_BUILD_COMMIT",
    "GX_PG_BINDIR",
    "GX_IDENTITY_URL",
    "GX_TOKENOMICS_URL",
    "GX_ADMIN_URL",
    "GX_EDGE_URL",
    "GX_ADMIN_EMAIL",
    "GX_ADMIN_PASSWORD",
];

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment, to find misspelt names in it"
)]
fn main() -> ExitCode {
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let arguments = std::env::args_os().collect();
    let cli = match settings::read(&Cli::command(), arguments, &environment, &KNOWN) {
        Ok(matches) => Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()),
        Err(NoStart::Clap(error)) => error.exit(),
        Err(NoStart::Settings(report)) => return refuse(&report),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error),
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => refuse(&failure),
    }
}

fn refuse(reason: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("gx: {reason}");
    ExitCode::FAILURE
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let format = if cli.json { Format::Json } else { Format::Text };
    match cli.command {
        #[cfg(feature = "dev")]
        Command::Dev(args) => Box::pin(dev::run(*args)).await,
        #[cfg(feature = "dev")]
        Command::Devnet(role) => devnet::run(*role, format).await,
        Command::SvcIdentity(role) => roles::service(*role, 3001, gx_identity::service).await,
        Command::SvcTokenomics(role) => {
            roles::service(*role, 3002, |_, base| gx_tokenomics::service(base)).await
        }
        Command::SvcAdmin(role) => roles::service(*role, 3006, gx_admin::service).await,
        Command::OutboxSubmitter(role) => roles::outbox_submitter(*role).await,
        Command::Projector(role) => roles::projector(*role).await,
        Command::Chaincode(role) => chaincode::run(role, format).await,
        Command::Fabric(command) => fabric::run(command, format).await,
        Command::Admin(command) => administrator::run(command, format).await,
        Command::Audit(command) => audit::run(command, format).await,
        Command::Id(command) => id::run(command, format),
        Command::Db(command) => database::run(command, format).await,
        Command::Outbox(command) => outbox::run(command, format).await,
        Command::Projection(command) => projection::run(command, format).await,
    }
}
