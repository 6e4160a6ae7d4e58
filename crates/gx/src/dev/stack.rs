//! The parts of the development stack, started in the order in which they need each other.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use gx_admin::AdminSettings;
use gx_auth::{Foundation, FoundationSettings};
use gx_db::cluster::{ClusterOptions, PrivateCluster};
use gx_db::{Database, DatabaseSettings};
use gx_devnet::{Devnet, DevnetOptions};
use gx_fabric_client::{Identity, LedgerConfig, LedgerLimits, PeerConfig};
use gx_identity::IdentitySettings;
use gx_model::{Clock, SignerRole};
use gx_projector::ProjectorSettings;
use gx_serve::shutdown::shutdown_signal;
use gx_serve::{Entropy, Envelope, HealthBoard, Service, edge as edge_router, server};
use gx_submitter::{Signers, SubmitterSettings};

use super::first_start::{self, TOKEN_KEY};
use super::readiness::all_serve;
use super::words::{announce, environment};
use super::{DataDir, Ports, edge};
use crate::Failure;
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
}

/// A running development stack.
pub(crate) struct Stack {
    cluster: PrivateCluster,
    devnet: Devnet,
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
        let (cluster, devnet) = foundations(dir, ports).await?;
        let rest = Rest::start(dir, ports, settings, &cluster, &devnet);
        let started = tokio::select! {
            started = rest => started,
            _ = told => Err(Failure::say("stopped while starting")),
        };
        match started {
            Ok(Rest { process, database }) => Ok(Self { cluster, devnet, process, database }),
            Err(failure) => {
                devnet.stop().await;
                cluster.stop().await?;
                Err(failure)
            }
        }
    }

    /// Serves until Ctrl-C, then stops everything, PostgreSQL last.
    pub(crate) async fn run_until_told(self, notice: Duration) -> Result<(), Failure> {
        let outcome = self.process.run_until_told(notice).await;
        self.devnet.stop().await;
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
        devnet: &Devnet,
    ) -> Result<Self, Failure> {
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let database = migrated(cluster, &clock).await?;
        first_start::token_key(dir)?;
        settings.foundation.tokens.token_key_file.get_or_insert(dir.join(TOKEN_KEY));
        let process = Process::default();
        let mut builder = Builder { dir, ports, settings, clock, entropy, process };
        let password = builder.first_start(&database).await?;
        let mut boards = builder.services(&database).await?;
        boards.extend(builder.workers(&database, devnet).await?);
        let degraded = all_serve(&boards, &database).await?;
        dir.write_private(ENV, &environment(cluster, ports, &password))?;
        announce(dir, ports, &degraded);
        Ok(Self { process: builder.process, database })
    }
}

/// PostgreSQL and the ledger, or neither.
async fn foundations(dir: &DataDir, ports: Ports) -> Result<(PrivateCluster, Devnet), Failure> {
    let (cluster, devnet) = tokio::join!(
        PrivateCluster::start(ClusterOptions::new(dir.join(POSTGRES))),
        start_ledger(dir, ports, Clock::system()),
    );
    match (cluster, devnet) {
        (Ok(cluster), Ok(devnet)) => Ok((cluster, devnet)),
        (Ok(cluster), Err(failure)) => {
            cluster.stop().await?;
            Err(failure)
        }
        (Err(error), Ok(devnet)) => {
            devnet.stop().await;
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
        let channel = DevnetOptions::new(self.dir.join(LEDGER), clock.clone()).channel;
        let settings = &self.settings.foundation;
        Ok(Foundation::new(settings, &channel, database.clone(), clock, entropy)?)
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

    async fn workers(
        &mut self,
        database: &Database,
        devnet: &Devnet,
    ) -> Result<Vec<HealthBoard>, Failure> {
        let (config, signers) = client_of(devnet, self.dir)?;
        let (clock, entropy) = (self.clock.clone(), self.entropy.clone());
        let place = Workplace::new(database.clone(), config, signers, clock, entropy)?;
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

async fn start_ledger(dir: &DataDir, ports: Ports, clock: Clock) -> Result<Devnet, Failure> {
    let options = DevnetOptions::new(dir.join(LEDGER), clock);
    Ok(Devnet::start(DevnetOptions { listen: ports.devnet(), ..options }).await?)
}

/// How the ledger's client sees the development ledger.
fn client_of(devnet: &Devnet, dir: &DataDir) -> Result<(LedgerConfig, Signers), Failure> {
    let signer = |role| {
        let pem = devnet.identity(role);
        Identity::from_pem(&pem.msp_id, &pem.certificate_pem, &pem.private_key_pem)
    };
    let signers =
        Signers { admin: signer(SignerRole::Admin)?, super_admin: signer(SignerRole::SuperAdmin)? };
    let options = DevnetOptions::new(dir.join(LEDGER), Clock::system());
    let peer = PeerConfig {
        endpoint: devnet.endpoint(),
        msp_id: devnet.identity(SignerRole::Admin).msp_id,
        tls_root_pem: devnet.tls_root_pem(),
        server_name: None,
    };
    let config = LedgerConfig {
        peers: vec![peer],
        channel: options.channel,
        chaincode: options.chaincode,
        client_tls: None,
        development: true,
        limits: LedgerLimits::default(),
    };
    Ok((config, signers))
}
