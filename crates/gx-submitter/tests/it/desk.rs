//! An outbox with a submitter and a projector that are stepped by the test.

use std::time::Duration;

use gx_db::{PgConnection, ProfileId};
use gx_devnet::{BlockCutting, IdentityRequest};
use gx_fabric_client::Identity;
use gx_model::{Clock, Command, CommandId};
use gx_outbox::enqueue::{NewCommand, enqueue};
use gx_outbox::failure::RetryPolicy;
use gx_projector::Projector;
use gx_submitter::{
    Progress, Signers, Submitter, SubmitterContext, SubmitterError, SubmitterSettings,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::time::Instant;

use crate::chain::{BOUND, CHANNEL, Chain, Person};

pub(crate) struct Desk {
    pub(crate) chain: Chain,
    pub(crate) projector: Projector,
    pub(crate) submitter: Submitter,
}

/// Short delays, and budgets that a test can spend.
pub(crate) fn policy() -> RetryPolicy {
    RetryPolicy {
        base: Duration::from_millis(2),
        cap: Duration::from_millis(20),
        unavailable_cap: Duration::from_millis(20),
        interrupted: 4,
        refused: 4,
        conflict: 10,
        unknown: 4,
        unavailable: 4,
        invalid: 2,
        storage: 2,
        least_age: Duration::ZERO,
        unavailable_least_age: Duration::ZERO,
    }
}

pub(crate) fn settings(instance: &str) -> SubmitterSettings {
    SubmitterSettings {
        instance: instance.to_owned(),
        lease_ms: 20_000,
        poll_ms: 50,
        resend_ms: 100,
        ..SubmitterSettings::default()
    }
}

pub(crate) fn parts(chain: &Chain) -> SubmitterContext {
    let (admin, super_admin) = (chain.admin.clone(), chain.super_admin.clone());
    SubmitterContext {
        pool: chain.db.pool().clone(),
        ledger: chain.ledger.clone(),
        signers: Signers { admin, super_admin },
        channel: CHANNEL.to_owned(),
        retry: policy(),
        clock: chain.clock.clone(),
    }
}

pub(crate) fn submitter(chain: &Chain, settings: SubmitterSettings) -> Submitter {
    Submitter::new(parts(chain), settings, StdRng::seed_from_u64(5)).unwrap()
}

/// Adds many accounts that hold ledger ids; their numbers begin after `after`.
pub(crate) async fn crowd(chain: &Chain, after: usize, count: usize) -> Vec<Person> {
    let numbers = after + 1..=after + count;
    let all = format!("generate_series({}, {}) AS n", numbers.start(), numbers.end());
    let id = "'MY 463 AUN834 0QKCB ' || lpad(n::text, 4, '0')";
    chain
        .sql(&format!(
            r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email,
                   "passwordHash", "dateOfBirth", gender, "nationalityCountryCode", status,
                   "onchainStatus", "createdAt", "updatedAt")
               SELECT 'crowd-' || n, 'A', 'B', 'crowd-' || n || '@gxtest.com', 'x', '1992-08-20',
                      'female', 'MY', 'APPROVED_PENDING_ONCHAIN', 'PENDING', '2020-01-01Z',
                      '2020-01-01Z'
               FROM {all};
               INSERT INTO "FabricIdReservation" ("fabricUserId", "profileId", "commandId",
                                                  "reservedAt")
               SELECT {id}, 'crowd-' || n, 'crowd-' || n, '2020-01-01Z' FROM {all}"#
        ))
        .await;
    let person = |n| Person {
        profile_id: format!("crowd-{n}").into(),
        id: format!("MY 463 AUN834 0QKCB {n:04}").parse().unwrap(),
    };
    numbers.map(person).collect()
}

impl Desk {
    /// Creates a desk with the budgets of production and a clock that the test moves.
    pub(crate) async fn with_real_budgets() -> Self {
        let chain = Chain::by_clock(BlockCutting::Immediate, Clock::adjustable()).await;
        chain.bootstrap().await;
        let mut projector = chain.projector();
        chain.catch_up(&mut projector).await;
        let parts = SubmitterContext { retry: RetryPolicy::default(), ..parts(&chain) };
        let rng = StdRng::seed_from_u64(5);
        let submitter = Submitter::new(parts, settings("one"), rng).unwrap();
        Self { chain, projector, submitter }
    }

