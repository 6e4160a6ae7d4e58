//! A database and both workers as processes, on one of the ledgers, with people who hold money.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gx_db::testing::TestDatabase;
use gx_model::{BiometricHash, Clock, Command, CommandId, CountryList, FabricUserId, Qirat};
use gx_outbox::enqueue::NewCommand;
use gx_testkit::eventually;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::task::JoinHandle;

use super::{Direct, Network};
use crate::role::Role;
use crate::stack::BOUND;

/// Number of people; each pays the next one.
const PEOPLE: u32 = 8;
/// Longest start of workers and ledger on a busy machine.
const ALIVE_WITHIN: Duration = Duration::from_secs(180);
/// Counts the commands and attempts that are not done.
const UNSETTLED: &str = r#"SELECT (SELECT count(*) FROM "OutboxCommand" WHERE status <> 'COMMITTED')
           + (SELECT count(*) FROM "LedgerAttempt" WHERE state = 'OPEN')"#;

/// The workers on a ledger.
pub(crate) struct World<N> {
    /// The submitter's process.
    pub(crate) submitter: Role,
    /// The projector's process.
    pub(crate) projector: Role,
    /// The ledger.
    pub(crate) network: N,
    /// A client that does not use the workers.
    pub(crate) direct: Direct,
    /// The outbox and the read model.
    pub(crate) database: TestDatabase,
    /// People who hold 500 GX each.
    pub(crate) people: Vec<FabricUserId>,
}

/// Payments that are repeated until they are stopped.
pub(crate) struct Payments {
    going: Arc<AtomicBool>,
    task: JoinHandle<usize>,
}

