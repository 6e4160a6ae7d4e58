//! Starts and stops the parts of the development stack, in the order of their dependencies. Called
//! by `gx dev`. If a part does not start, the started ones are stopped and the error is returned.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use gx_admin::AdminSettings;
use gx_auth::retention::RetentionSettings;
use gx_auth::{Foundation, FoundationSettings, KeyRing, KeyRingSettings, Realm};
use gx_db::cluster::{ClusterOptions, PrivateCluster};
use gx_db::{Database, DatabaseSettings};
use gx_fabric_client::SignerUse;
use gx_identity::IdentitySettings;
use gx_mail::{MailLinks, MailSettings, Transport};
use gx_model::Clock;
use gx_projector::ProjectorSettings;
use gx_serve::shutdown::shutdown_signal;
use gx_serve::{
    AdmissionSettings, Entropy, HealthBoard, RequestLayer, Service, edge as edge_router, server,
};
use gx_submitter::SubmitterSettings;

use super::announcement::{ENV_FILE, announce, environment};
use super::documents::{DevDocumentSettings, StackDocuments};
use super::first_start::{self, TOKEN_KEY_FILE};
use super::ledger::StackLedger;
use super::mail_pages::{MAIL_DIR, mail_pages};
use super::readiness::wait_until_ready;
use super::{DataDir, Ports, edge};
use crate::CliError;
use crate::audit_anchor::AuditAnchorSettings;
use crate::fabric::{FabricSettings, LedgerConnection};
use crate::print::note;
use crate::process::Process;
use crate::workers::WorkerContext;

/// Folder of PostgreSQL.
pub(crate) const POSTGRES_DIR: &str = "postgres";

/// The settings of services and workers that `gx dev` accepts.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    admission: AdmissionSettings,
    #[command(flatten)]
    foundation: FoundationSettings,
    /// File with the master keys [default: master-keys in the data folder]
    #[arg(long, env = "GX_MASTER_KEY_FILE")]
    master_key_file: Option<PathBuf>,
    #[command(flatten)]
    identity: IdentitySettings,
    #[command(flatten)]
    mail: MailSettings,
    #[command(flatten)]
    documents: DevDocumentSettings,
    #[command(flatten)]
    review: gx_admin::ReviewSettings,
    #[command(flatten)]
    submitter: SubmitterSettings,
    #[command(flatten)]
    projector: ProjectorSettings,
    #[command(flatten)]
    retention: RetentionSettings,
    #[command(flatten)]
    _anchor: AuditAnchorSettings,
    #[command(flatten)]
    pub(super) fabric: FabricSettings,
}

/// A running development stack.
pub(crate) struct Stack {
    cluster: PrivateCluster,
    ledger: StackLedger,
    process: Process,
    database: Database,
}

impl Stack {
    /// Starts all parts, waits until they are ready, writes the `env` file and prints the
    /// addresses. If a part does not start, or Ctrl-C comes first, the started parts are stopped
    /// again.
    pub(crate) async fn start(
        dir: &DataDir,
        ports: Ports,
        settings: Settings,
    ) -> Result<Self, CliError> {
        let signal = tokio::spawn(shutdown_signal());
        let (cluster, ledger) = start_postgres_and_ledger(dir, ports, &settings.fabric).await?;
        let rest = ServicesAndWorkers::start(dir, ports, settings, &cluster, &ledger);
        let started = tokio::select! {
            started = rest => started,
            _ = signal => Err(CliError::message(
                "`gx dev` was stopped before it was ready; start it again",
            )),
        };
        match started {
            Ok(ServicesAndWorkers { process, database }) => {
                Ok(Self { cluster, ledger, process, database })
            }
            Err(error) => {
                ledger.stop().await;
                cluster.stop().await?;
                Err(error)
            }
        }
    }

    /// Serves until Ctrl-C, then stops all parts, PostgreSQL last.
    pub(crate) async fn run_until_signal(self, notice: Duration) -> Result<(), CliError> {
        let outcome = self.process.run_until_signal(notice).await;
        self.ledger.stop().await;
        self.database.close().await;
        self.cluster.stop().await?;
        outcome
    }
}

/// The parts that need PostgreSQL and the ledger.
struct ServicesAndWorkers {
    process: Process,
    database: Database,
}

