//! The long-running roles, each as a process of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::{Args, ValueEnum};
use gx_auth::{Foundation, FoundationSettings};
use gx_db::{Database, DatabaseSettings};
use gx_fabric_client::Errand;
use gx_model::Clock;
use gx_projector::ProjectorSettings;
use gx_serve::telemetry::{self, LogSettings};
use gx_serve::{Entropy, Service};
use gx_submitter::SubmitterSettings;

use crate::Failure;
use crate::fabric::{FabricSettings, LedgerAccess};
use crate::process::Process;
use crate::workers::Workplace;

/// How far a service's second listener lies above its first.
const INTERNAL_OFFSET: u16 = 10_000;

/// Which environment this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Environment {
    /// Loopback and literal addresses of peers are fine
    Development,
    /// They are refused
    Production,
}

/// What every role is told.
#[derive(Debug, Args)]
pub(crate) struct RoleSettings {
    /// Environment
    #[arg(long, env = "GX_ENV", value_enum, default_value = "production")]
    environment: Environment,
    /// Address to listen on; by default the role's usual port on every address
    #[arg(long, env = "GX_LISTEN")]
    listen: Option<SocketAddr>,
    /// Address of a service's second, non-public listener; by default 10000 ports above
    #[arg(long, env = "GX_INTERNAL_LISTEN")]
    internal_listen: Option<SocketAddr>,
    /// Milliseconds between becoming unready and closing the listeners, 0 to 60000
    #[arg(long, env = "GX_DRAIN_NOTICE_MS", default_value_t = 1_000,
          value_parser = clap::value_parser!(u64).range(0..=60_000))]
    drain_notice_ms: u64,
    #[command(flatten)]
    log: LogSettings,
    #[command(flatten)]
    database: DatabaseSettings,
}

/// A role that serves HTTP to people or administrators.
#[derive(Debug, Args)]
pub(crate) struct ServiceRole<S: Args> {
    #[command(flatten)]
    role: RoleSettings,
    #[command(flatten)]
    foundation: FoundationSettings,
    /// Channel whose projection lag is reported
    #[arg(long, env = "FABRIC_CHANNEL_NAME", default_value = "gxchannel")]
    fabric_channel_name: String,
    #[command(flatten)]
    service: S,
}

/// A role that works between database and ledger.
#[derive(Debug, Args)]
pub(crate) struct WorkerRole<S: Args> {
    #[command(flatten)]
    role: RoleSettings,
    #[command(flatten)]
    fabric: FabricSettings,
    #[command(flatten)]
    worker: S,
}

/// A role without settings of its own.
#[derive(Debug, Args)]
pub(crate) struct NoSettings {}

/// Runs one of the HTTP services until told to stop.
pub(crate) async fn service<S: Args>(
    settings: ServiceRole<S>,
    port: u16,
    build: impl FnOnce(&S, Foundation) -> Service,
) -> Result<(), Failure> {
    let role = &settings.role;
    let database = role.begin().await?;
    let foundation = Foundation::new(
        &settings.foundation,
        &settings.fabric_channel_name,
        database,
        Clock::system(),
        Entropy::system(),
    )?;
    let service = build(&settings.service, foundation);
    let public = role.address(port);
    let internal = role.internal_listen.unwrap_or_else(|| {
        SocketAddr::new(public.ip(), public.port().saturating_add(INTERNAL_OFFSET))
    });
    let mut process = Process::default();
    process.watch(&service.health);
    process.listen(service.name, public, service.public(false)).await?;
    process.listen(service.name, internal, service.internal()).await?;
    process.run_until_told(role.drain_notice()).await
}

/// Runs the outbox submitter until told to stop.
pub(crate) async fn outbox_submitter(
    settings: WorkerRole<SubmitterSettings>,
) -> Result<(), Failure> {
    let (place, mut process) = (settings.workplace(Errand::Submit).await?, Process::default());
    let WorkerRole { role, worker, .. } = settings;
    place.start_submitter(&mut process, worker, role.address(9090)).await?;
    process.run_until_told(role.drain_notice()).await
}

/// Runs the projector until told to stop.
pub(crate) async fn projector(settings: WorkerRole<ProjectorSettings>) -> Result<(), Failure> {
    let (place, mut process) = (settings.workplace(Errand::Read).await?, Process::default());
    let WorkerRole { role, worker, .. } = settings;
    place.start_projector(&mut process, worker, role.address(9091)).await?;
    process.run_until_told(role.drain_notice()).await
}

impl<S: Args> WorkerRole<S> {
    async fn workplace(&self, errand: Errand) -> Result<Workplace, Failure> {
        let database = self.role.begin().await?;
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let development = self.role.environment == Environment::Development;
        let access = LedgerAccess::read(self.fabric.profile()?, errand, development, &clock)?;
        Workplace::open(database, access, clock, entropy).await
    }
}

impl RoleSettings {
    /// Starts telemetry and opens the pool. The database need not be there yet.
    async fn begin(&self) -> Result<Database, Failure> {
        telemetry::init(&self.log)?;
        telemetry::metrics();
        Ok(gx_db::connect(&self.database).await?)
    }

    fn address(&self, port: u16) -> SocketAddr {
        self.listen.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
    }

    fn drain_notice(&self) -> Duration {
        Duration::from_millis(self.drain_notice_ms)
    }
}
