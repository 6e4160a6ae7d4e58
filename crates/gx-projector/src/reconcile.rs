//! The reconciliation job: from time to time the whole read model is compared with the chain,
//! and whenever an operator asks for it, it is compared or made anew (PRJ-12).
//!
//! It works beside the projection, which goes on meanwhile, in one process at a time.

use std::time::Duration;

use gx_auth::audit::Actor;
use gx_outbox::tasks::{self, Task, TaskRow};
use gx_serve::{CheckHandle, HealthBoard, Verdict};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::leader::Leader;
use crate::projector::Parts;
use crate::rebuild::{Rebuilder, Switch};
use crate::verify::{Disagreement, Verification, Verifier, VerifyError, VerifyLimits};

/// How often it is looked whether somebody has asked for something.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Questions to the ledger at a time: the job has time, and others ask too.
const QUESTIONS_AT_ONCE: usize = 4;
/// Disagreements that a report names; all are counted.
const MOST_NAMED: usize = 200;

/// Compares, and makes anew.
pub(crate) struct Reconciler {
    parts: Parts,
    rng: StdRng,
    check: CheckHandle,
    leader: Leader,
}

impl Reconciler {
    pub(crate) fn new(parts: Parts, rng: StdRng, board: &HealthBoard) -> Self {
        let check = board.check("reconciliation", false);
        check.set(Verdict::healthy().with_message("nothing was compared yet"));
        Self { parts, rng, check, leader: Leader::default() }
    }

    /// Does what was asked for, and compares everything once an interval.
    pub(crate) async fn watch(mut self, interval: Option<Duration>) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut compared_at = Instant::now();
        loop {
            tick.tick().await;
            match self.step(interval.is_some_and(|every| compared_at.elapsed() >= every)).await {
                Ok(false) => {}
                Ok(true) => compared_at = Instant::now(),
                Err(error) => {
                    self.leader.give_up();
                    tracing::debug!(error = %error, "nobody knows what was asked for; next time");
                }
            }
        }
    }

    /// The next thing to do; whether everything was compared. Only one process does any of it.
    async fn step(&mut self, is_due: bool) -> Result<bool, sqlx::Error> {
        let channel = &self.parts.rules.channel;
        if !self.leader.hold(&self.parts.pool, &format!("{channel} reconciliation")).await? {
            return Ok(false);
        }
        let mut conn = self.parts.pool.acquire().await?;
        // Not kept locked: this takes long, and doing it again is harmless.
        let task = tasks::take(&mut conn, channel, &tasks::BESIDE_BLOCKS).await?;
        drop(conn);
        let Some(row) = task else {
            if is_due {
                self.compare().await;
            }
            return Ok(is_due);
        };
        let report = self.carry_out(&row).await;
        tracing::info!(task_id = row.task_id, kind = row.kind, by = row.requested_by,
            report = %report, "a task was carried out");
        let mut conn = self.parts.pool.acquire().await?;
        tasks::finish(&mut conn, &row.task_id, report, self.parts.clock.now()).await?;
        Ok(false)
    }

    async fn carry_out(&mut self, row: &TaskRow) -> Value {
        match row.task() {
            Ok(Task::VerifyProjection {}) => self.compare().await,
            Ok(Task::RebuildProjection { switch: false }) => self.rebuild(Switch::Never).await,
            Ok(Task::RebuildProjection { switch: true }) => {
                self.rebuild(Switch::By(Actor::Admin(&row.requested_by))).await
            }
            Ok(Task::ReplayDeadEvents { .. }) => {
                json!({ "error": "this is done between blocks" })
            }
            Err(why) => json!({ "error": format!("this release cannot do it: {why}") }),
        }
    }

    /// Compares everything, and says in the health what was found.
    async fn compare(&self) -> Value {
        let limits =
            VerifyLimits { questions_at_once: QUESTIONS_AT_ONCE, ..VerifyLimits::default() };
        let (pool, ledger) = (self.parts.pool.clone(), self.parts.ledger.clone());
        let mut named: Vec<Disagreement> = Vec::new();
        let verifier = Verifier::new(pool, ledger, limits);
        let found = verifier.run(|one| {
            if named.len() < MOST_NAMED {
                named.push(one.clone());
            }
        });
        let found = found.await;
        self.check.set(verdict(&found, &named));
        match found {
            Ok(report) => {
                let mut json = json!(report);
                json["found"] = json!(named);
                json
            }
            Err(error) => json!({ "error": with_cause(&error) }),
        }
    }

    async fn rebuild(&mut self, switch: Switch<'_>) -> Value {
        let Parts { pool, ledger, rules, clock, .. } = self.parts.clone();
        let rng = StdRng::from_rng(&mut self.rng);
        let rebuilder = Rebuilder { pool, ledger, rules, clock };
        let done = rebuilder.run(switch, rng, |_| {}, |_| {}).await;
        match done {
            Ok(report) => {
                if report.switched {
                    // Dead letters may have been applied that commands waited for.
                    self.parts.waker.wake();
                }
                json!(report)
            }
            Err(error) => json!({ "error": with_cause(&error) }),
        }
    }
}

fn verdict(found: &Result<Verification, VerifyError>, named: &[Disagreement]) -> Verdict {
    match found {
        Ok(report) => {
            let value = json!(report);
            #[allow(clippy::cast_precision_loss, reason = "a gauge is for looking at")]
            metrics::gauge!("gx_projection_differences").set(report.differences as f64);
            if report.differences == 0 {
                return Verdict::healthy().with_value(value);
            }
            for one in named {
                tracing::error!(subject = %one.subject, "not what the chain says: {one}");
            }
            let message = format!(
                "{} subjects are not what the chain says; `gx projection verify` names them",
                report.differences
            );
            Verdict::unhealthy(message).with_value(value)
        }
        Err(error) => Verdict::unknown(with_cause(error)),
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