impl ServicesAndWorkers {
    /// Migrates the database, starts services and workers, and announces them when they are ready.
    async fn start(
        dir: &DataDir,
        ports: Ports,
        mut settings: Settings,
        cluster: &PrivateCluster,
        ledger: &StackLedger,
    ) -> Result<Self, CliError> {
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let database = migrate_and_connect(cluster, &clock).await?;
        first_start::token_key(dir)?;
        settings.foundation.tokens.token_key_file.get_or_insert(dir.join(TOKEN_KEY_FILE));
        let master_keys = match settings.master_key_file.take() {
            Some(path) => std::path::absolute(path).map_err(|why| {
                CliError::caused_by("GX_MASTER_KEY_FILE cannot be used; correct the path", &why)
            })?,
            None => first_start::master_keys(dir, &entropy)?,
        };
        let keys = KeyRingSettings { master_key_file: master_keys.clone() };
        let key_ring = KeyRing::read(&keys, entropy.clone())?;
        let documents = StackDocuments::new(settings.documents.clone(), dir)?;
        let process = Process::new(settings.admission.clone());
        let mut builder =
            Builder { dir, ports, settings, documents, ledger, clock, entropy, key_ring, process };
        let password = builder.first_start(&database).await?;
        let mut boards = builder.services(&database).await?;
        boards.extend(builder.workers(&database).await?);
        let degraded = wait_until_ready(&boards, &database).await?;
        let exports = environment(cluster, ports, &password, &master_keys, &builder.documents);
        dir.write_private(ENV_FILE, &exports)?;
        announce(dir, ports, &ledger.addresses(), &degraded);
        Ok(Self { process: builder.process, database })
    }
}

/// Starts PostgreSQL and the ledger. If one of them fails, the other one is stopped.
async fn start_postgres_and_ledger(
    dir: &DataDir,
    ports: Ports,
    fabric: &FabricSettings,
) -> Result<(PrivateCluster, StackLedger), CliError> {
    let (cluster, ledger) = tokio::join!(
        PrivateCluster::start(ClusterOptions::new(dir.join(POSTGRES_DIR))),
        StackLedger::start(dir, ports, fabric, Clock::system()),
    );
    match (cluster, ledger) {
        (Ok(cluster), Ok(ledger)) => Ok((cluster, ledger)),
        (Ok(cluster), Err(error)) => {
            cluster.stop().await?;
            Err(error)
        }
        (Err(error), Ok(ledger)) => {
            ledger.stop().await;
            Err(error.into())
        }
        (Err(error), Err(_)) => Err(error.into()),
    }
}

/// Migrates the schema and returns the database.
async fn migrate_and_connect(
    cluster: &PrivateCluster,
    clock: &Clock,
) -> Result<Database, CliError> {
    let url = DatabaseSettings::from_url(cluster.url().into()).named("dev");
    let report = gx_db::upgrade(&url, clock, note).await?;
    if report.differences.is_empty() {
        crate::database::fill_mailboxes(&url).await?;
        return Ok(gx_db::connect(&url).await?);
    }
    let differences = report.differences.join("; ");
    Err(CliError::message(format!(
        "the schema differs from this release ({differences}); undo the changes, or delete all \
         data with `--fresh`"
    )))
}

/// Starts services and workers in one process.
struct Builder<'a> {
    dir: &'a DataDir,
    ports: Ports,
    settings: Settings,
    documents: StackDocuments,
    ledger: &'a StackLedger,
    clock: Clock,
    entropy: Entropy,
    key_ring: KeyRing,
    process: Process,
}

