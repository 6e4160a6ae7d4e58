//! Reconciliation: compares the whole read model with the chain at an interval, and carries out the
//! operators' tasks to verify or rebuild it (PRJ-12).
//!
//! `run` starts it; it runs while the projector applies blocks, in one process at a time. A result
//! is shown by the check `reconciliation` and stored with the task. An interrupted task is begun
//! again.

use std::time::Duration;

use gx_auth::audit::Actor;
use gx_db::{AdminId, PgPool};
use gx_outbox::tasks::{self, Task, TaskRow};
use gx_serve::telemetry::as_gauge;
use gx_serve::{CheckHandle, CheckResult, HealthBoard};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::rebuild::{Correction, Rebuilder};
use crate::check::{Disagreement, Verification, Verifier, VerifyError, VerifyLimits};
use crate::context::ProjectorContext;
use crate::leader::{LeadSettings, Leader};

/// How often the job looks for a task.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Questions to the ledger at a time. It is low because the job has time and other callers also
/// ask.
const QUESTIONS_AT_ONCE: usize = 4;
/// How long a comparison or a rebuild may make no progress. It is long because one statement over
/// whole tables takes a while.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(60);
/// Limit of the disagreements that a report names; all are counted.
const MAX_NAMED: usize = 200;

/// Runs comparisons and rebuilds.
pub(crate) struct Reconciler {
    context: ProjectorContext,
    rng: StdRng,
    check: CheckHandle,
    leader: Leader,
    /// Id of the task that is being carried out.
    task_id: Option<String>,
}

impl Reconciler {
    pub(crate) fn new(
        context: ProjectorContext,
        lead: LeadSettings,
        rng: StdRng,
        board: &HealthBoard,
    ) -> Self {
        let check = board.check("reconciliation", false);
        check.set(CheckResult::healthy().with_message("nothing has been compared yet"));
        let lead =
            LeadSettings { progress_timeout: PROGRESS_TIMEOUT.max(lead.progress_timeout), ..lead };
        Self { context, rng, check, leader: Leader::new(lead), task_id: None }
    }

    /// Carries out tasks, and compares everything once an interval, until `shutdown`.
    pub(crate) async fn run(mut self, interval: Option<Duration>, shutdown: CancellationToken) {
        if shutdown.run_until_cancelled(Box::pin(self.watch(interval))).await.is_some() {
            return;
        }
        let Some(task_id) = self.task_id.take() else { return };
        if let Err(error) = self.uncount_attempt(&task_id).await {
            tracing::warn!(error = %error, task_id,
                "the attempt of the interrupted task {task_id} stays counted");
        }
    }

    /// Makes an interrupted attempt of a task not count.
    async fn uncount_attempt(&self, task_id: &str) -> Result<(), sqlx::Error> {
        tasks::uncount_attempt(&mut *self.context.pool.acquire().await?, task_id).await
    }

