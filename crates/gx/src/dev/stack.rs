//! The parts of the development stack, started in the order in which they need each other.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use gx_admin::AdminSettings;
use gx_auth::{Foundation, FoundationSettings};
use gx_db::cluster::{ClusterOptions, PrivateCluster};
use gx_db::{Database, DatabaseSettings};
use gx_fabric_client::Errand;
use gx_identity::IdentitySettings;
use gx_model::Clock;
use gx_projector::ProjectorSettings;
use gx_serve::shutdown::shutdown_signal;
use gx_serve::{Entropy, Envelope, HealthBoard, Service, edge as edge_router, server};
use gx_submitter::SubmitterSettings;

use super::first_start::{self, TOKEN_KEY};
use super::ledger::StackLedger;
use super::readiness::all_serve;
use super::words::{announce, environment};
use super::{DataDir, Ports, edge};
use crate::Failure;
use crate::fabric::{FabricSettings, LedgerAccess};
use crate::process::Process;
use crate::workers::Workplace;

/// PostgreSQL's folder.
pub(crate) const POSTGRES: &str = "postgres";
/// The ledger's folder.
pub(crate) const LEDGER: &str = "ledger";
/// The file with shell exports.
pub(crate) const ENV: &str = "env";

/// The settings of the roles that a development stack honours too.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    foundation: FoundationSettings,
    #[command(flatten)]
    identity: IdentitySettings,
    #[command(flatten)]
    submitter: SubmitterSettings,
    #[command(flatten)]
    projector: ProjectorSettings,
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
    /// Starts everything, waits until all is ready, writes the `env` file and says what a
    /// person needs to know. Whatever was started is stopped again where the rest does not
    /// start, or where Ctrl-C comes first.
    pub(crate) async fn start(
        dir: &DataDir,
        ports: Ports,
        settings: Settings,
    ) -> Result<Self, Failure> {
        let told = tokio::spawn(shutdown_signal());
        let (cluster, ledger) = foundations(dir, ports, &settings.fabric).await?;
        let rest = Rest::start(dir, ports, settings, &cluster, &ledger);
        let started = tokio::select! {
            started = rest => started,
            _ = told => Err(Failure::say("stopped while starting")),
        };
        match started {
            Ok(Rest { process, database }) => Ok(Self { cluster, ledger, process, database }),
            Err(failure) => {
                ledger.stop().await;
                cluster.stop().await?;
                Err(failure)
            }
        }
    }

    /// Serves until Ctrl-C, then stops everything, PostgreSQL last.
    pub(crate) async fn run_until_told(self, notice: Duration) -> Result<(), Failure> {
        let outcome = self.process.run_until_told(notice).await;
        self.ledger.stop().await;
        self.database.close().await;
        self.cluster.stop().await?;
        outcome
    }
}

/// What stands on PostgreSQL and the ledger.
struct Rest {
    process: Process,
    database: Database,
}

impl Rest {
    async fn start(
        dir: &DataDir,
        ports: Ports,
        mut settings: Settings,
        cluster: &PrivateCluster,
        ledger: &StackLedger,
    ) -> Result<Self, Failure> {
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let database = migrated(cluster, &clock).await?;
        first_start::token_key(dir)?;
        settings.foundation.tokens.token_key_file.get_or_insert(dir.join(TOKEN_KEY));
        let process = Process::default();
        let mut builder = Builder { dir, ports, settings, ledger, clock, entropy, process };
        let password = builder.first_start(&database).await?;
        let mut boards = builder.services(&database).await?;
        boards.extend(builder.workers(&database).await?);
        let degraded = all_serve(&boards, &database).await?;
        dir.write_private(ENV, &environment(cluster, ports, &password))?;
        announce(dir, ports, &ledger.addresses(), &degraded);
        Ok(Self { process: builder.process, database })
    }
}

/// PostgreSQL and the ledger, or neither.
async fn foundations(
    dir: &DataDir,
    ports: Ports,
    fabric: &FabricSettings,
) -> Result<(PrivateCluster, StackLedger), Failure> {
    let (cluster, ledger) = tokio::join!(
        PrivateCluster::start(ClusterOptions::new(dir.join(POSTGRES))),
        StackLedger::start(dir, ports, fabric, Clock::system()),
    );
    match (cluster, ledger) {
        (Ok(cluster), Ok(ledger)) => Ok((cluster, ledger)),
        (Ok(cluster), Err(failure)) => {
            cluster.stop().await?;
            Err(failure)
        }
        (Err(error), Ok(ledger)) => {
            ledger.stop().await;
            Err(error.into())
        }
        (Err(error), Err(_)) => Err(error.into()),
    }
}

