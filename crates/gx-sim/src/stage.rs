//! Everything that all seeds share: it is made once, and put back before each seed.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use gx_db::testing::TestDatabase;
use gx_devnet::{BlockCutting, Devnet, DevnetOptions, LedgerSnapshot};
use gx_fabric_client::{Ledger, LedgerLimits};
use gx_model::{Clock, Command, CommandId, CountryList, EventRecord};
use gx_outbox::{NewCommand, RetryPolicy, Waker};
use gx_projector::{Projector, Rules};
use gx_serve::Entropy;
use gx_submitter::{Signers, Submitter, SubmitterSettings};
use gx_testkit::parts::{add_administrator, client_of, foundation, services, signers_of};
use gx_testkit::story::{Gx, Person};
use gx_testkit::{ADMIN_EMAIL, ADMIN_PASSWORD};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sqlx::PgConnection;
use tempfile::TempDir;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::backup::Backup;
use crate::chain::Chain;

/// When each seed begins.
const START: OffsetDateTime = datetime!(2026-01-15 12:00 UTC);
/// People who are on the ledger from the start.
const PARTICIPANTS: u32 = 3;
/// People who wait for their approval.
const APPLICANTS: u32 = 3;
/// The state that all seeds begin with.
const BASE: Backup = Backup("sim_base");
/// Rounds in which the ledger is brought to life.
const MAX_ROUNDS: u32 = 200;

/// Services, ledger and database, with the people of every seed.
pub struct Stage {
    pub(crate) database: TestDatabase,
    pub(crate) devnet: Devnet,
    pub(crate) ledger: Ledger,
    pub(crate) gx: Gx,
    /// The true time, which the services and the ledger go by.
    pub(crate) clock: Clock,
    pub(crate) people: Vec<Person>,
    /// How many of them, the first ones, are on the ledger from the start.
    pub(crate) participants: usize,
    /// The administrator's token.
    pub(crate) admin: String,
    /// Blocks in the chain.
    pub(crate) height: Arc<AtomicU64>,
    /// The chain up to where each seed begins.
    pub(crate) base: Chain,
    signers: Signers,
    channel: String,
    chaincode: String,
    waker: Waker,
    entropy: Entropy,
    snapshot: LedgerSnapshot,
    _ledger_dir: TempDir,
}

impl Stage {
    /// Brings a ledger to life and people onto it.
    pub async fn set() -> Self {
        let database = TestDatabase::create().await;
        let (clock, entropy) = (Clock::manual(START), Entropy::seeded(0));
        let ledger_dir = tempfile::tempdir().unwrap();
        let options = DevnetOptions::new(ledger_dir.path(), clock.clone());
        let (channel, chaincode) = (options.channel.clone(), options.chaincode.clone());
        let options = DevnetOptions { fsync: false, cutting: BlockCutting::Manual, ..options };
        let devnet = Devnet::start(options).await.unwrap();
        let rng = StdRng::seed_from_u64(3);
        let ledger = client_of(&devnet, &channel, &chaincode, limits(), &clock, rng);
        let pools = gx_db::connect(&database.settings()).await.unwrap();
        let foundation = foundation(pools, &channel, &clock, entropy.clone());
        add_administrator(&foundation).await;
        let (gx, _health) = services(foundation);
        let mut stage = Self {
            signers: signers_of(&devnet),
            waker: Waker::new(database.pool().clone()),
            snapshot: devnet.take_snapshot().await.unwrap(),
            height: Arc::new(AtomicU64::new(1)),
            base: Chain::default(),
            people: Vec::new(),
            participants: usize::try_from(PARTICIPANTS).unwrap(),
            admin: String::new(),
            _ledger_dir: ledger_dir,
            database,
            devnet,
            ledger,
            gx,
            clock,
            entropy,
            channel,
            chaincode,
        };
        stage.fill().await;
        stage
    }

    async fn fill(&mut self) {
        let countries = CountryList::embedded().iter().cloned().collect();
        for command in [Command::BootstrapSystem {}, Command::InitializeCountryData { countries }] {
            self.want(&command, "base").await;
        }
        self.admin = self.gx.log_in_admin(ADMIN_EMAIL, ADMIN_PASSWORD).await;
        for n in 0..PARTICIPANTS + APPLICANTS {
            let person = self.gx.register(n).await;
            self.gx.submit(&person).await;
            if n < PARTICIPANTS {
                self.gx.approve(&self.admin, &person).await.expect(200);
            }
            self.people.push(person);
        }
        self.settle().await;
        self.snapshot = self.devnet.take_snapshot().await.unwrap();
        let mut base = Chain::default();
        base.read_to(&self.ledger, self.snapshot.height).await.unwrap();
        self.base = base;
        BASE.take(&mut *self.conn().await).await;
    }

