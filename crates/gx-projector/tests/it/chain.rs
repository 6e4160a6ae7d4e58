//! A development ledger, a database and a projector between them, for the tests of the workers.

use std::time::Duration;

use gx_db::ProfileId;
use gx_db::testing::TestDatabase;
use gx_devnet::{BlockCutting, Devnet, DevnetOptions, NodeFaults};
use gx_fabric_client::{Identity, Ledger, LedgerConfig, LedgerLimits, PeerConfig};
use gx_model::{
    BatchCommand, BiometricHash, Clock, Command, CommandId, CountryList, DomainEvent, EventRecord,
    FabricUserId, SignerRole, UnreadableEvent,
};
use gx_outbox::enqueue::Waker;
use gx_outbox::failure::RetryPolicy;
use gx_projector::{ApplySettings, Progress, Projector, ProjectorContext};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Row};

pub(crate) const CHANNEL: &str = "gxchannel";
pub(crate) const CHAINCODE: &str = "gxtv3";
/// Limit of every wait.
pub(crate) const BOUND: Duration = Duration::from_secs(120);

/// Tables that only the projector writes, and its columns of `UserProfile`.
pub(crate) const PROJECTED: [&str; 10] = [
    r#"SELECT channel, "blockNumber", "txId", "eventIndex", "txIndex", "commandId", "eventName",
              payload, "ledgerAt" FROM "EventLog""#,
    r#"SELECT * FROM "LedgerSystem""#,
    r#"SELECT * FROM "LedgerPool""#,
    r#"SELECT * FROM "LedgerPoolMove""#,
    r#"SELECT * FROM "LedgerCountry""#,
    r#"SELECT * FROM "LedgerUser""#,
    r#"SELECT * FROM "Wallet""#,
    r#"SELECT * FROM "Transaction""#,
    r#"SELECT "profileId", "fabricUserId", "onchainStatus", "onchainRegisteredAt", "lastSyncedAt",
              status FROM "UserProfile""#,
    r#"SELECT channel, "genesisHash", "blockNumber", "blockHash" FROM "ProjectorState""#,
];

/// Statements that make a wrong balance, a wrong ledger id and a missing country.
pub(crate) const THREE_DIVERGENCES: &str = r#"
    UPDATE "Wallet" SET balance = balance + 1 WHERE "profileId" = 'profile-1';
    UPDATE "UserProfile" SET "fabricUserId" = 'MY 463 AUN834 0QKZB 9999'
        WHERE "profileId" = 'profile-2';
    DELETE FROM "LedgerCountry" WHERE "countryCode" = 'MY'"#;

pub(crate) struct Chain {
    pub(crate) db: TestDatabase,
    pub(crate) devnet: Devnet,
    pub(crate) ledger: Ledger,
    pub(crate) admin: Identity,
    pub(crate) super_admin: Identity,
    pub(crate) clock: Clock,
    _dir: tempfile::TempDir,
}

pub(crate) struct Person {
    pub(crate) profile_id: ProfileId,
    pub(crate) id: FabricUserId,
}

pub(crate) fn limits() -> LedgerLimits {
    LedgerLimits {
        endorse_timeout: Duration::from_secs(8),
        submit_timeout: Duration::from_secs(5),
        // A busy machine answers late, and a stream that is reopened often makes no progress.
        silence_deadline: Duration::from_secs(3),
        height_interval: Duration::from_millis(50),
        height_timeout: Duration::from_secs(5),
        backoff_first: Duration::from_millis(5),
        backoff_cap: Duration::from_millis(50),
        breaker_open: Duration::from_millis(50),
        set_aside_first: Duration::from_millis(20),
        set_aside_cap: Duration::from_millis(200),
        ..LedgerLimits::default()
    }
}

fn ledger_at(devnet: &Devnet, endpoint: &str, reader: &Identity, clock: &Clock) -> Ledger {
    let peer = PeerConfig {
        endpoint: endpoint.to_owned(),
        msp_id: reader.msp_id().to_owned(),
        tls_root_pem: devnet.tls_root_pem(),
        server_name: None,
    };
    ledger_of(vec![peer], reader, clock)
}

