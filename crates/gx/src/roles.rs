//! Runs one service or worker as a process of its own. `main` calls one function for each role.
//! Settings that cannot work end the start; a database or ledger that is down is waited for.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use gx_admin::AdminSettings;
use gx_auth::retention::RetentionSettings;
use gx_auth::{Foundation, FoundationSettings, KeyRing, KeyRingSettings, Realm, RelyingParty};
use gx_db::{Database, DatabaseSettings};
use gx_documents::{DocumentRetentionSettings, Housekeeper, Scanner, ScannerSettings};
use gx_fabric_client::SignerUse;
use gx_identity::IdentitySettings;
use gx_mail::{MailSettings, Transport};
use gx_model::Clock;
use gx_projector::ProjectorSettings;
use gx_serve::settings::SettingsReport;
use gx_serve::telemetry::{self, LogSettings};
use gx_serve::{AdmissionSettings, Entropy, Service};
use gx_submitter::SubmitterSettings;

use crate::CliError;
use crate::audit_anchor::AuditAnchorSettings;
use crate::documents::{DocumentSettings, open_after_replay};
use crate::environment::Environment;
use crate::fabric::{FabricSettings, LedgerConnection};
use crate::process::Process;
use crate::workers::WorkerContext;

/// Distance from a service's port to the port of its internal listener.
const INTERNAL_OFFSET: u16 = 10_000;

/// The settings of every role.
#[derive(Debug, Args)]
pub(crate) struct RoleSettings {
    /// Environment: production refuses settings that are safe only on one machine
    #[arg(long, env = "GX_ENV", value_enum, default_value = "production")]
    environment: Environment,
    /// Address to listen on [default: the usual port of the role on all addresses]
    #[arg(long, env = "GX_LISTEN")]
    listen: Option<SocketAddr>,
    /// Address of a service's internal listener [default: 10000 ports above the first]
    #[arg(long, env = "GX_INTERNAL_LISTEN")]
    internal_listen: Option<SocketAddr>,
    /// Time between becoming not ready and closing the listeners, 0 to 60000 milliseconds
    #[arg(long, env = "GX_DRAIN_NOTICE_MS", default_value_t = 1_000,
          value_parser = clap::value_parser!(u64).range(0..=60_000))]
    drain_notice_ms: u64,
    #[command(flatten)]
    log: LogSettings,
    #[command(flatten)]
    database: DatabaseSettings,
}

/// The settings of a service.
#[derive(Debug, Args)]
pub(crate) struct ServiceRole<S: Args> {
    #[command(flatten)]
    role: RoleSettings,
    #[command(flatten)]
    admission: AdmissionSettings,
    #[command(flatten)]
    foundation: FoundationSettings,
    #[command(flatten)]
    keys: KeyRingSettings,
    /// Channel whose projection lag is reported
    #[arg(long, env = "FABRIC_CHANNEL_NAME", default_value = "gxchannel")]
    fabric_channel_name: String,
    #[command(flatten)]
    service: S,
}

/// The settings of a worker.
#[derive(Debug, Args)]
pub(crate) struct WorkerRole<S: Args> {
    #[command(flatten)]
    role: RoleSettings,
    #[command(flatten)]
    fabric: FabricSettings,
    #[command(flatten)]
    worker: S,
}

/// The settings of the process of the outbox submitter, which also removes expired rows and seals
/// the audit log.
#[derive(Debug, Args)]
pub(crate) struct SubmitterRoleSettings {
    #[command(flatten)]
    submitter: SubmitterSettings,
    #[command(flatten)]
    retention: RetentionSettings,
    #[command(flatten)]
    _anchor: AuditAnchorSettings,
}

/// The settings of the process of svc-identity, which also sends mails and keeps house for
/// documents.
#[derive(Debug, Args)]
pub(crate) struct IdentityRoleSettings {
    #[command(flatten)]
    identity: IdentitySettings,
    #[command(flatten)]
    mail: MailSettings,
    #[command(flatten)]
    documents: DocumentSettings,
    #[command(flatten)]
    scanner: ScannerSettings,
    #[command(flatten)]
    retention: DocumentRetentionSettings,
}

/// The settings of the process of svc-admin.
#[derive(Debug, Args)]
pub(crate) struct AdminRoleSettings {
    #[command(flatten)]
    admin: AdminSettings,
    #[command(flatten)]
    documents: DocumentSettings,
}

/// The settings of a service that has none of its own.
#[derive(Debug, Args)]
pub(crate) struct NoSettings {}

/// Runs a service until SIGTERM or SIGINT.
pub(crate) async fn service<S: Args>(
    settings: ServiceRole<S>,
    name_and_port: (&str, u16),
    build: impl FnOnce(&S, Foundation) -> Service,
) -> Result<(), CliError> {
    service_with(settings, name_and_port, |settings, base, _| Ok(build(settings, base))).await
}