    /// Takes a step each second.
    async fn watch(&mut self, interval: Option<Duration>) {
        let mut tick = tokio::time::interval(POLL_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut compared_at = Instant::now();
        loop {
            tick.tick().await;
            match self.step(interval.is_some_and(|every| compared_at.elapsed() >= every)).await {
                Ok(false) => {}
                Ok(true) => compared_at = Instant::now(),
                Err(error) => {
                    self.leader.give_up();
                    if let Some(task_id) = self.task_id.take() {
                        // If this fails too, the attempt stays counted and the task is begun again.
                        let _ = self.uncount_attempt(&task_id).await;
                    }
                    tracing::debug!(error = %error, "the task list cannot be read; trying again in 1 s");
                }
            }
        }
    }

    /// Takes one step and returns whether everything was compared. Only the process that leads does
    /// anything.
    async fn step(&mut self, is_due: bool) -> Result<bool, sqlx::Error> {
        let _under_way = self.leader.step_progress().step();
        let channel = format!("{} reconciliation", self.context.settings.channel);
        if !self.leader.hold(&self.context.pool, &channel).await? {
            return Ok(false);
        }
        let lost = self.leader.lost();
        tokio::select! {
            done = self.work(is_due) => done,
            // Another process does the work, from the beginning.
            lost = lost => Err(lost),
        }
    }

    /// Carries out a waiting task, or compares everything if that is due. Returns whether a due
    /// comparison was made.
    async fn work(&mut self, is_due: bool) -> Result<bool, sqlx::Error> {
        let channel = &self.context.settings.channel;
        let (pool, clock) = (self.context.pool.clone(), self.context.clock.clone());
        let mut conn = pool.acquire().await?;
        // The task is not kept locked, because it takes long and repeating it is harmless.
        let task = tasks::begin(&mut conn, channel, &tasks::BESIDE_BLOCKS, clock.now()).await?;
        drop(conn);
        let Some(row) = task else {
            if is_due {
                self.compare().await;
            }
            return Ok(is_due);
        };
        self.task_id = Some(row.task_id.clone());
        let report = tokio::select! {
            report = self.carry_out(&row) => Some(report),
            () = cancelled(&pool, &row.task_id) => None,
        };
        if let Some(report) = report {
            tracing::info!(task_id = row.task_id, kind = row.kind, by = row.requested_by,
                report = %report, "task {} was carried out", row.task_id);
            let mut conn = pool.acquire().await?;
            tasks::finish(&mut conn, &row.task_id, report, clock.now()).await?;
        } else {
            tracing::info!(
                task_id = row.task_id,
                kind = row.kind,
                "task {} was cancelled",
                row.task_id
            );
        }
        self.task_id = None;
        Ok(false)
    }

    /// Carries out a task and returns its report, which holds the error if it failed.
    async fn carry_out(&mut self, row: &TaskRow) -> Value {
        match row.task() {
            Ok(Task::VerifyProjection {}) => self.compare().await,
            Ok(Task::RebuildProjection { switch: false }) => {
                self.rebuild(Correction::ReportOnly).await
            }
            Ok(Task::RebuildProjection { switch: true }) => {
                let administrator = AdminId::from(row.requested_by.clone());
                self.rebuild(Correction::Apply(Actor::Admin(&administrator))).await
            }
            Ok(Task::ReplayDeadEvents { .. } | Task::AdoptPerson { .. }) => {
                json!({ "error": "this kind is carried out between blocks" })
            }
            Err(why) => json!({ "error": format!("this release cannot read the task: {why}") }),
        }
    }

    /// Compares everything, reports the result as the check `reconciliation`, and returns it as
    /// JSON.
    async fn compare(&self) -> Value {
        let limits =
            VerifyLimits { questions_at_once: QUESTIONS_AT_ONCE, ..VerifyLimits::default() };
        let (pool, ledger) = (self.context.pool.clone(), self.context.ledger.clone());
        let mut named: Vec<Disagreement> = Vec::new();
        let verifier =
            Verifier::new(pool, ledger, limits).with_step_progress(self.leader.step_progress());
        let found = verifier.run(|one| {
            if named.len() < MAX_NAMED {
                named.push(one.clone());
            }
        });
        let found = found.await;
        self.check.set(check_result(&found, &named));
        match found {
            Ok(report) => {
                let mut json = json!(report);
                json["found"] = json!(named);
                json
            }
            Err(error) => json!({ "error": with_cause(&error) }),
        }
    }

    /// Rebuilds the read model and returns the report.
    async fn rebuild(&mut self, correction: Correction<'_>) -> Value {
        let ProjectorContext { pool, ledger, settings, clock, .. } = self.context.clone();
        let rng = StdRng::from_rng(&mut self.rng);
        let rebuilder = Rebuilder { pool, ledger, settings, clock };
        let progress = self.leader.step_progress().clone();
        let done = rebuilder.run_with(&progress, correction, rng, |_| {}, |_| {}).await;
        match done {
            Ok(report) => {
                if report.switched {
                    // Dead letters that commands waited for may have been applied.
                    self.context.waker.wake();
                }
                json!(report)
            }
            Err(error) => json!({ "error": with_cause(&error) }),
        }
    }
}

/// Waits until the task is cancelled. While the database does not answer, the task continues.
async fn cancelled(pool: &PgPool, task_id: &str) {
    let mut tick = tokio::time::interval(POLL_INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let look = async { tasks::get(&mut *pool.acquire().await?, task_id).await };
        match look.await {
            Ok(Some(row)) if !row.is_ended() => {}
            Ok(_) => return,
            Err(error) => {
                tracing::debug!(error = %error, task_id, "task {task_id} cannot be read; it continues");
            }
        }
    }
}

fn check_result(found: &Result<Verification, VerifyError>, named: &[Disagreement]) -> CheckResult {
    match found {
        Ok(report) => {
            let value = json!(report);
            metrics::gauge!("gx_projection_differences").set(as_gauge(report.differences));
            if report.differences == 0 {
                return CheckResult::healthy().with_value(value);
            }
            for one in named {
                tracing::error!(
                    subject = %one.subject,
                    "read model differs from the chain: {one}; correct it with \
                     `gx projection rebuild`"
                );
            }
            let message = format!(
                "{} subjects differ from the chain; `gx projection verify` lists them",
                report.differences
            );
            CheckResult::unhealthy(message).with_value(value)
        }
        Err(error) => CheckResult::unknown(with_cause(error)),
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