fn ledger_of(peers: Vec<PeerConfig>, reader: &Identity, clock: &Clock) -> Ledger {
    let config = LedgerConfig {
        peers,
        channel: CHANNEL.to_owned(),
        chaincode: CHAINCODE.to_owned(),
        client_tls: None,
        development: true,
        limits: limits(),
    };
    Ledger::new(config, reader.clone(), clock.clone(), StdRng::seed_from_u64(1)).unwrap()
}

impl Chain {
    /// Creates a client that reaches the ledger through a proxy.
    pub(crate) fn ledger_at(&self, endpoint: &str) -> Ledger {
        ledger_at(&self.devnet, endpoint, &self.admin, &self.clock)
    }

    /// Creates a client that treats these peers as its own organisation's, each given by the number
    /// of its organisation, in this order.
    pub(crate) fn ledger_of(&self, organizations: &[usize]) -> Ledger {
        let (peers, mut seen) = (self.devnet.peers(), Vec::new());
        let own = organizations.iter().map(|number| {
            let peer = &peers[number - 1];
            // A peer that is given twice has another address the second time.
            let again = seen.contains(number);
            seen.push(*number);
            PeerConfig {
                endpoint: match again {
                    true => peer.endpoint.replace("localhost", "127.0.0.1"),
                    false => peer.endpoint.clone(),
                },
                msp_id: self.admin.msp_id().to_owned(),
                tls_root_pem: peer.tls_root_pem.clone(),
                server_name: None,
            }
        });
        ledger_of(own.collect(), &self.admin, &self.clock)
    }

    /// Returns the faults of the peer of an organisation.
    pub(crate) fn faults_of(&self, organization: usize) -> NodeFaults {
        let peer = &self.devnet.peers()[organization - 1];
        self.devnet.faults().peer(&peer.msp_id).unwrap()
    }

    pub(crate) async fn start() -> Self {
        Self::cutting(BlockCutting::Immediate).await
    }

    pub(crate) async fn cutting(cutting: BlockCutting) -> Self {
        Self::by_clock(cutting, Clock::system()).await
    }

