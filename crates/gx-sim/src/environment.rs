//! Everything that all seeds share: created once for each thread of `main`, and restored before
//! each seed. A failure is a fault of the simulation, and panics.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use clap::Parser;
use gx_auth::key_ring::new_line;
use gx_auth::{Foundation, FoundationSettings, KeyRing};
use gx_db::testing::TestDatabase;
use gx_devnet::{BlockCutting, Devnet, DevnetOptions, LedgerSnapshot};
use gx_fabric_client::{Ledger, LedgerLimits};
use gx_model::{Clock, Command, CommandId, CountryList, EventRecord, SignerRole};
use gx_outbox::enqueue::{NewCommand, Waker};
use gx_outbox::failure::RetryPolicy;
use gx_projector::{ApplySettings, Decode, Projector};
use gx_serve::{Entropy, RateLimitSettings};
use gx_submitter::{Signers, Submitter, SubmitterSettings};
use gx_testkit::parts::{add_administrator, client_of, services, signers_of};
use gx_testkit::story::{Person, Services};
use gx_testkit::{ADMIN_EMAIL, ADMIN_PASSWORD};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgConnection, PgPool};
use tempfile::TempDir;
use time::OffsetDateTime;
use time::macros::{date, datetime};

use crate::backup::{Backup, vacuum};
use crate::chain::Chain;
use crate::crowd;
use crate::database_stall::DatabaseStall;

/// The time when the environment is created.
const START: OffsetDateTime = datetime!(2026-01-15 12:00 UTC);
/// The time when each seed begins.
const BEGIN: OffsetDateTime = datetime!(2026-01-15 13:00 UTC);
/// The date of birth of all people: the day after the start is their birthday.
const BORN_ON: time::Date = date!(1992 - 01 - 16);
/// Number of people who are on the ledger from the start.
const PARTICIPANTS: u32 = 3;
/// Number of people who wait for their approval.
const APPLICANTS: u32 = 3;
/// The state with which all seeds begin.
pub(crate) const BASE: Backup = Backup("sim_base");
/// The copy that a run makes and restores.
pub(crate) const OLDER: Backup = Backup("sim_older");
/// Number of resets between two vacuums of the tables.
const RESETS_BETWEEN_VACUUMS: u32 = 20;
/// Number of connections of the workers and the checks. It is low because each connection reads the
/// catalogue and plans statements for itself.
const CONNECTIONS: u32 = 4;
/// Sessions outlive every seed, because a login costs more than a whole seed.
const LONG_SESSIONS: &[&str] = &[
    "--jwt-expiry=400d",
    "--session-lifetime=400d",
    "--admin-session-lifetime=400d",
    "--admin-session-idle=400d",
];
/// Height of the ledger at which every run begins.
const BASE_HEIGHT: u64 = 10;
/// Limit of the rounds in which the people are brought onto the ledger.
const MAX_ROUNDS: u32 = 200;

/// The settings of the services, as a command line gives them.
#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    foundation: FoundationSettings,
}

/// Creates what the services share. Only the lifetimes of sessions and the rate limits, which no
/// seed reaches, differ from the defaults.
fn foundation(
    pools: gx_db::Database,
    channel: &str,
    clock: &Clock,
    entropy: &Entropy,
) -> Foundation {
    let secret = format!("--jwt-secret={}", "s".repeat(48));
    let arguments = [&["sim", &secret], LONG_SESSIONS].concat();
    let mut settings = CommandLine::parse_from(arguments).foundation;
    settings.limits = RateLimitSettings::generous();
    let ring = KeyRing::parse(&new_line(1, &Entropy::seeded(0)), entropy.clone()).unwrap();
    let base = Foundation::new(&settings, channel, pools, ring, clock.clone(), entropy.clone());
    let mut base = base.unwrap();
    base.is_development = true;
    base
}

/// Services, ledger and database, with the people of every seed.
pub struct Environment {
    database: TestDatabase,
    /// Connections of the workers and the checks.
    pub(crate) pool: PgPool,
    pub(crate) devnet: Devnet,
    pub(crate) ledger: Ledger,
    pub(crate) gx: Services,
    /// The correct time, which the services use.
    pub(crate) clock: Clock,
    /// The ledger's time: the same, unless certificates must have expired.
    pub(crate) ledger_clock: Clock,
    pub(crate) people: Vec<Person>,
    /// Number of people, the first ones, who are on the ledger from the start.
    pub(crate) participants: usize,
    /// The administrator's token.
    pub(crate) admin: String,
    /// Number of blocks in the chain.
    pub(crate) height: Arc<AtomicU64>,
    /// The chain up to the block with which each seed begins.
    pub(crate) base: Chain,
    signers: Signers,
    channel: String,
    chaincode: String,
    waker: Waker,
    entropy: Entropy,
    snapshot: LedgerSnapshot,
    resets: u32,
    _ledger_dir: TempDir,
}