impl Payments {
    /// Stops the payments and returns their number.
    pub(crate) async fn stop(self) -> usize {
        self.going.store(false, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

impl<N: Network> World<N> {
    /// Starts the workers and waits until the ledger has supply, countries and people.
    pub(crate) async fn start(network: N) -> Self {
        let database = TestDatabase::create().await;
        let settings = network.settings();
        let submitter = Role::start("outbox-submitter", database.url(), &settings);
        let projector = Role::start("projector", database.url(), &settings);
        let direct = network.direct();
        let mut world =
            Self { submitter, projector, network, direct, database, people: Vec::new() };
        let countries = CountryList::embedded().iter().cloned().collect();
        world.enqueue(&Command::BootstrapSystem {}).await;
        world.enqueue(&Command::InitializeCountryData { countries }).await;
        for n in 0..PEOPLE {
            let person = world.person(n).await;
            world.people.push(person);
        }
        world.wait_until_settled(ALIVE_WITHIN).await;
        for role in [&world.submitter, &world.projector] {
            role.wait_for_readyz(200).await;
        }
        world
    }

    /// Adds a person and enqueues the commands of an approval.
    async fn person(&self, n: u32) -> FabricUserId {
        let user_id: FabricUserId = format!("MY 463 AUN834 0QKZB {n:04}").parse().unwrap();
        let (profile, pool) = (format!("profile-{n}"), self.database.pool());
        sqlx::query(
            r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email,
                   "passwordHash", "dateOfBirth", gender, "nationalityCountryCode", status,
                   "onchainStatus", "createdAt", "updatedAt")
               VALUES ($1, 'A', 'B', $1 || '@gxtest.com', 'x', '1992-08-20', 'female', 'MY',
                       'APPROVED_PENDING_ONCHAIN', 'PENDING', '2020-01-01Z', '2020-01-01Z')"#,
        )
        .bind(&profile)
        .execute(pool)
        .await
        .unwrap();
        let nationality = user_id.country();
        let biometric_hash = "0".repeat(64).parse::<BiometricHash>().unwrap();
        let create =
            Command::CreateUser { user_id: user_id.clone(), biometric_hash, nationality, age: 34 };
        let command_id = self.enqueue(&create).await;
        sqlx::query(
            r#"INSERT INTO "FabricIdReservation" ("fabricUserId", "profileId", "commandId",
                                                  "reservedAt")
               VALUES ($1, $2, $3, '2020-01-01Z')"#,
        )
        .bind(user_id.to_string())
        .bind(&profile)
        .bind(command_id.to_string())
        .execute(pool)
        .await
        .unwrap();
        self.enqueue(&Command::DistributeGenesis { user_id: user_id.clone(), nationality }).await;
        user_id
    }

    /// Enqueues a command with a fresh id.
    pub(crate) async fn enqueue(&self, command: &Command) -> CommandId {
        enqueue(self.database.pool(), command).await
    }

    /// Returns payment number `n`: a person pays the next one 1 GX, which costs no fee.
    pub(crate) fn payment(&self, n: usize) -> Command {
        payment(&self.people, n)
    }

    /// Starts payments, one in each period of `pace`.
    pub(crate) fn payments(&self, pace: Duration) -> Payments {
        let going = Arc::new(AtomicBool::new(true));
        let (pool, people, goes_on) =
            (self.database.pool().clone(), self.people.clone(), Arc::clone(&going));
        let task = tokio::spawn(async move {
            let mut pace = tokio::time::interval(pace);
            let mut count = 0;
            while goes_on.load(Ordering::Relaxed) {
                pace.tick().await;
                enqueue(&pool, &payment(&people, count)).await;
                count += 1;
            }
            count
        });
        Payments { going, task }
    }

    /// Waits until every command is committed, and returns how long that took.
    pub(crate) async fn wait_until_settled(&self, bound: Duration) -> Duration {
        let since = Instant::now();
        let open = || async {
            let count: i64 =
                sqlx::query_scalar(UNSETTLED).fetch_one(self.database.pool()).await.unwrap();
            (count == 0).then_some(())
        };
        let settled = tokio::spawn({
            let pool = self.database.pool().clone();
            async move {
                tokio::time::sleep(bound).await;
                describe_open_work(&pool).await
            }
        });
        tokio::select! {
            () = eventually("every command is committed", bound * 2, open) => {}
            state = settled => {
                let (work, submitter) = (state.unwrap(), self.submitter.describe().await);
                panic!("not settled within {bound:?}: {work}\n{submitter}")
            }
        }
        since.elapsed()
    }

    /// Checks that every payment took effect once: on the chain, in the event log, and in the
    /// balances, to the last Qirat.
    pub(crate) async fn assert_paid_once(&self, payments: usize) {
        let effects: (i64, i64) = sqlx::query_as(
            r#"SELECT count(*), count(DISTINCT "commandId") FROM "EventLog"
               WHERE "eventName" = 'TransferCompleted'"#,
        )
        .fetch_one(self.database.pool())
        .await
        .unwrap();
        let expected = i64::try_from(payments).unwrap();
        assert_eq!(effects, (expected, expected), "each payment has one event");
        let count = self.people.len();
        for (n, person) in self.people.iter().enumerate() {
            let paid = (0..payments).filter(|payment| payment % count == n).count();
            let received = (0..payments).filter(|payment| (payment + 1) % count == n).count();
            let holds = 500 + i64::try_from(received).unwrap() - i64::try_from(paid).unwrap();
            self.assert_balance(person, Qirat::gx(holds)).await;
        }
        self.assert_whole_supply().await;
    }

    /// Checks a person's balance on the chain and in the read model.
    pub(crate) async fn assert_balance(&self, person: &FabricUserId, amount: Qirat) {
        let id = person.to_string();
        let account = std::slice::from_ref(&id);
        let on_chain = self.direct.ask("TokenomicsContract:GetBalance", account).await;
        assert_eq!(on_chain["balance"], amount.to_string(), "{person}: {on_chain}");
        let read: i64 = self
            .query_one(format!(r#"SELECT balance FROM "Wallet" WHERE "accountId" = '{person}'"#))
            .await;
        assert_eq!(read, amount.get(), "{person} in the read model");
    }

    /// Checks that pools and wallets hold the whole supply.
    pub(crate) async fn assert_whole_supply(&self) {
        let sum = r#"SELECT ((SELECT coalesce(sum(balance), 0) FROM "Wallet")
                           + (SELECT coalesce(sum(balance), 0) FROM "PoolBalance"))::bigint"#;
        assert_eq!(self.query_one::<i64>(sum.to_owned()).await, Qirat::SUPPLY.get());
    }

    /// Waits until a statement returns true.
    pub(crate) async fn wait_until_true(&self, question: &'static str) {
        eventually(question, BOUND, async || {
            self.query_one::<bool>(question.to_owned()).await.then_some(())
        })
        .await;
    }

    /// Returns the only value of a statement.
    pub(crate) async fn query_one<T>(&self, sql: String) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(self.database.pool()).await.unwrap()
    }
}

/// Returns a new command id.
pub(crate) fn fresh_id() -> CommandId {
    CommandId::derive(&["story", &format!("{:032x}", rand::random::<u128>())])
}

/// Enqueues a command with a fresh id and returns the id.
pub(crate) async fn enqueue(pool: &PgPool, command: &Command) -> CommandId {
    let command_id = fresh_id();
    let new = NewCommand {
        command_id,
        command,
        profile_id: None,
        requested_by: "story",
        request_id: None,
    };
    let mut conn = pool.acquire().await.unwrap();
    gx_outbox::enqueue::enqueue(&mut conn, new, Clock::system().now()).await.unwrap();
    command_id
}

fn payment(people: &[FabricUserId], n: usize) -> Command {
    let person = |n: usize| people[n % people.len()].to_string().parse().unwrap();
    Command::Transfer { from: person(n), to: person(n + 1), amount: Qirat::gx(1), tx_type: None }
}

/// Returns the unfinished commands and attempts, for the message of a failed test.
async fn describe_open_work(pool: &PgPool) -> String {
    sqlx::query_scalar(
        r#"SELECT coalesce(string_agg(line, E'\n'), 'nothing') FROM (
               SELECT format('%s %s commands, %s attempts, due %s: %s', count(*), status,
                             max(attempts), max("nextAttemptAt"), max("lastError")) AS line
               FROM "OutboxCommand" WHERE status <> 'COMMITTED' GROUP BY status
               UNION ALL
               SELECT format('attempt %s, due %s: %s', "txId", "nextSendAt", "errorDetail")
               FROM "LedgerAttempt" WHERE state = 'OPEN') AS lines"#,
    )
    .fetch_one(pool)
    .await
    .unwrap()
}