    /// Gives the submitter a signer whose certificate has expired, and returns the good one.
    pub(crate) fn with_expired_signer(&mut self) -> Submitter {
        let request = IdentityRequest {
            common_name: "late".to_owned(),
            unit: "client".to_owned(),
            gxc_role: Some("gx_admin".to_owned()),
            not_after: self.chain.clock.now() + Duration::from_secs(3_600),
        };
        let pem = self.chain.devnet.issue_identity(&request).unwrap();
        let late = Identity::from_pem(&pem.msp_id, &pem.certificate_pem, &pem.private_key_pem);
        let late = late.unwrap();
        self.chain.clock.advance(Duration::from_secs(7_200));
        let mut parts = self.submitter.context().clone();
        parts.signers = Signers { admin: late.clone(), super_admin: late };
        let rng = StdRng::seed_from_u64(6);
        let submitter = Submitter::new(parts, settings("one"), rng).unwrap();
        std::mem::replace(&mut self.submitter, submitter)
    }

    /// Gives the submitter a new key for what a super administrator signs. Returns a line of its
    /// certificate, which is in every envelope that the key signs.
    pub(crate) fn with_another_super_admin(&mut self) -> String {
        let request = IdentityRequest {
            common_name: "another super admin".to_owned(),
            unit: "client".to_owned(),
            gxc_role: Some("gx_super_admin".to_owned()),
            not_after: self.chain.clock.now() + Duration::from_secs(365 * 86_400),
        };
        let pem = self.chain.devnet.issue_identity(&request).unwrap();
        let signer = Identity::from_pem(&pem.msp_id, &pem.certificate_pem, &pem.private_key_pem);
        let mut parts = self.submitter.context().clone();
        parts.signers.super_admin = signer.unwrap();
        let rng = StdRng::seed_from_u64(6);
        self.submitter = Submitter::new(parts, settings("one"), rng).unwrap();
        pem.certificate_pem.lines().nth(4).unwrap().to_owned()
    }

    /// Steps the submitter once, projects until every envelope has ended, and moves the clock to
    /// the next due time.
    pub(crate) async fn advance_by_a_step(&mut self) -> Progress {
        let progress = match self.submitter.step().await {
            Ok(progress) => progress,
            Err(SubmitterError::Ledger(_)) => Progress::Idle,
            Err(error) => panic!("{error:?}"),
        };
        self.judge_all().await;
        let now = self.chain.clock.now();
        let due = match &progress {
            Progress::Worked { .. } => return progress,
            Progress::BackingOff { until, .. } => Some(*until),
            Progress::Waiting { .. } | Progress::Idle => {
                gx_outbox::submitter::next_due(&mut self.conn().await, now).await.unwrap()
            }
        };
        let wait = due.map_or(500, |due| (due - now).whole_milliseconds().clamp(1, 60_000));
        self.chain.clock.advance(Duration::from_millis(u64::try_from(wait).unwrap()));
        progress
    }

    /// Projects until no envelope is open.
    async fn judge_all(&mut self) {
        let open = r#"SELECT count(*) FROM "LedgerAttempt" WHERE state = 'OPEN'"#;
        let deadline = Instant::now() + BOUND;
        while self.chain.one(open).await != "0" {
            let _ = self.projector.step(Duration::from_millis(20)).await;
            assert!(Instant::now() < deadline, "never judged: {}", self.everything().await);
        }
    }

    /// Steps and moves the clock until the condition is true.
    pub(crate) async fn work_until(&mut self, mut done: impl AsyncFnMut(&Self) -> bool) {
        let deadline = Instant::now() + BOUND * 4;
        while !done(self).await {
            self.advance_by_a_step().await;
            assert!(Instant::now() < deadline, "waited in vain: {}", self.everything().await);
        }
    }

    /// Steps both workers until a command is dead.
    pub(crate) async fn until_dead(&mut self, id: CommandId) {
        let deadline = Instant::now() + BOUND;
        while self.status(id).await != "DEAD" {
            let _ = self.submitter.step().await;
            let _ = self.projector.step(Duration::from_millis(5)).await;
            assert!(Instant::now() < deadline, "it lives: {}", self.everything().await);
        }
    }

    /// Creates a desk on a ledger with supply and countries that the projector has applied.
    pub(crate) async fn open() -> Self {
        let chain = Chain::bootstrapped().await;
        Self::at(chain).await
    }

