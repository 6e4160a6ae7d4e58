//! A database, a development ledger and a client of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gx_db::testing::TestDatabase;
use gx_db::{PgConnection, PgPool};
use gx_devnet::{Devnet, DevnetOptions, Faults};
use gx_fabric_client::{Identity, Ledger, LedgerConfig, LedgerLimits, PeerConfig, ValidationCode};
use gx_model::{
    BatchCommand, BatchEntry, BatchEvent, Clock, Command, CommandId, CountryList, EntryOutcome,
    EventRecord, SignerRole,
};
use gx_outbox::{RetryPolicy, Waker};
use gx_projector::{Applied, Decode, Parts, Progress, Projector, ProjectorError, Rules};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use tempfile::TempDir;

use crate::people::{Person, numbered};
use crate::waiting::BOUND;

pub(crate) const CHANNEL: &str = "gxchannel";
pub(crate) const CHAINCODE: &str = "gxtv3";

/// Each client draws other nonces, and each command another id.
static COUNT: AtomicU64 = AtomicU64::new(1);

fn count() -> u64 {
    COUNT.fetch_add(1, Ordering::Relaxed)
}

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) ledger: Ledger,
    pub(crate) devnet: Devnet,
    _folder: TempDir,
}

/// A transaction in its block.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) tx_id: String,
    pub(crate) block: u64,
    pub(crate) code: ValidationCode,
}