impl Builder<'_> {
    /// Creates what only the first start creates, and returns the first administrator's password.
    async fn first_start(&self, database: &Database) -> Result<String, CliError> {
        let password = first_start::admin_password(self.dir, &self.entropy)?;
        let foundation = self.foundation(database)?;
        first_start::administrator(&foundation, &password).await?;
        first_start::enqueue_first_commands(database.pool(), &self.clock).await?;
        Ok(password)
    }

    /// Returns the state that the services share.
    fn foundation(&self, database: &Database) -> Result<Foundation, CliError> {
        let (clock, entropy) = (self.clock.clone(), self.entropy.clone());
        let channel = &self.ledger.profile().channel;
        let settings = &self.settings.foundation;
        let ring = self.key_ring.clone();
        let mut base = Foundation::new(settings, channel, database.clone(), ring, clock, entropy)?;
        base.is_development = true;
        Ok(base)
    }

    /// Returns the state of a service that has passkeys, with the origins of its own pages.
    fn with_passkeys(&self, base: &Foundation, realm: Realm) -> Foundation {
        let mut base = base.clone();
        let local = || self.ports.local_relying_party(realm);
        base.relying_party.get_or_insert_with(local);
        base
    }

    /// Starts the three services, each on its two ports, and the listener of the public routes over
    /// HTTPS. Returns their health boards.
    async fn services(&mut self, database: &Database) -> Result<Vec<HealthBoard>, CliError> {
        let biometric_key = first_start::biometric_key(self.dir, &self.entropy)?;
        let foundation = self.foundation(database)?;
        let documents = self.documents.open(&foundation).await?;
        let of_people = self.with_passkeys(&foundation, Realm::User);
        let identity = gx_identity::service(&self.settings.identity, of_people, documents.clone());
        self.mail(&foundation, &identity.health)?;
        let (process, board) = (&mut self.process, &identity.health);
        self.documents.start_housekeeping(process, documents.clone(), &foundation, board);
        let tokenomics = gx_tokenomics::service(foundation.clone());
        let settings = AdminSettings {
            biometric_key: biometric_key.into(),
            kyc_required_documents: self.settings.identity.kyc_required_documents.clone(),
            review: self.settings.review.clone(),
        };
        let of_administrators = self.with_passkeys(&foundation, Realm::Admin);
        let admin = gx_admin::service(&settings, of_administrators, documents);
        self.service(&identity, self.ports.identity()).await?;
        self.service(&tokenomics, self.ports.tokenomics()).await?;
        self.service(&admin, self.ports.admin()).await?;

        let request_layer = RequestLayer::new("edge", self.clock.clone(), self.entropy.clone());
        let router = edge_router(&[&identity, &tokenomics], request_layer)?;
        let router = router.merge(mail_pages(self.dir.join(MAIL_DIR)));
        let certificate = edge::certificate(self.dir)?;
        let tls = server::tls_config(
            certificate.certificate_pem.as_bytes(),
            certificate.private_key_pem.as_bytes(),
        )?;
        self.process.listen_tls("the HTTPS listener", self.ports.edge(), router, tls).await?;
        Ok([identity, tokenomics, admin].map(|service| service.health).to_vec())
    }

    /// Starts the sender of mails, which writes files unless a mail server is set. Links lead to
    /// the stack's own listeners.
    fn mail(&mut self, base: &Foundation, board: &HealthBoard) -> Result<(), CliError> {
        let mut settings = self.settings.mail.clone();
        let usual = MailLinks::default();
        if settings.links.public_url == usual.public_url {
            settings.links.public_url = format!("https://localhost:{}", self.ports.edge().port());
        }
        if settings.links.admin_public_url == usual.admin_public_url {
            settings.links.admin_public_url = format!("http://{}", self.ports.admin());
        }
        let transport = match settings.smtp_url {
            Some(_) => Transport::new(&settings)?,
            None => Transport::Folder(self.dir.join(MAIL_DIR)),
        };
        crate::mail::start_sender(&mut self.process, base, &settings, transport, board)
    }

    /// Starts one service on its two ports.
    async fn service(&mut self, service: &Service, address: SocketAddr) -> Result<(), CliError> {
        self.process.watch(&service.health);
        self.process.listen(service.name, address, service.public(true)).await?;
        let internal = Ports::internal(address);
        self.process.listen_internally(service.name, internal, service.internal()).await
    }

    /// Starts both workers and returns their health boards.
    async fn workers(&mut self, database: &Database) -> Result<Vec<HealthBoard>, CliError> {
        let (clock, entropy) = (self.clock.clone(), self.entropy.clone());
        let profile = self.ledger.profile().clone();
        let connection = LedgerConnection::read(profile, SignerUse::Submit, true, &clock)?;
        let context = WorkerContext::open(database.clone(), connection, clock, entropy).await?;
        let process = &mut self.process;
        let projector = context
            .start_projector(process, self.settings.projector.clone(), self.ports.projector())
            .await?;
        let submitter = context
            .start_submitter(process, self.settings.submitter.clone(), self.ports.submitter())
            .await?;
        context.start_sweeper(process, self.settings.retention.clone());
        Ok(vec![projector, submitter])
    }
}