    /// Creates a desk on a ledger as it is, applied up to its tip.
    pub(crate) async fn at(chain: Chain) -> Self {
        let mut apply = chain.settings();
        apply.retry = policy();
        let mut projector = chain.projector_by(apply);
        chain.catch_up(&mut projector).await;
        let submitter = submitter(&chain, settings("one"));
        Self { chain, projector, submitter }
    }

    pub(crate) async fn conn(&self) -> PgConnection {
        self.chain.db.connection().await
    }

    pub(crate) async fn enqueue(&self, command: &Command) -> CommandId {
        let id = crate::chain::fresh_id();
        self.enqueue_as(id, command, None).await;
        id
    }

    /// Enqueues the creation of many people.
    pub(crate) async fn enqueue_creations(&self, people: &[Person]) -> Vec<CommandId> {
        let mut conn = self.conn().await;
        let mut ids = Vec::with_capacity(people.len());
        for person in people {
            let new = NewCommand {
                command_id: crate::chain::fresh_id(),
                command: &crate::chain::create(person),
                profile_id: Some(&person.profile_id),
                requested_by: "a test",
                request_id: None,
            };
            enqueue(&mut conn, new, self.chain.clock.now()).await.unwrap();
            ids.push(new.command_id);
        }
        ids
    }

    pub(crate) async fn enqueue_for(&self, person: &Person, command: &Command) -> CommandId {
        let id = crate::chain::fresh_id();
        self.enqueue_as(id, command, Some(&person.profile_id)).await;
        id
    }

    pub(crate) async fn enqueue_as(
        &self,
        command_id: CommandId,
        command: &Command,
        profile_id: Option<&ProfileId>,
    ) {
        let new = NewCommand {
            command_id,
            command,
            profile_id,
            requested_by: "a test",
            request_id: None,
        };
        enqueue(&mut self.conn().await, new, self.chain.clock.now()).await.unwrap();
    }

    /// Steps both workers until no command is pending or submitted and no attempt is open.
    pub(crate) async fn drain(&mut self) {
        let deadline = Instant::now() + BOUND;
        loop {
            // A step may fail while a test makes the ledger misbehave.
            let stepped = self.submitter.step().await;
            let _ = self.projector.step(Duration::from_millis(5)).await;
            let busy = matches!(stepped, Ok(Progress::Worked { .. }));
            if !busy && self.under_way().await == 0 {
                return;
            }
            if Instant::now() > deadline {
                panic!("not settled: {}", self.everything().await);
            }
        }
    }

    async fn under_way(&self) -> i64 {
        let count = self
            .chain
            .one(
                r#"SELECT (SELECT count(*) FROM "OutboxCommand"
                           WHERE status IN ('PENDING', 'SUBMITTED'))
                        + (SELECT count(*) FROM "LedgerAttempt" WHERE state = 'OPEN')"#,
            )
            .await;
        count.parse().unwrap()
    }

    pub(crate) async fn everything(&self) -> String {
        self.chain
            .one(
                r#"SELECT jsonb_agg(to_jsonb(c) - 'payload') || (
                       SELECT coalesce(jsonb_agg(to_jsonb(a) - 'envelope'), '[]')
                       FROM "LedgerAttempt" a)
                   FROM "OutboxCommand" c"#,
            )
            .await
    }

    /// Returns a column of a command as text.
    pub(crate) async fn column(&self, id: CommandId, column: &str) -> String {
        let sql = format!(r#"SELECT "{column}" FROM "OutboxCommand" WHERE "commandId" = '{id}'"#);
        self.chain.one(&sql).await
    }

    pub(crate) async fn status(&self, id: CommandId) -> String {
        self.column(id, "status").await
    }

    pub(crate) async fn outcome(&self, id: CommandId) -> Value {
        serde_json::from_str(&self.column(id, "outcome").await).unwrap()
    }

    /// Returns the events on the chain that each command caused: one row for each command, none
    /// twice.
    pub(crate) async fn effects(&self, event: &str) -> (i64, i64) {
        let count = |what: &str| {
            format!(r#"SELECT count({what}) FROM "EventLog" WHERE "eventName" = '{event}'"#)
        };
        let all = self.chain.one(&count("*")).await.parse().unwrap();
        let distinct = self.chain.one(&count(r#"DISTINCT "commandId""#)).await.parse().unwrap();
        (all, distinct)
    }
}