impl World {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = DevnetOptions::new(folder.path(), Clock::system());
        options.fsync = false;
        let (devnet, database) = tokio::join!(Devnet::start(options), TestDatabase::create());
        let devnet = devnet.unwrap();
        let ledger = ledger(&devnet);
        Self { database, ledger, devnet, _folder: folder }
    }

    /// A ledger with its supply and three countries, none of it projected yet.
    pub(crate) async fn bootstrapped() -> Self {
        let world = Self::start().await;
        world.submit(&[Command::BootstrapSystem {}, countries(&["MY", "SG", "US"])]).await;
        world
    }

    pub(crate) fn faults(&self) -> Faults {
        self.devnet.faults()
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    pub(crate) async fn conn(&self) -> PgConnection {
        self.database.connection().await
    }

    pub(crate) async fn person(&self, number: u64, country: &str) -> Person {
        Person::new(number, country).approved_in(self.pool()).await
    }

    pub(crate) fn signer(&self, role: SignerRole) -> Identity {
        identity(&self.devnet, role)
    }

    /// A transaction of these commands, each applied.
    pub(crate) async fn submit(&self, commands: &[Command]) -> Committed {
        let (committed, batch) = self.try_submit(commands).await;
        for entry in &batch.entries {
            assert_eq!(entry.outcome, EntryOutcome::Applied {}, "{batch:?}");
        }
        committed
    }

    /// A valid transaction of these commands, whatever became of each.
    pub(crate) async fn try_submit(&self, commands: &[Command]) -> (Committed, BatchEvent) {
        let committed = self.commit(&batch(commands)).await;
        assert!(committed.code.is_valid(), "{committed:?}");
        let block = self.ledger.block(committed.block).await.unwrap();
        let said = block.transactions[0].event.as_ref().unwrap();
        (committed, serde_json::from_slice(&said.payload).unwrap())
    }

    /// A transaction of these commands that says these events instead of its own.
    pub(crate) async fn submit_saying(&self, commands: &[Command], events: &[Value]) -> Committed {
        let entry = BatchEntry {
            command_id: CommandId::derive(&["said", &count().to_string()]),
            outcome: EntryOutcome::Applied {},
            events: events.iter().cloned().map(EventRecord::from_json).collect(),
        };
        let said = BatchEvent { version: BatchEvent::VERSION, entries: vec![entry] };
        let payload = serde_json::to_vec(&said).unwrap();
        self.faults().replace_next_event(BatchEvent::NAME, &payload);
        self.commit(&batch(commands)).await
    }

    /// A transaction in a block, valid or not.
    pub(crate) async fn commit(&self, batch: &[BatchCommand]) -> Committed {
        let args = [serde_json::to_string(batch).unwrap()];
        self.call(BatchCommand::EXECUTE, &args).await
    }

    pub(crate) async fn call(&self, function: &str, args: &[String]) -> Committed {
        let signer = self.signer(SignerRole::SuperAdmin);
        let endorsed = self.ledger.endorse(&signer, function, args).await.unwrap();
        self.ledger.submit(&endorsed.tx_id, &endorsed.envelope).await.unwrap();
        let status = self.ledger.commit_status(&signer, &endorsed.tx_id).await.unwrap();
        Committed { tx_id: endorsed.tx_id, block: status.block, code: status.code }
    }

    pub(crate) fn projector(&self) -> Projector {
        self.projector_into(self.pool(), Clock::system())
    }

    pub(crate) fn projector_into(&self, pool: &PgPool, clock: Clock) -> Projector {
        self.projector_by(pool, clock, rules())
    }

    pub(crate) fn projector_by(&self, pool: &PgPool, clock: Clock, rules: Rules) -> Projector {
        let waker = Waker::new(pool.clone());
        let (pool, ledger) = (pool.clone(), self.ledger.clone());
        Projector::new(Parts { pool, ledger, rules, clock, waker }, StdRng::seed_from_u64(count()))
    }

    /// Number of the ledger's newest block.
    pub(crate) async fn tip(&self) -> u64 {
        self.ledger.heights().await.remove(0).height.unwrap() - 1
    }

    /// Steps until the newest block is applied; what each block brought.
    pub(crate) async fn catch_up(&self, projector: &mut Projector) -> Vec<Applied> {
        self.try_catch_up(projector).await.unwrap()
    }

    pub(crate) async fn try_catch_up(
        &self,
        projector: &mut Projector,
    ) -> Result<Vec<Applied>, ProjectorError> {
        let tip = self.tip().await;
        let mut all = Vec::new();
        while checkpoint(&projector.parts().pool).await != Some(tip) {
            match projector.step(BOUND).await? {
                Progress::Began { .. } => {}
                Progress::Applied(applied) => all.push(applied),
                other => panic!("block {tip} is to come: {other:?}"),
            }
        }
        Ok(all)
    }

    /// One number, or a text, of the database.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.pool()).await.unwrap()
    }

    /// The texts of one column, in the order of the statement.
    pub(crate) async fn texts(&self, sql: &'static str) -> Vec<String> {
        sqlx::query_scalar(sql).fetch_all(self.pool()).await.unwrap()
    }

    pub(crate) async fn balance(&self, account: &str) -> Option<i64> {
        sqlx::query_scalar(r#"SELECT balance FROM "Wallet" WHERE "accountId" = $1"#)
            .bind(account)
            .fetch_optional(self.pool())
            .await
            .unwrap()
    }

    /// Status of a person's account.
    pub(crate) async fn status(&self, person: &Person) -> String {
        sqlx::query_scalar(r#"SELECT status FROM "UserProfile" WHERE "profileId" = $1"#)
            .bind(&person.profile_id)
            .fetch_one(self.pool())
            .await
            .unwrap()
    }
}

/// Number of the last block applied.
pub(crate) async fn checkpoint(pool: &PgPool) -> Option<u64> {
    let mut conn = pool.acquire().await.unwrap();
    let known = gx_outbox::checkpoint(&mut conn, CHANNEL).await.unwrap()?;
    Some(u64::try_from(known.block_number).unwrap())
}

pub(crate) fn rules() -> Rules {
    rules_with(|record| record.decode())
}

pub(crate) fn rules_with(decode: Decode) -> Rules {
    let retry = RetryPolicy { base: Duration::ZERO, ..RetryPolicy::default() };
    Rules { channel: CHANNEL.to_owned(), chaincode: CHAINCODE.to_owned(), decode, retry }
}

/// The commands under new ids.
pub(crate) fn batch(commands: &[Command]) -> Vec<BatchCommand> {
    commands.iter().map(|command| numbered(command, count())).collect()
}

/// The command that loads these countries of the list.
pub(crate) fn countries(codes: &[&str]) -> Command {
    let list = CountryList::embedded();
    let countries = codes.iter().map(|code| list.get(code.parse().unwrap()).unwrap().clone());
    Command::InitializeCountryData { countries: countries.collect() }
}

fn identity(devnet: &Devnet, role: SignerRole) -> Identity {
    let pem = devnet.identity(role);
    Identity::from_pem(&pem.msp_id, &pem.certificate_pem, &pem.private_key_pem).unwrap()
}

/// A client whose limits let faults show within a test's patience.
fn ledger(devnet: &Devnet) -> Ledger {
    let reader = identity(devnet, SignerRole::Admin);
    let peer = PeerConfig {
        endpoint: devnet.endpoint(),
        msp_id: reader.msp_id().to_owned(),
        tls_root_pem: devnet.tls_root_pem(),
        server_name: None,
    };
    let config = LedgerConfig {
        peers: vec![peer],
        channel: CHANNEL.to_owned(),
        chaincode: CHAINCODE.to_owned(),
        client_tls: None,
        development: true,
        limits: LedgerLimits {
            height_timeout: Duration::from_secs(2),
            height_interval: Duration::from_millis(50),
            silence_deadline: Duration::from_millis(300),
            backoff_first: Duration::from_millis(10),
            backoff_cap: Duration::from_millis(200),
            ..LedgerLimits::default()
        },
    };
    Ledger::new(config, reader, Clock::system(), StdRng::seed_from_u64(count())).unwrap()
}
