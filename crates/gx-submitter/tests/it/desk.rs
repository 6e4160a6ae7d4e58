//! An outbox with a submitter and a projector that are stepped by hand.

use std::time::Duration;

use gx_db::PgConnection;
use gx_model::{Command, CommandId};
use gx_outbox::{NewCommand, RetryPolicy, enqueue};
use gx_projector::Projector;
use gx_submitter::{Parts, Progress, Signers, Submitter, SubmitterSettings};
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

pub(crate) fn parts(chain: &Chain) -> Parts {
    let (admin, super_admin) = (chain.admin.clone(), chain.super_admin.clone());
    Parts {
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

impl Desk {
    /// On a ledger with supply and countries that the projector has applied.
    pub(crate) async fn open() -> Self {
        let chain = Chain::bootstrapped().await;
        Self::at(chain).await
    }

    /// On a ledger as it is, applied up to its tip.
    pub(crate) async fn at(chain: Chain) -> Self {
        let mut rules = chain.rules();
        rules.retry = policy();
        let mut projector = chain.projector_by(rules);
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

    pub(crate) async fn enqueue_for(&self, person: &Person, command: &Command) -> CommandId {
        let id = crate::chain::fresh_id();
        self.enqueue_as(id, command, Some(&person.profile_id)).await;
        id
    }

    pub(crate) async fn enqueue_as(
        &self,
        command_id: CommandId,
        command: &Command,
        profile_id: Option<&str>,
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

    /// Steps both workers until no command and no attempt is under way.
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

    /// A column of a command, as text.
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

    /// Events on the chain that each command brought: one row a command, none twice.
    pub(crate) async fn effects(&self, event: &str) -> (i64, i64) {
        let count = |what: &str| {
            format!(r#"SELECT count({what}) FROM "EventLog" WHERE "eventName" = '{event}'"#)
        };
        let all = self.chain.one(&count("*")).await.parse().unwrap();
        let distinct = self.chain.one(&count(r#"DISTINCT "commandId""#)).await.parse().unwrap();
        (all, distinct)
    }
}