impl Environment {
    /// Bootstraps a ledger and brings people onto it.
    pub async fn create() -> Self {
        let database = TestDatabase::create().await;
        let (clock, entropy) = (Clock::manual(START), Entropy::seeded(0));
        let ledger_dir = tempfile::tempdir().unwrap();
        let ledger_clock = Clock::manual(START);
        let options =
            DevnetOptions::new(ledger_dir.path(), ledger_clock.clone(), gx_contract::Contracts);
        let (channel, chaincode) = (options.channel.clone(), options.chaincode.clone());
        let options = DevnetOptions { fsync: false, cutting: BlockCutting::Manual, ..options };
        let devnet = Devnet::start(options).await.unwrap();
        let rng = StdRng::seed_from_u64(3);
        let ledger = client_of(&devnet, &channel, &chaincode, limits(), &clock, rng);
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS);
        let pool = pool.connect_lazy(database.url()).unwrap();
        let pools = gx_db::connect(&database.settings()).await.unwrap();
        let foundation = foundation(pools, &channel, &clock, &entropy);
        add_administrator(&foundation).await;
        let (gx, _health) = services(foundation);
        let mut env = Self {
            signers: signers_of(&devnet),
            waker: Waker::new(pool.clone()),
            snapshot: devnet.take_snapshot().await.unwrap(),
            height: Arc::new(AtomicU64::new(1)),
            base: Chain::default(),
            people: Vec::new(),
            resets: 0,
            pool,
            participants: usize::try_from(PARTICIPANTS).unwrap(),
            admin: String::new(),
            _ledger_dir: ledger_dir,
            database,
            devnet,
            ledger,
            gx,
            clock,
            ledger_clock,
            entropy,
            channel,
            chaincode,
        };
        env.fill().await;
        env
    }

    /// Brings supply, countries and people onto the ledger, and copies the result as the base.
    async fn fill(&mut self) {
        let countries = CountryList::embedded().iter().cloned().collect();
        for command in [Command::BootstrapSystem {}, Command::InitializeCountryData { countries }] {
            self.request(&command, "base").await;
        }
        self.admin = self.gx.log_in_admin(ADMIN_EMAIL, ADMIN_PASSWORD).await;
        for n in 0..PARTICIPANTS + APPLICANTS {
            let person = self.gx.register(n).await;
            self.gx.submit(&person).await;
            sqlx::query(r#"UPDATE "UserProfile" SET "dateOfBirth" = $1"#)
                .bind(BORN_ON)
                .execute(&self.pool)
                .await
                .unwrap();
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
        let mut conn = self.conn().await;
        for backup in [BASE, OLDER] {
            backup.prepare(&mut conn).await;
        }
        BASE.take(&mut conn).await;
        vacuum(&mut conn).await;
    }

    /// Lets undisturbed workers bring all commands onto the ledger.
    async fn settle(&mut self) {
        let mut submitter = self.submitter(
            SubmitterSettings::default(),
            RetryPolicy::default(),
            self.clock.clone(),
            StdRng::seed_from_u64(1),
        );
        let (retry, decode) = (RetryPolicy::default(), EventRecord::decode);
        let mut projector = self.projector(retry, decode, self.clock.clone(), 2);
        for _ in 0..MAX_ROUNDS {
            // The first steps wait for each other. A step that fails would make other blocks, and
            // so another run.
            submitter.step().await.unwrap();
            let height = self.devnet.cut_block().await.unwrap();
            while self.checkpoint().await != Some(i64::try_from(height).unwrap() - 1) {
                projector.step(Duration::from_secs(10)).await.unwrap();
            }
            // Results that must be checked on the ledger are checked without a block.
            projector.step(Duration::from_millis(1)).await.unwrap();
            let open: i64 = sqlx::query_scalar(
                r#"SELECT count(*) FROM "OutboxCommand" WHERE status IN ('PENDING', 'BLOCKED', 'HELD', 'SUBMITTED')"#,
            )
            .fetch_one(&self.pool)
            .await
            .unwrap();
            if open == 0 {
                return self.fill_to_base_height(&mut projector, height).await;
            }
            self.pass_time(Duration::from_secs(1));
        }
        panic!("the base state was not reached");
    }

    /// Cuts blocks that change nothing, so that every run begins at the same height. The commands
    /// of the base take a block more where the machine is busy.
    async fn fill_to_base_height(&self, projector: &mut Projector, mut height: u64) {
        assert!(height <= BASE_HEIGHT, "the base state took {height} blocks");
        while height < BASE_HEIGHT {
            let query = "AdminContract:GetSystemStatus";
            let endorsed = self.ledger.endorse(&self.signers.admin, query, &[]).await.unwrap();
            let (tx_id, envelope) = (&endorsed.tx_id, &endorsed.envelope);
            let (genesis, now) = (self.ledger.genesis().await.unwrap().hash, self.clock.now());
            let (mut conn, signer) = (self.conn().await, SignerRole::Admin);
            gx_outbox::submitter::store_witness(
                &mut conn,
                &tx_id.clone().into(),
                signer,
                &genesis,
                envelope,
                now,
                now,
            )
            .await
            .unwrap();
            self.ledger.submit(tx_id, envelope).await.unwrap();
            height = self.devnet.cut_block().await.unwrap();
            while self.checkpoint().await != Some(i64::try_from(height).unwrap() - 1) {
                projector.step(Duration::from_secs(10)).await.unwrap();
            }
        }
    }

    /// Moves the clocks of services and ledger.
    pub(crate) fn pass_time(&self, by: Duration) {
        self.clock.advance(by);
        self.ledger_clock.advance(by);
    }

    /// Returns a person by number: first the people of the environment, then those of a crowd.
    pub(crate) fn person(&self, who: usize) -> Person {
        self.people.get(who).cloned().unwrap_or_else(|| crowd::member(who - self.people.len()))
    }

    /// Returns the number of the person with this profile, or `None` if no run has this person.
    pub(crate) fn number_of(&self, profile_id: &str) -> Option<usize> {
        let own = self.people.iter().position(|person| person.profile_id == profile_id);
        own.or_else(|| Some(self.people.len() + crowd::number_of(profile_id)?))
    }

    /// Restores the state before any seed.
    pub(crate) async fn reset(&mut self, seed: u64) {
        self.devnet.faults().clear();
        self.devnet.revert(self.snapshot.id).await.unwrap();
        self.height.store(self.snapshot.height, std::sync::atomic::Ordering::SeqCst);
        self.clock.set(BEGIN);
        self.ledger_clock.set(BEGIN);
        self.entropy.with(|rng| *rng = StdRng::seed_from_u64(seed));
        let mut conn = self.conn().await;
        DatabaseStall::end_all(&mut conn).await;
        BASE.restore(&mut conn).await;
        self.resets += 1;
        if self.resets.is_multiple_of(RESETS_BETWEEN_VACUUMS) {
            vacuum(&mut conn).await;
        }
    }

    /// Creates a submitter.
    pub(crate) fn submitter(
        &self,
        settings: SubmitterSettings,
        retry: RetryPolicy,
        clock: Clock,
        rng: StdRng,
    ) -> Submitter {
        let parts = gx_submitter::SubmitterContext {
            pool: self.pool.clone(),
            ledger: self.ledger.clone(),
            signers: self.signers.clone(),
            channel: self.channel.clone(),
            retry,
            clock,
        };
        Submitter::new(parts, settings, rng).unwrap()
    }

    /// Creates a projector.
    pub(crate) fn projector(
        &self,
        retry: RetryPolicy,
        decode: Decode,
        clock: Clock,
        seed: u64,
    ) -> Projector {
        let settings = ApplySettings {
            channel: self.channel.clone(),
            chaincode: self.chaincode.clone(),
            decode,
            retry,
        };
        let parts = gx_projector::ProjectorContext {
            pool: self.pool.clone(),
            ledger: self.ledger.clone(),
            settings,
            clock,
            waker: self.waker.clone(),
        };
        // The number of blocks that have come depends on the speed of the machine.
        Projector::new(parts, StdRng::seed_from_u64(seed)).with_max_blocks(1)
    }

    /// Enqueues a command that no person requests, as a service does.
    pub(crate) async fn request(&self, command: &Command, name: &str) -> CommandId {
        let command_id = CommandId::derive(&["sim", name, command.kind().name()]);
        let new = NewCommand {
            command_id,
            command,
            profile_id: None,
            requested_by: "sim",
            request_id: None,
        };
        gx_outbox::enqueue::enqueue(&mut *self.conn().await, new, self.clock.now()).await.unwrap();
        command_id
    }

    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    /// Returns the number of the last block that was applied, or `None` before the first.
    pub(crate) async fn checkpoint(&self) -> Option<i64> {
        sqlx::query_scalar(r#"SELECT max("blockNumber") FROM "ProjectorState""#)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    pub(crate) async fn conn(&self) -> sqlx::pool::PoolConnection<gx_db::Postgres> {
        self.pool.acquire().await.unwrap()
    }

    /// Opens a connection that stays when all connections of the pool are cut.
    pub(crate) async fn own_conn(&self) -> PgConnection {
        self.database.connection().await
    }
}

/// Returns limits with which no pause lasts long, no circuit breaker opens, and no call times out:
/// all of these use the machine's clock, which the scheduler does not control. No fault of the
/// simulation withholds an answer.
fn limits() -> LedgerLimits {
    const AMPLE: Duration = Duration::from_secs(120);
    LedgerLimits {
        evaluate_timeout: AMPLE,
        // A lease must be longer than these two together.
        endorse_timeout: Duration::from_secs(20),
        submit_timeout: Duration::from_secs(5),
        block_timeout: AMPLE,
        connect_timeout: AMPLE,
        height_timeout: AMPLE,
        silence_deadline: AMPLE,
        height_interval: Duration::from_secs(5),
        backoff_first: Duration::from_millis(1),
        backoff_cap: Duration::from_millis(4),
        breaker_failures: u32::MAX,
        ..LedgerLimits::default()
    }
}
