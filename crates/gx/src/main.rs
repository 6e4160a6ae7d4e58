//! The `gx` binary: all services and workers, the development stack and the commands of operators.
//!
//! Reads the command line and the environment, runs one role or command, and prints its error. The
//! exit code is 0 after success, 1 after an error, and 141 if standard output was closed; clap has
//! its own for a wrong command line.

// Both macros panic if the pipe is closed; the functions of `print` return an error.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod administrator;
mod audit;
mod audit_anchor;
mod chaincode;
mod cli_error;
mod database;
#[cfg(feature = "dev")]
mod dev;
#[cfg(feature = "dev")]
mod devnet;
mod documents;
mod environment;
mod erase;
mod fabric;
#[cfg(all(test, feature = "dev"))]
mod golden;
mod id;
mod keys;
mod long_command;
mod mail;
mod outbox;
mod passwords;
mod print;
mod process;
mod projection;
mod reason;
mod retention;
mod roles;
mod signing_keys;
mod workers;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use gx_serve::settings::{self, StartError};

use gx_projector::ProjectorSettings;

pub(crate) use cli_error::CliError;
use print::Format;
use roles::{
    AdminRoleSettings, IdentityRoleSettings, NoSettings, ServiceRole, SubmitterRoleSettings,
    WorkerRole,
};

/// Turns a person into a participant of a permissioned ledger.
#[derive(Debug, Parser)]
#[command(name = "gx", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run all services and workers on this machine, with PostgreSQL and a development ledger
    #[cfg(feature = "dev")]
    Dev(Box<dev::DevArgs>),
    /// Run only a development ledger
    #[cfg(feature = "dev")]
    Devnet(Box<devnet::DevnetRole>),
    /// Run the service for registration, sessions and profiles
    SvcIdentity(Box<ServiceRole<IdentityRoleSettings>>),
    /// Run the service for wallets, transfers and supply
    SvcTokenomics(Box<ServiceRole<NoSettings>>),
    /// Run the service for administrators
    SvcAdmin(Box<ServiceRole<AdminRoleSettings>>),
    /// Run the worker that sends the commands of the outbox to the ledger
    OutboxSubmitter(Box<WorkerRole<SubmitterRoleSettings>>),
    /// Run the worker that writes the blocks of the ledger into the read model
    Projector(Box<WorkerRole<ProjectorSettings>>),
    /// Serve the GX contracts to Fabric peers as chaincode-as-a-service
    Chaincode(chaincode::ChaincodeRole),
    /// Show and check the connection to the Fabric network
    #[command(subcommand)]
    Fabric(fabric::FabricCommand),
    /// Add administrators
    #[command(subcommand)]
    Admin(administrator::AdminCommand),
    /// Check the audit log
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Replace master keys and the keys that sign tokens
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Build the file with the passwords of data breaches
    #[command(subcommand)]
    Passwords(passwords::PasswordsCommand),
    /// Generate, decode and verify Fabric User IDs
    #[command(subcommand)]
    Id(id::IdCommand),
    /// Migrate and check the database
    #[command(subcommand)]
    Db(database::DbCommand),
    /// List, show, retry and discard commands of the outbox
    #[command(subcommand)]
    Outbox(outbox::OutboxCommand),
    /// List and retry mails
    #[command(subcommand)]
    Mail(mail::MailCommand),
    /// Show, verify, rebuild and repair the read model
    #[command(subcommand)]
    Projection(projection::ProjectionCommand),
    /// Remove expired rows, and erase people whose time is over
    #[command(subcommand)]
    Retention(retention::RetentionCommand),
    /// Erase a person whose account is closed, with all documents
    Erase(Box<erase::EraseArgs>),
}

/// Environment variables that begin with `GX_` and are not settings of `gx`: those of a build, of
/// the development database, and of the `env` file of a development stack.
const OTHER_NAMES: [&str; 8] = [
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
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    // A child process of a service: it must confine itself before it has a second thread.
    if let [_, only] = &arguments[..]
        && only == RENDER_PAGE
    {
        return gx_documents::render_page();
    }
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let cli = match settings::read(&Cli::command(), arguments, &environment, &OTHER_NAMES) {
        Ok(matches) => Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()),
        Err(StartError::Clap(error)) => error.exit(),
        Err(StartError::Settings(report)) => return fail(&report),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = CliError::caused_by(
                "the threads of the process cannot be started; allow this user more threads",
                &error,
            );
            return fail(&error);
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(CliError::ClosedPipe) => ExitCode::from(CLOSED_PIPE_EXIT_CODE),
        Err(error) => fail(&error),
    }
}

/// The hidden command that draws a page of a document and is started by services only.
pub(crate) const RENDER_PAGE: &str = "render-page";

/// The exit code if standard output was closed: 128 plus the number of SIGPIPE, as shells show it.
/// It is not 0, because a part of the result was not printed.
const CLOSED_PIPE_EXIT_CODE: u8 = 141;

/// Prints why the process fails and returns its exit code.
fn fail(reason: &dyn std::fmt::Display) -> ExitCode {
    print::note(&format!("gx: {reason}"));
    ExitCode::FAILURE
}

/// Runs the role or command.
async fn run(cli: Cli) -> Result<(), CliError> {
    let format = if cli.json { Format::Json } else { Format::Text };
    match cli.command {
        #[cfg(feature = "dev")]
        Command::Dev(args) => Box::pin(dev::run(*args)).await,
        #[cfg(feature = "dev")]
        Command::Devnet(role) => devnet::run(*role, format).await,
        Command::SvcIdentity(role) => roles::svc_identity(*role).await,
        Command::SvcTokenomics(role) => {
            roles::service(*role, ("svc-tokenomics", 3002), |_, base| gx_tokenomics::service(base))
                .await
        }
        Command::SvcAdmin(role) => roles::svc_admin(*role).await,
        Command::OutboxSubmitter(role) => roles::outbox_submitter(*role).await,
        Command::Projector(role) => roles::projector(*role).await,
        Command::Chaincode(role) => chaincode::run(role, format).await,
        Command::Fabric(command) => fabric::run(command, format).await,
        Command::Admin(command) => administrator::run(command, format).await,
        Command::Audit(command) => audit::run(command, format).await,
        Command::Keys(command) => keys::run(command, format).await,
        Command::Passwords(command) => passwords::run(command, format).await,
        Command::Id(command) => id::run(command, format),
        Command::Db(command) => database::run(command, format).await,
        Command::Outbox(command) => outbox::run(command, format).await,
        Command::Mail(command) => mail::run(command, format).await,
        Command::Projection(command) => projection::run(command, format).await,
        Command::Retention(command) => retention::run(command, format).await,
        Command::Erase(arguments) => erase::run(*arguments, format).await,
    }
}
