//! The whole of GX in one process: real database, real ledger wire, services as routers, and
//! workers that step only when the story says so.

use std::time::Duration;

use gx_db::testing::TestDatabase;
use gx_devnet::{Devnet, DevnetOptions};
use gx_fabric_client::{Ledger, LedgerLimits};
use gx_model::{Clock, Command, CommandId, CountryList, EventRecord};
use gx_outbox::{NewCommand, RetryPolicy, Waker};
use gx_projector::{Projector, Rules};
use gx_serve::{Entropy, HealthBoard};
use gx_submitter::{Submitter, SubmitterSettings};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tempfile::TempDir;

use crate::parts::{add_administrator, client_of, foundation, services, signers_of};
use crate::story::{Gx, Person};

/// The administrator of a World.
pub const ADMIN_EMAIL: &str = "admin@gx.example";
/// The administrator's password.
pub const ADMIN_PASSWORD: &str = "seven green lanterns float";
/// How long a step waits for a block.
const BLOCK_WAIT: Duration = Duration::from_millis(50);
/// When an envelope that is in no block is sent again.
const RESEND_MS: u64 = 200;
/// The longest that the workers may be busy with one story.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// Everything, with the workers in the story's hands.
pub struct World {
    /// The database.
    pub database: TestDatabase,
    /// The ledger, with its faults.
    pub devnet: Devnet,
    /// A client of it.
    pub ledger: Ledger,
    /// The services.
    pub gx: Gx,
    /// The services' health, in the order identity, tokenomics, admin.
    pub health: [HealthBoard; 3],
    /// Turns commands into transactions.
    pub submitter: Submitter,
    /// Turns blocks into rows.
    pub projector: Projector,
    /// What time it is.
    pub clock: Clock,
    /// Where the ledger is kept.
    pub ledger_dir: TempDir,
}

impl World {
    /// A World whose ledger has its supply and its countries.
    pub async fn start() -> Self {
        let mut world = Self::unborn().await;
        world.bring_to_life().await;
        world.settle().await;
        world
    }

    /// A World whose ledger holds nothing yet.
    pub async fn unborn() -> Self {
        let database = TestDatabase::create().await;
        let clock = Clock::system();
        let ledger_dir = tempfile::tempdir().unwrap();
        let options = DevnetOptions::new(ledger_dir.path(), clock.clone());
        let (channel, chaincode) = (options.channel.clone(), options.chaincode.clone());
        let devnet = Devnet::start(DevnetOptions { fsync: false, ..options }).await.unwrap();
        let (limits, rng) = (LedgerLimits::default(), StdRng::seed_from_u64(3));
        let ledger = client_of(&devnet, &channel, &chaincode, limits, &clock, rng);

        let pools = gx_db::connect(&database.settings()).await.unwrap();
        let foundation = foundation(pools, &channel, &clock, Entropy::system());
        add_administrator(&foundation).await;
        let (gx, health) = services(foundation);

        let waker = Waker::new(database.pool().clone());
        let submitter = Submitter::new(
            gx_submitter::Parts {
                pool: database.pool().clone(),
                ledger: ledger.clone(),
                signers: signers_of(&devnet),
                channel: channel.clone(),
                retry: RetryPolicy::default(),
                clock: clock.clone(),
            },
            SubmitterSettings { resend_ms: RESEND_MS, ..SubmitterSettings::default() },
            StdRng::seed_from_u64(1),
        )
        .unwrap();
        let rules = Rules {
            channel,
            chaincode,
            decode: EventRecord::decode,
            retry: RetryPolicy::default(),
        };
        let projector = Projector::new(
            gx_projector::Parts {
                pool: database.pool().clone(),
                ledger: ledger.clone(),
                rules,
                clock: clock.clone(),
                waker,
            },
            StdRng::seed_from_u64(2),
        );
        Self { database, devnet, ledger, gx, health, submitter, projector, clock, ledger_dir }
    }

    /// Wants the supply and the countries; [`World::settle`] makes it so.
    pub async fn bring_to_life(&self) {
        let countries = CountryList::embedded().iter().cloned().collect();
        for command in [Command::BootstrapSystem {}, Command::InitializeCountryData { countries }] {
            self.want(&command).await;
        }
    }

    /// Enqueues a command of the system's own.
    pub async fn want(&self, command: &Command) -> CommandId {
        let command_id = CommandId::derive(&["story", &format!("{command:?}")]);
        let new = NewCommand {
            command_id,
            command,
            profile_id: None,
            requested_by: "story",
            request_id: None,
        };
        let mut conn = self.database.pool().acquire().await.unwrap();
        gx_outbox::enqueue(&mut conn, new, self.clock.now()).await.unwrap();
        command_id
    }

    /// Lets the workers work until nothing is left to do.
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

    /// Lets the submitter work until nothing is due.
    pub async fn submit(&mut self) {
        while let gx_submitter::Progress::Worked { .. } = self.submitter.step().await.unwrap() {}
    }

    /// Person number `n`, registered, approved and holding the genesis grant.
    pub async fn participant(&mut self, n: u32) -> Person {
        let person = self.gx.register(n).await;
        self.admit(std::slice::from_ref(&person)).await;
        person
    }

    /// Approves people who have registered, and sees them through to their grants.
    pub async fn admit(&mut self, people: &[Person]) {
        let admin = self.admin_token().await;
        for person in people {
            self.gx.submit(person).await;
            self.gx.approve(&admin, person).await.expect(200);
        }
        self.settle().await;
    }

    /// What an account holds by the ledger's own word, in Qirat.
    pub async fn balance_on_chain(&self, account: &str) -> i64 {
        let account = [account.to_owned()];
        let answer = self.ledger.evaluate("TokenomicsContract:GetBalance", &account).await.unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        answer["balance"].as_str().unwrap().parse().unwrap()
    }

    /// Logs the administrator in.
    pub async fn admin_token(&self) -> String {
        self.gx.log_in_admin(ADMIN_EMAIL, ADMIN_PASSWORD).await
    }

    /// Whether every block is applied, every envelope settled and every command that can go
    /// has gone.
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
