//! The whole of GX in one process: a real database, a development ledger behind Fabric's protocol,
//! services as routers, and workers that make a step only when the test says so. A test starts one,
//! and steps the workers by [`World::settle`].

use std::time::Duration;

use gx_db::testing::TestDatabase;
use gx_db::{Database, DatabaseSettings, PgPool};
use gx_devnet::{Devnet, DevnetOptions};
use gx_fabric_client::{Ledger, LedgerLimits};
use gx_model::{Clock, Command, CommandId, CountryList, EventRecord};
use gx_outbox::enqueue::{NewCommand, Waker};
use gx_outbox::failure::RetryPolicy;
use gx_projector::{ApplySettings, Projector};
use gx_serve::{Entropy, HealthBoard};
use gx_submitter::{Submitter, SubmitterSettings};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tempfile::TempDir;

use crate::parts::{
    ADMIN_EMAIL, ADMIN_PASSWORD, add_administrator, client_of, foundation, services, signers_of,
};
use crate::story::{Person, Services};

/// Longest wait of a projector step for a block.
const BLOCK_WAIT: Duration = Duration::from_millis(50);
/// Milliseconds after which an envelope that is in no block is sent again.
const RESEND_MS: u64 = 200;
/// Longest time in which the workers must have settled everything.
const SETTLED_WITHIN: Duration = Duration::from_secs(180);

/// The database, the ledger, the services and the workers of one test.
pub struct World {
    /// The database.
    pub database: TestDatabase,
    /// The ledger, which also injects faults.
    pub devnet: Devnet,
    /// A client of the ledger.
    pub ledger: Ledger,
    /// The services.
    pub gx: Services,
    /// The services' health, in the order identity, tokenomics, admin.
    pub health: [HealthBoard; 3],
    /// The submitter.
    pub submitter: Submitter,
    /// The projector.
    pub projector: Projector,
    /// The clock of all parts.
    pub clock: Clock,
    /// The folder of the ledger.
    pub ledger_dir: TempDir,
    _workers: Database,
}

impl World {
    /// Starts a World whose ledger has the supply and the countries.
    pub async fn start() -> Self {
        let mut world = Self::start_empty().await;
        world.bootstrap().await;
        world.settle().await;
        world
    }

    /// Starts a World whose ledger has the supply and the countries. `adjust` changes the settings
    /// with which services and workers connect to the database.
    pub async fn start_reached_by(adjust: impl FnOnce(&mut DatabaseSettings)) -> Self {
        let database = TestDatabase::create().await;
        let mut settings = database.settings();
        adjust(&mut settings);
        let mut world = Self::start_empty_in(database, &settings).await;
        world.bootstrap().await;
        world.settle().await;
        world
    }

    /// Starts a World whose ledger is empty.
    pub async fn start_empty() -> Self {
        let database = TestDatabase::create().await;
        let settings = database.settings();
        Self::start_empty_in(database, &settings).await
    }

    /// Starts a World in this database, to which services and workers connect with these settings.
    async fn start_empty_in(database: TestDatabase, settings: &DatabaseSettings) -> Self {
        let clock = Clock::system();
        let ledger_dir = tempfile::tempdir().unwrap();
        let options = DevnetOptions::new(ledger_dir.path(), clock.clone(), gx_contract::Contracts);
        let (channel, chaincode) = (options.channel.clone(), options.chaincode.clone());
        let devnet = Devnet::start(DevnetOptions { fsync: false, ..options }).await.unwrap();
        // A busy machine answers late.
        let height_timeout = Duration::from_secs(30);
        let limits = LedgerLimits { height_timeout, ..LedgerLimits::default() };
        let rng = StdRng::seed_from_u64(3);
        let ledger = client_of(&devnet, &channel, &chaincode, limits, &clock, rng);

        let pools = gx_db::connect(settings).await.unwrap();
        let workers = gx_db::connect(settings).await.unwrap();
        let foundation = foundation(pools, &channel, &clock, Entropy::system());
        add_administrator(&foundation).await;
        let (gx, health) = services(foundation);

        let waker = Waker::new(workers.pool().clone());
        let submitter = submitter_of(workers.pool().clone(), &ledger, &devnet, &channel, &clock, 1);
        let settings = ApplySettings {
            channel,
            chaincode,
            decode: EventRecord::decode,
            retry: RetryPolicy::default(),
        };
        let projector = Projector::new(
            gx_projector::ProjectorContext {
                pool: workers.pool().clone(),
                ledger: ledger.clone(),
                settings,
                clock: clock.clone(),
                waker,
            },
            StdRng::seed_from_u64(2),
        );
        let _workers = workers;
        Self {
            database,
            devnet,
            ledger,
            gx,
            health,
            submitter,
            projector,
            clock,
            ledger_dir,
            _workers,
        }
    }