/// Runs svc-identity, sends mails and keeps house for documents, until SIGTERM or SIGINT.
pub(crate) async fn svc_identity(
    settings: ServiceRole<IdentityRoleSettings>,
) -> Result<(), CliError> {
    let mail = &settings.service.mail;
    if settings.role.environment == Environment::Production && mail.smtp_url.is_some() {
        mail.links.check_for_production()?;
    }
    require_scanner(settings.role.environment, &settings.service.scanner)?;
    service_with(settings, (gx_identity::SERVICE, 3001), |settings, base, process| {
        let pool = base.database.pool().clone();
        let documents = settings.documents.open(Scanner::of(&settings.scanner), &base)?;
        let service = gx_identity::service(&settings.identity, base.clone(), documents.clone());
        let transport = Transport::new(&settings.mail)?;
        crate::mail::start_sender(process, &base, &settings.mail, transport, &service.health)?;
        let keeper = Housekeeper::new(documents.clone(), pool.clone(), settings.retention);
        Ok(open_after_replay(process, &documents, pool, service, Some(keeper)))
    })
    .await
}

/// Refuses production without a malware scanner.
fn require_scanner(
    environment: Environment,
    settings: &ScannerSettings,
) -> Result<(), SettingsReport> {
    if environment == Environment::Development || settings.scanner.is_some() {
        return Ok(());
    }
    SettingsReport::of(vec!["GX_SCANNER: is required in production and not set".to_owned()])
}

/// Runs svc-admin until SIGTERM or SIGINT.
pub(crate) async fn svc_admin(settings: ServiceRole<AdminRoleSettings>) -> Result<(), CliError> {
    service_with(settings, (gx_admin::SERVICE, 3006), |settings, base, process| {
        let pool = base.database.pool().clone();
        // It shows documents and takes none in, so it needs no scanner.
        let documents = settings.documents.open(None, &base)?;
        let service = gx_admin::service(&settings.admin, base, documents.clone());
        Ok(open_after_replay(process, &documents, pool, service, None))
    })
    .await
}

/// Runs a service that `build` creates, which may add loops to the process.
async fn service_with<S: Args>(
    settings: ServiceRole<S>,
    (name, port): (&str, u16),
    build: impl FnOnce(&S, Foundation, &mut Process) -> Result<Service, CliError>,
) -> Result<(), CliError> {
    let role = &settings.role;
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let ring = KeyRing::read(&settings.keys, entropy.clone())?;
    let database = role.begin(&role.database.named(name)).await?;
    let (own, channel) = (&settings.foundation, &settings.fabric_channel_name);
    let mut foundation = Foundation::new(own, channel, database, ring, clock, entropy)?;
    if role.environment == Environment::Development {
        foundation.is_development = true;
        let realm = if name == gx_admin::SERVICE { Realm::Admin } else { Realm::User };
        foundation.relying_party.get_or_insert_with(|| RelyingParty::local(realm, 0));
    }
    let mut process = Process::new(settings.admission.clone());
    let service = build(&settings.service, foundation, &mut process)?;
    let public = role.address(port);
    let internal = role.internal_listen.unwrap_or_else(|| {
        SocketAddr::new(public.ip(), public.port().saturating_add(INTERNAL_OFFSET))
    });
    process.watch(&service.health);
    process.listen(service.name, public, service.public(false)).await?;
    process.listen_internally(service.name, internal, service.internal()).await?;
    process.run_until_signal(role.drain_notice()).await
}

/// Runs the outbox submitter until SIGTERM or SIGINT.
pub(crate) async fn outbox_submitter(
    settings: WorkerRole<SubmitterRoleSettings>,
) -> Result<(), CliError> {
    let (context, mut process) =
        (settings.worker_context("outbox-submitter", SignerUse::Submit).await?, Process::default());
    let WorkerRole { role, worker, .. } = settings;
    let SubmitterRoleSettings { submitter, retention, .. } = worker;
    context.start_submitter(&mut process, submitter, role.address(9090)).await?;
    context.start_sweeper(&mut process, retention);
    process.run_until_signal(role.drain_notice()).await
}

/// Runs the projector until SIGTERM or SIGINT.
pub(crate) async fn projector(settings: WorkerRole<ProjectorSettings>) -> Result<(), CliError> {
    let (context, mut process) =
        (settings.worker_context("projector", SignerUse::Read).await?, Process::default());
    let WorkerRole { role, worker, .. } = settings;
    context.start_projector(&mut process, worker, role.address(9091)).await?;
    process.run_until_signal(role.drain_notice()).await
}

impl<S: Args> WorkerRole<S> {
    async fn worker_context(
        &self,
        name: &str,
        signer_use: SignerUse,
    ) -> Result<WorkerContext, CliError> {
        // The lock of the leader and the subscriptions need a session of their own.
        let database = self.role.database.named(name).with_sessions();
        let database = self.role.begin(&database).await?;
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let development = self.role.environment == Environment::Development;
        let connection =
            LedgerConnection::read(self.fabric.profile()?, signer_use, development, &clock)?;
        WorkerContext::open(database, connection, clock, entropy).await
    }
}

impl RoleSettings {
    /// Starts telemetry and creates the pool, which also works if the database is down.
    async fn begin(&self, database: &DatabaseSettings) -> Result<Database, CliError> {
        telemetry::init(&self.log)?;
        telemetry::metrics();
        Ok(gx_db::connect(database).await?)
    }

    /// Returns the address to listen on, with the usual port of the role.
    fn address(&self, port: u16) -> SocketAddr {
        self.listen.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
    }

    fn drain_notice(&self) -> Duration {
        Duration::from_millis(self.drain_notice_ms)
    }
}