/// The pool, once the schema is this release's.
async fn migrated(cluster: &PrivateCluster, clock: &Clock) -> Result<Database, Failure> {
    let url = DatabaseSettings::from_url(cluster.url().into());
    let mut conn = gx_db::connect_for_migration(&url).await?;
    let report = gx_db::migrate(&mut conn, clock).await?;
    if report.differences.is_empty() {
        return Ok(gx_db::connect(&url).await?);
    }
    let differences = report.differences.join("; ");
    let wrong = format!("the schema differs from this release's ({differences})");
    Err(Failure::say(format!("{wrong}: undo that, or start over with --fresh")))
}

struct Builder<'a> {
    dir: &'a DataDir,
    ports: Ports,
    settings: Settings,
    ledger: &'a StackLedger,
    clock: Clock,
    entropy: Entropy,
    process: Process,
}

impl Builder<'_> {
    /// Makes what only the first start makes; the first administrator's password.
    async fn first_start(&self, database: &Database) -> Result<String, Failure> {
        let password = first_start::admin_password(self.dir, &self.entropy)?;
        let foundation = self.foundation(database)?;
        first_start::administrator(&foundation, &password).await?;
        first_start::bring_ledger_to_life(database.pool(), &self.clock).await?;
        Ok(password)
    }

    fn foundation(&self, database: &Database) -> Result<Foundation, Failure> {
        let (clock, entropy) = (self.clock.clone(), self.entropy.clone());
        let channel = &self.ledger.profile().channel;
        let settings = &self.settings.foundation;
        Ok(Foundation::new(settings, channel, database.clone(), clock, entropy)?)
    }

    /// The three services, each on its two ports, and the public routes over HTTPS.
    async fn services(&mut self, database: &Database) -> Result<Vec<HealthBoard>, Failure> {
        let biometric_key = first_start::biometric_key(self.dir, &self.entropy)?;
        let foundation = self.foundation(database)?;
        let identity = gx_identity::service(&self.settings.identity, foundation.clone());
        let tokenomics = gx_tokenomics::service(foundation.clone());
        let settings = AdminSettings { biometric_key: biometric_key.into() };
        let admin = gx_admin::service(&settings, foundation);
        self.service(&identity, self.ports.identity()).await?;
        self.service(&tokenomics, self.ports.tokenomics()).await?;
        self.service(&admin, self.ports.admin()).await?;

        let envelope = Envelope::new("edge", self.clock.clone(), self.entropy.clone());
        let router = edge_router(&[&identity, &tokenomics], envelope)?;
        let certificate = edge::certificate(self.dir)?;
        let tls = server::tls_config(
            certificate.certificate_pem.as_bytes(),
            certificate.private_key_pem.as_bytes(),
        )?;
        self.process.listen_tls("the HTTPS listener", self.ports.edge(), router, tls).await?;
        Ok([identity, tokenomics, admin].map(|service| service.health).to_vec())
    }

    async fn service(&mut self, service: &Service, address: SocketAddr) -> Result<(), Failure> {
        self.process.watch(&service.health);
        self.process.listen(service.name, address, service.public(true)).await?;
        self.process.listen(service.name, Ports::internal(address), service.internal()).await
    }

    async fn workers(&mut self, database: &Database) -> Result<Vec<HealthBoard>, Failure> {
        let (clock, entropy) = (self.clock.clone(), self.entropy.clone());
        let profile = self.ledger.profile().clone();
        let access = LedgerAccess::read(profile, Errand::Submit, true, &clock)?;
        let place = Workplace::open(database.clone(), access, clock, entropy).await?;
        let process = &mut self.process;
        let projector = place
            .start_projector(process, self.settings.projector.clone(), self.ports.projector())
            .await?;
        let submitter = place
            .start_submitter(process, self.settings.submitter.clone(), self.ports.submitter())
            .await?;
        Ok(vec![projector, submitter])
    }
}