    /// Replaces both workers by new ones, which have no state in memory.
    pub(crate) fn restart_workers(&mut self) {
        self.projector.stop();
        let parts = self.projector.context().clone();
        let (channel, clock) = (&parts.settings.channel, &self.clock);
        self.submitter =
            submitter_of(parts.pool.clone(), &self.ledger, &self.devnet, channel, clock, 5);
        self.projector = Projector::new(parts, StdRng::seed_from_u64(4));
    }

    /// Enqueues the commands that create the supply and the countries; [`World::settle`] sends
    /// them.
    pub async fn bootstrap(&self) {
        let countries = CountryList::embedded().iter().cloned().collect();
        for command in [Command::BootstrapSystem {}, Command::InitializeCountryData { countries }] {
            self.enqueue(&command).await;
        }
    }

    /// Enqueues a command that no person requested, and returns its id.
    pub async fn enqueue(&self, command: &Command) -> CommandId {
        let command_id = CommandId::derive(&["story", &format!("{command:?}")]);
        let new = NewCommand {
            command_id,
            command,
            profile_id: None,
            requested_by: "story",
            request_id: None,
        };
        let mut conn = self.database.pool().acquire().await.unwrap();
        gx_outbox::enqueue::enqueue(&mut conn, new, self.clock.now()).await.unwrap();
        command_id
    }

    /// Steps both workers until nothing is left to do. Panics if a step fails or that takes too
    /// long.
    pub async fn settle(&mut self) {
        let work = async {
            loop {
                self.submit().await;
                if self.is_projected().await {
                    return;
                }
                self.projector.step(BLOCK_WAIT).await.unwrap();
            }
        };
        tokio::time::timeout(SETTLED_WITHIN, work).await.expect("the workers settle");
    }

    /// Steps the submitter until no command is due.
    pub async fn submit(&mut self) {
        while let gx_submitter::Progress::Worked { .. } = self.submitter.step().await.unwrap() {}
    }

    /// Registers and approves person number `n`, who then holds the genesis grant.
    pub async fn participant(&mut self, n: u32) -> Person {
        let person = self.gx.register(n).await;
        self.admit(std::slice::from_ref(&person)).await;
        person
    }

    /// Submits and approves registered people, who then hold their genesis grants.
    pub async fn admit(&mut self, people: &[Person]) {
        let admin = self.admin_token().await;
        for person in people {
            self.gx.submit(person).await;
            self.gx.approve(&admin, person).await.expect(200);
        }
        self.settle().await;
    }

    /// Returns the newest command of a kind, as administrators see it.
    pub async fn command(&self, kind: &str) -> serde_json::Value {
        let path = format!("/api/v1/admin/outbox?kind={kind}");
        let list = self.gx.admin.get(&path, &self.admin_token().await).await.expect(200);
        list.json["items"][0].clone()
    }

    /// Asks the ledger for the balance of an account and returns it in Qirat.
    pub async fn balance_on_chain(&self, account: &str) -> i64 {
        let account = [account.to_owned()];
        let answer = self.ledger.evaluate("TokenomicsContract:GetBalance", &account).await.unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        answer["balance"].as_str().unwrap().parse().unwrap()
    }

    /// Logs the administrator in and returns the access token.
    pub async fn admin_token(&self) -> String {
        self.gx.log_in_admin(ADMIN_EMAIL, ADMIN_PASSWORD).await
    }

    /// Returns whether all blocks are applied, all envelopes settled and all sendable commands
    /// sent.
    async fn is_projected(&self) -> bool {
        let height = self.ledger.heights().await.remove(0).height.unwrap();
        let (applied, open): (Option<i64>, i64) = sqlx::query_as(
            r#"SELECT (SELECT max("blockNumber") + 1 FROM "ProjectorState"),
                      (SELECT count(*) FROM "LedgerAttempt" WHERE state = 'OPEN')
                    + (SELECT count(*) FROM "OutboxCommand"
                       WHERE status IN ('PENDING', 'SUBMITTED'))"#,
        )
        .fetch_one(self.database.pool())
        .await
        .unwrap();
        open == 0 && applied.and_then(|blocks| u64::try_from(blocks).ok()) == Some(height)
    }
}

/// Creates a submitter that sends again soon.
fn submitter_of(
    pool: PgPool,
    ledger: &Ledger,
    devnet: &Devnet,
    channel: &str,
    clock: &Clock,
    seed: u64,
) -> Submitter {
    Submitter::new(
        gx_submitter::SubmitterContext {
            pool,
            ledger: ledger.clone(),
            signers: signers_of(devnet),
            channel: channel.to_owned(),
            retry: RetryPolicy::default(),
            clock: clock.clone(),
        },
        SubmitterSettings { resend_ms: RESEND_MS, ..SubmitterSettings::default() },
        StdRng::seed_from_u64(seed),
    )
    .unwrap()
}