    /// Lets undisturbed workers bring everything onto the ledger.
    async fn settle(&mut self) {
        let mut submitter = self.submitter(
            SubmitterSettings::default(),
            RetryPolicy::default(),
            self.clock.clone(),
            StdRng::seed_from_u64(1),
        );
        let mut projector = self.projector(RetryPolicy::default(), self.clock.clone(), 2);
        for _ in 0..MAX_ROUNDS {
            // The first steps wait for each other.
            let _ = submitter.step().await;
            let height = self.devnet.cut_block().await.unwrap();
            while self.checkpoint().await != Some(i64::try_from(height).unwrap() - 1) {
                projector.step(Duration::from_secs(10)).await.unwrap();
            }
            // What is left to be looked at on the ledger is looked at without a block.
            projector.step(Duration::from_millis(1)).await.unwrap();
            let open: i64 = sqlx::query_scalar(
                r#"SELECT count(*) FROM "OutboxCommand" WHERE status IN ('PENDING', 'BLOCKED', 'HELD', 'SUBMITTED')"#,
            )
            .fetch_one(self.database.pool())
            .await
            .unwrap();
            if open == 0 {
                return;
            }
            self.clock.advance(Duration::from_secs(1));
        }
        panic!("the ledger does not come to life");
    }

    /// Makes everything as it was before any seed.
    pub(crate) async fn reset(&mut self, seed: u64) {
        self.devnet.faults().clear();
        self.devnet.revert(self.snapshot.id).await.unwrap();
        self.height.store(self.snapshot.height, std::sync::atomic::Ordering::SeqCst);
        self.clock.set(START + Duration::from_hours(1));
        self.entropy.with(|rng| *rng = StdRng::seed_from_u64(seed));
        BASE.restore(&mut *self.conn().await).await;
    }

    pub(crate) fn submitter(
        &self,
        settings: SubmitterSettings,
        retry: RetryPolicy,
        clock: Clock,
        rng: StdRng,
    ) -> Submitter {
        let parts = gx_submitter::Parts {
            pool: self.database.pool().clone(),
            ledger: self.ledger.clone(),
            signers: self.signers.clone(),
            channel: self.channel.clone(),
            retry,
            clock,
        };
        Submitter::new(parts, settings, rng).unwrap()
    }

    pub(crate) fn projector(&self, retry: RetryPolicy, clock: Clock, seed: u64) -> Projector {
        let rules = Rules {
            channel: self.channel.clone(),
            chaincode: self.chaincode.clone(),
            decode: EventRecord::decode,
            retry,
        };
        let parts = gx_projector::Parts {
            pool: self.database.pool().clone(),
            ledger: self.ledger.clone(),
            rules,
            clock,
            waker: self.waker.clone(),
        };
        // How many blocks have come depends on the moment.
        Projector::new(parts, StdRng::seed_from_u64(seed)).with_max_blocks(1)
    }

    /// Enqueues a command of the system's own, as a service does.
    pub(crate) async fn want(&self, command: &Command, name: &str) -> CommandId {
        let command_id = CommandId::derive(&["sim", name, command.kind().name()]);
        let new = NewCommand {
            command_id,
            command,
            profile_id: None,
            requested_by: "sim",
            request_id: None,
        };
        gx_outbox::enqueue(&mut *self.conn().await, new, self.clock.now()).await.unwrap();
        command_id
    }

    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    /// The last block that was applied.
    pub(crate) async fn checkpoint(&self) -> Option<i64> {
        sqlx::query_scalar(r#"SELECT max("blockNumber") FROM "ProjectorState""#)
            .fetch_one(self.database.pool())
            .await
            .unwrap()
    }

    pub(crate) async fn conn(&self) -> sqlx::pool::PoolConnection<gx_db::Postgres> {
        self.database.pool().acquire().await.unwrap()
    }

    /// A connection that survives when all of the pool are cut.
    pub(crate) async fn own_conn(&self) -> PgConnection {
        self.database.connection().await
    }
}

/// No pause lasts long, and no breaker opens: those go by the machine's clock, which the
/// scheduler does not rule.
fn limits() -> LedgerLimits {
    LedgerLimits {
        endorse_timeout: Duration::from_secs(20),
        submit_timeout: Duration::from_secs(5),
        height_interval: Duration::from_secs(5),
        backoff_first: Duration::from_millis(1),
        backoff_cap: Duration::from_millis(4),
        breaker_failures: u32::MAX,
        ..LedgerLimits::default()
    }
}