    /// Creates a chain with a clock that the test may move.
    pub(crate) async fn by_clock(cutting: BlockCutting, clock: Clock) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = DevnetOptions {
            cutting,
            fsync: false,
            ..DevnetOptions::new(dir.path(), clock.clone(), gx_contract::Contracts)
        };
        let devnet = Devnet::start(options).await.unwrap();
        let identity = |role| {
            let pem = devnet.identity(role);
            Identity::from_pem(&pem.msp_id, &pem.certificate_pem, &pem.private_key_pem).unwrap()
        };
        let (admin, super_admin) = (identity(SignerRole::Admin), identity(SignerRole::SuperAdmin));
        let ledger = ledger_at(&devnet, &devnet.endpoint(), &admin, &clock);
        let db = TestDatabase::create().await;
        Self { db, devnet, ledger, admin, super_admin, clock, _dir: dir }
    }

    /// Creates a chain with the supply and the countries.
    pub(crate) async fn bootstrapped() -> Self {
        let chain = Self::start().await;
        chain.bootstrap().await;
        chain
    }

    pub(crate) async fn bootstrap(&self) {
        let countries = CountryList::embedded().iter().cloned().collect();
        self.execute(&[Command::BootstrapSystem {}, Command::InitializeCountryData { countries }])
            .await;
    }

    pub(crate) fn settings(&self) -> ApplySettings {
        ApplySettings {
            channel: CHANNEL.to_owned(),
            chaincode: CHAINCODE.to_owned(),
            decode: EventRecord::decode,
            retry: RetryPolicy::default(),
        }
    }

    pub(crate) fn projector(&self) -> Projector {
        self.projector_from(self.ledger.clone(), self.settings())
    }

    pub(crate) fn projector_on(&self, ledger: Ledger) -> Projector {
        self.projector_from(ledger, self.settings())
    }

    pub(crate) fn projector_by(&self, settings: ApplySettings) -> Projector {
        self.projector_from(self.ledger.clone(), settings)
    }

    fn projector_from(&self, ledger: Ledger, settings: ApplySettings) -> Projector {
        let pool = self.db.pool().clone();
        let context = ProjectorContext {
            waker: Waker::new(pool.clone()),
            pool,
            ledger,
            settings,
            clock: self.clock.clone(),
        };
        Projector::new(context, StdRng::seed_from_u64(2))
    }

    /// Submits one transaction that carries these commands and is valid in a block.
    pub(crate) async fn execute(&self, commands: &[Command]) -> String {
        let batch: Vec<_> =
            commands.iter().map(|command| BatchCommand::new(fresh_id(), command)).collect();
        self.execute_batch(&batch).await
    }

    pub(crate) async fn execute_batch(&self, batch: &[BatchCommand]) -> String {
        let (tx_id, envelope) = self.endorse(batch).await;
        self.ledger.submit(&tx_id, &envelope).await.unwrap();
        let status = self.ledger.commit_status(&self.super_admin, &tx_id).await.unwrap();
        assert!(status.code.is_valid(), "{}", status.code);
        tx_id
    }

    pub(crate) async fn endorse(&self, batch: &[BatchCommand]) -> (String, Vec<u8>) {
        let args = [serde_json::to_string(batch).unwrap()];
        let endorsed =
            self.ledger.endorse(&self.super_admin, BatchCommand::EXECUTE, &args).await.unwrap();
        (endorsed.tx_id, endorsed.envelope)
    }

    pub(crate) async fn height(&self) -> u64 {
        let heights = self.ledger.heights().await;
        heights.into_iter().filter_map(|peer| peer.height.ok()).max().unwrap()
    }

    /// Steps until every block that exists now is applied.
    pub(crate) async fn catch_up(&self, projector: &mut Projector) {
        let height = self.height().await;
        let deadline = tokio::time::Instant::now() + BOUND;
        while self.checkpoint().await.is_none_or(|at| at + 1 < height) {
            projector.step(Duration::from_millis(20)).await.unwrap();
            assert!(tokio::time::Instant::now() < deadline, "block {height} did not come");
        }
    }

    /// Steps until one block was applied.
    pub(crate) async fn apply_one(&self, projector: &mut Projector) -> gx_projector::Applied {
        let deadline = tokio::time::Instant::now() + BOUND;
        loop {
            if let Progress::Applied(applied) =
                projector.step(Duration::from_millis(20)).await.unwrap()
            {
                return applied;
            }
            assert!(tokio::time::Instant::now() < deadline, "no block came");
        }
    }

    pub(crate) async fn checkpoint(&self) -> Option<u64> {
        let row = sqlx::query(r#"SELECT "blockNumber" FROM "ProjectorState""#)
            .fetch_optional(self.db.pool())
            .await
            .unwrap();
        row.map(|row| u64::try_from(row.get::<i64, _>(0)).unwrap())
    }

    /// Creates an approved account that holds a ledger id.
    pub(crate) async fn person(&self, n: u32) -> Person {
        let id: FabricUserId =
            format!("MY 463 AUN834 0QK{}B {:04}", letter(n / 10_000), n % 10_000).parse().unwrap();
        self.account(n, id).await
    }

    pub(crate) async fn account(&self, n: u32, id: FabricUserId) -> Person {
        let profile_id = ProfileId::from(format!("profile-{n}"));
        sqlx::query(
            r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email,
                   "passwordHash", "dateOfBirth", gender, "nationalityCountryCode", status,
                   "onchainStatus", "createdAt", "updatedAt")
               VALUES ($1, 'A', 'B', $1 || '@gxtest.com', 'x', '1992-08-20', 'female', 'MY',
                       'APPROVED_PENDING_ONCHAIN', 'PENDING', '2020-01-01Z', '2020-01-01Z')"#,
        )
        .bind(&profile_id)
        .execute(self.db.pool())
        .await
        .unwrap();
        sqlx::query(
            r#"INSERT INTO "FabricIdReservation" ("fabricUserId", "profileId", "commandId",
                                                  "reservedAt")
               VALUES ($1, $2, $3, '2020-01-01Z')"#,
        )
        .bind(id.to_string())
        .bind(&profile_id)
        .bind(create_id(n).to_string())
        .execute(self.db.pool())
        .await
        .unwrap();
        Person { profile_id, id }
    }

    /// Returns the single value of a statement as text.
    pub(crate) async fn one(&self, sql: &str) -> String {
        let sql = format!("SELECT coalesce(({sql})::text, 'NULL')");
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(self.db.pool()).await.unwrap()
    }

    pub(crate) async fn sql(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(self.db.pool()).await.unwrap();
    }

    /// Returns every projected row.
    pub(crate) async fn rows(&self) -> Vec<Value> {
        let mut tables = Vec::new();
        for select in PROJECTED {
            let sql = format!(
                "SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY to_jsonb(t)::text), '[]')
                 FROM ({select}) AS t"
            );
            tables.push(
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(self.db.pool()).await.unwrap(),
            );
        }
        tables
    }

    /// Returns the sum of all wallets and pools in the read model.
    pub(crate) async fn total(&self) -> String {
        self.one(
            r#"SELECT (SELECT coalesce(sum(balance), 0) FROM "Wallet")
                    + (SELECT coalesce(sum(balance), 0) FROM "PoolBalance")"#,
        )
        .await
    }
}

