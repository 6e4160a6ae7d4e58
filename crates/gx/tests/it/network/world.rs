//! A database and both workers as processes, on some ledger, with people who hold money.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gx_db::testing::TestDatabase;
use gx_model::{BiometricHash, Clock, Command, CommandId, CountryList, FabricUserId, Qirat};
use gx_outbox::NewCommand;
use gx_testkit::eventually;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::task::JoinHandle;

use super::{Direct, Network};
use crate::role::Role;
use crate::stack::BOUND;

/// People in a story; each pays the next one.
const PEOPLE: u32 = 8;
/// The longest that workers and ledger may take to come to life on a busy machine.
const ALIVE_WITHIN: Duration = Duration::from_secs(60);
/// What nobody's command may be once all is done.
const UNSETTLED: &str = r#"SELECT (SELECT count(*) FROM "OutboxCommand" WHERE status <> 'COMMITTED')
           + (SELECT count(*) FROM "LedgerAttempt" WHERE state = 'OPEN')"#;

/// The workers on a ledger.
pub(crate) struct World<N> {
    /// Turns commands into transactions.
    pub(crate) submitter: Role,
    /// Turns blocks into rows.
    pub(crate) projector: Role,
    /// The ledger.
    pub(crate) network: N,
    /// A client that goes around the workers.
    pub(crate) direct: Direct,
    /// The outbox and the read model.
    pub(crate) database: TestDatabase,
    /// Who holds 500 GX each.
    pub(crate) people: Vec<FabricUserId>,
}

/// Payments that go on until they are stopped.
pub(crate) struct Payments {
    going: Arc<AtomicBool>,
    task: JoinHandle<usize>,
}

impl Payments {
    /// How many there were.
    pub(crate) async fn stop(self) -> usize {
        self.going.store(false, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

impl<N: Network> World<N> {
    /// Workers that are ready, on a ledger with supply, countries and people.
    pub(crate) async fn start(network: N) -> Self {
        let database = TestDatabase::create().await;
        let settings = network.settings();
        let submitter = Role::start("outbox-submitter", database.url(), &settings);
        let projector = Role::start("projector", database.url(), &settings);
        let direct = network.direct();
        let mut world =
            Self { submitter, projector, network, direct, database, people: Vec::new() };
        let countries = CountryList::embedded().iter().cloned().collect();
        world.want(&Command::BootstrapSystem {}).await;
        world.want(&Command::InitializeCountryData { countries }).await;
        for n in 0..PEOPLE {
            let person = world.person(n).await;
            world.people.push(person);
        }
        world.settled(ALIVE_WITHIN).await;
        for role in [&world.submitter, &world.projector] {
            role.becomes(200).await;
        }
        world
    }

    /// Somebody who is about to be on the ledger, with the grant.
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
        let command_id = self.want(&create).await;
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
        self.want(&Command::DistributeGenesis { user_id: user_id.clone(), nationality }).await;
        user_id
    }

    /// Enqueues a command.
    pub(crate) async fn want(&self, command: &Command) -> CommandId {
        want(self.database.pool(), command).await
    }

    /// Somebody pays the next one 1 GX, which costs no fee.
    pub(crate) fn payment(&self, n: usize) -> Command {
        payment(&self.people, n)
    }

    /// People who pay each other, one payment each `pace`.
    pub(crate) fn payments(&self, pace: Duration) -> Payments {
        let going = Arc::new(AtomicBool::new(true));
        let (pool, people, goes_on) =
            (self.database.pool().clone(), self.people.clone(), Arc::clone(&going));
        let task = tokio::spawn(async move {
            let mut pace = tokio::time::interval(pace);
            let mut count = 0;
            while goes_on.load(Ordering::Relaxed) {
                pace.tick().await;
                want(&pool, &payment(&people, count)).await;
                count += 1;
            }
            count
        });
        Payments { going, task }
    }

    /// Waits until every command is committed; how long that took.
    pub(crate) async fn settled(&self, bound: Duration) -> Duration {
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
                everything_open(&pool).await
            }
        });
        tokio::select! {
            () = eventually("every command is committed", bound * 2, open) => {}
            state = settled => panic!("not settled within {bound:?}: {}", state.unwrap()),
        }
        since.elapsed()
    }

    /// Every payment took effect once: on the chain, in the event log, and in what people
    /// hold, to the last Qirat.
    pub(crate) async fn paid_once(&self, payments: usize) {
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
            self.holds(person, Qirat::gx(holds)).await;
        }
        self.supply_is_whole().await;
    }

    /// What somebody holds, on the chain and in the read model.
    pub(crate) async fn holds(&self, person: &FabricUserId, amount: Qirat) {
        let id = person.to_string();
        let account = std::slice::from_ref(&id);
        let on_chain = self.direct.ask("TokenomicsContract:GetBalance", account).await;
        assert_eq!(on_chain["balance"], amount.to_string(), "{person}: {on_chain}");
        let read: i64 = self
            .one(format!(r#"SELECT balance FROM "Wallet" WHERE "accountId" = '{person}'"#))
            .await;
        assert_eq!(read, amount.get(), "{person} in the read model");
    }

    /// Pools and wallets hold the whole supply.
    pub(crate) async fn supply_is_whole(&self) {
        let sum = r#"SELECT ((SELECT coalesce(sum(balance), 0) FROM "Wallet")
                           + (SELECT coalesce(sum(balance), 0) FROM "PoolBalance"))::bigint"#;
        assert_eq!(self.one::<i64>(sum.to_owned()).await, Qirat::SUPPLY.get());
    }

    /// Waits until the answer to a question is yes.
    pub(crate) async fn is_true(&self, question: &'static str) {
        eventually(question, BOUND, async || {
            self.one::<bool>(question.to_owned()).await.then_some(())
        })
        .await;
    }

    /// The one value of a statement.
    pub(crate) async fn one<T>(&self, sql: String) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(self.database.pool()).await.unwrap()
    }
}

/// An id that nobody has.
pub(crate) fn fresh_id() -> CommandId {
    CommandId::derive(&["story", &format!("{:032x}", rand::random::<u128>())])
}

/// Enqueues a command under an id of its own.
pub(crate) async fn want(pool: &PgPool, command: &Command) -> CommandId {
    let command_id = fresh_id();
    let new = NewCommand {
        command_id,
        command,
        profile_id: None,
        requested_by: "story",
        request_id: None,
    };
    let mut conn = pool.acquire().await.unwrap();
    gx_outbox::enqueue(&mut conn, new, Clock::system().now()).await.unwrap();
    command_id
}

fn payment(people: &[FabricUserId], n: usize) -> Command {
    let person = |n: usize| people[n % people.len()].to_string().parse().unwrap();
    Command::Transfer { from: person(n), to: person(n + 1), amount: Qirat::gx(1), tx_type: None }
}

/// What a person who looks into a failure wants to know.
async fn everything_open(pool: &PgPool) -> String {
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