fn letter(n: u32) -> char {
    char::from_u32(u32::from(b'A') + n % 26).unwrap()
}

pub(crate) fn fresh_id() -> CommandId {
    CommandId::from(uuid::Uuid::from_u128(rand::random()))
}

pub(crate) fn create_id(n: u32) -> CommandId {
    CommandId::derive(&["create", &n.to_string()])
}

pub(crate) fn create(person: &Person) -> Command {
    Command::CreateUser {
        user_id: person.id.clone(),
        biometric_hash: "0".repeat(64).parse::<BiometricHash>().unwrap(),
        nationality: person.id.country(),
        age: 34,
    }
}

pub(crate) fn grant(person: &Person) -> Command {
    Command::DistributeGenesis { user_id: person.id.clone(), nationality: person.id.country() }
}

pub(crate) fn transfer(from: &str, to: &str, gx: i64) -> Command {
    Command::Transfer {
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        amount: gx_model::Qirat::gx(gx),
        tx_type: None,
    }
}

/// Reads events like a release that cannot read the creation of people with the number 2.
pub(crate) fn without_number_two(record: &EventRecord) -> Result<DomainEvent, UnreadableEvent> {
    let event = record.decode()?;
    match &event {
        DomainEvent::UserCreated { user_id, .. } if user_id.to_string().ends_with(" 0002") => {
            let mut json = record.json().clone();
            json["version"] = 99.into();
            EventRecord::from_json(json).decode()
        }
        _ => Ok(event),
    }
}

/// Makes three people with grants, payments, a freeze, an activated treasury and a pause.
pub(crate) async fn mixed_workload(chain: &Chain) -> [Person; 3] {
    let people = [chain.person(1).await, chain.person(2).await, chain.person(3).await];
    let id = |n: usize| people[n].id.to_string();
    for person in &people {
        chain.execute(&[create(person), grant(person)]).await;
    }
    chain.execute(&[transfer(&id(0), &id(1), 120), transfer(&id(1), &id(2), 600)]).await;
    let my = "MY".parse().unwrap();
    chain.execute(&[Command::ActivateTreasury { country_code: my }]).await;
    chain.execute(&[transfer("treasury_MY", "SYSTEM_LOAN_POOL", 20)]).await;
    let reason_code = "COURT_ORDER".parse().unwrap();
    chain.execute(&[Command::FreezeWallet { user_id: people[1].id.clone(), reason_code }]).await;
    chain.execute(&[Command::PauseSystem { reason_code: "DRILL".parse().unwrap() }]).await;
    chain.execute(&[Command::ResumeSystem {}]).await;
    people
}
