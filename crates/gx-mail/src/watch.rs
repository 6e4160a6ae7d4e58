//! The health check `mail` and the gauges of the queue. The sender reports each step.

use std::time::Duration;

use gx_db::PgPool;
use gx_model::Clock;
use gx_serve::telemetry::as_gauge;
use gx_serve::{CheckHandle, CheckResult, HealthBoard};
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::parts::StepReport;
use crate::queue::store::{self, QueueStats};
use crate::transport::ADDRESS;

/// How often the queue is counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);
/// Rows that are counted at most.
const COUNT_LIMIT: i64 = 100_000;
/// Age of a waiting mail from which the check fails.
const MAX_AGE: Duration = Duration::from_secs(900);
/// How long a mail that was given up is shown by the check.
const FAILED_SHOWN_FOR: Duration = Duration::from_hours(24);
/// Refusals of mailboxes in a day from which the check fails if they are more than half of all
/// deliveries. A relay that refuses GX itself answers so, too.
const MIN_REFUSED: i64 = 20;
/// Answers of a server about the receiver's mailbox. Anybody can cause them, by giving an address
/// that does not exist, so that some of them are counted and do not fail the check.
const OF_THE_MAILBOX: [&str; 6] =
    [ADDRESS, "SMTP 550", "SMTP 551", "SMTP 552", "SMTP 553", "SMTP 556"];

/// Reports on the queue.
pub(crate) struct Watch {
    check: CheckHandle,
    pool: PgPool,
    clock: Clock,
    count_at: Option<Instant>,
    outage: Option<String>,
}

impl Watch {
    pub(crate) fn new(board: &HealthBoard, pool: PgPool, clock: Clock) -> Self {
        let check = board.check("mail", false);
        check.healthy();
        Self { check, pool, clock, count_at: None, outage: None }
    }

    pub(crate) fn database_failed(&self, error: &sqlx::Error) {
        self.check.unknown(error.to_string());
    }

    /// Reports a step, and counts the queue from time to time or if an outage begins or ends.
    pub(crate) async fn report(&mut self, step: &StepReport) {
        // A step that found nothing due says nothing about the server.
        let has_changed = if step.outage.is_some() || step.taken > 0 {
            let before = std::mem::replace(&mut self.outage, step.outage.clone());
            before != self.outage
        } else {
            false
        };
        let now = Instant::now();
        if !has_changed && self.count_at.is_some_and(|at| now < at) {
            return;
        }
        self.count_at = Some(now + COUNT_INTERVAL);
        match self.count().await {
            Ok((stats, is_refusing)) => self.check.set(self.result(&stats, is_refusing)),
            Err(error) => self.database_failed(&error),
        }
    }

    /// Counts the queue. The flag is set if most mails of the last day were refused.
    async fn count(&self) -> Result<(QueueStats, bool), sqlx::Error> {
        let now = self.clock.now();
        let refused: Vec<String> = OF_THE_MAILBOX.iter().map(|&text| text.to_owned()).collect();
        let mut conn = self.pool.acquire().await?;
        let since = now - FAILED_SHOWN_FOR;
        let stats = store::stats(&mut conn, since, &refused, COUNT_LIMIT).await?;
        metrics::gauge!("gx_mail_waiting").set(as_gauge(stats.waiting));
        metrics::gauge!("gx_mail_failed").set(as_gauge(stats.failed));
        metrics::gauge!("gx_mail_oldest_waiting_age_seconds").set(self.age(stats.oldest));
        let mailboxes = stats.failed - stats.failed_otherwise;
        let is_refusing = mailboxes >= MIN_REFUSED
            && store::count_sent(&mut conn, since, mailboxes).await? < mailboxes;
        Ok((stats, is_refusing))
    }

    fn age(&self, since: Option<OffsetDateTime>) -> f64 {
        since.map_or(0.0, |since| (self.clock.now() - since).as_seconds_f64().max(0.0))
    }

    fn result(&self, stats: &QueueStats, is_refusing: bool) -> CheckResult {
        let QueueStats { waiting, failed, failed_otherwise, oldest } = stats;
        let value = json!({ "waiting": waiting, "failed": failed });
        let is_old = oldest.is_some_and(|oldest| self.clock.now() - oldest > MAX_AGE);
        let result = match &self.outage {
            Some(why) if *waiting > 0 => {
                CheckResult::unhealthy(format!("mails cannot be delivered: {why}"))
            }
            Some(why) => CheckResult::healthy().with_message(why.as_str()),
            None if *failed_otherwise > 0 => CheckResult::unhealthy(format!(
                "{failed_otherwise} mails were given up in the last day; see `gx mail list`"
            )),
            None if is_refusing => CheckResult::unhealthy(
                "most mails of the last day were refused; see `gx mail list`",
            ),
            None if is_old => CheckResult::unhealthy("a mail waits for more than 15 minutes"),
            None => CheckResult::healthy(),
        };
        result.with_value(value)
    }
}

#[cfg(test)]
mod tests {
    use gx_db::testing::TestDatabase;

    use super::*;

    async fn add(database: &TestDatabase, name: &str, state: &str, failure: Option<&str>) {
        sqlx::query(
            r#"INSERT INTO "QueuedMail" ("mailId", kind, "contentKeyVersion", state, "lastFailure",
                   "nextAttemptAt", "expiresAt", "createdAt", "settledAt")
               SELECT $1::text || n, 'NEW_DEVICE', 1, $2, $3, $4, $4, $4, $4
               FROM generate_series(1, 20) n"#,
        )
        .bind(name)
        .bind(state)
        .bind(failure)
        .bind(OffsetDateTime::UNIX_EPOCH)
        .execute(database.pool())
        .await
        .unwrap();
    }

    /// Refused mailboxes are counted only, unless they are most of the day's mails.
    #[tokio::test]
    async fn a_relay_that_refuses_most_mails_fails_the_check() {
        let database = TestDatabase::create().await;
        let clock = Clock::manual(OffsetDateTime::UNIX_EPOCH);
        let board = HealthBoard::new("test", clock.clone());
        let watch = Watch::new(&board, database.pool().clone(), clock);
        add(&database, "sent", "SENT", None).await;
        add(&database, "refused", "FAILED", Some("SMTP 550")).await;
        let (stats, is_refusing) = watch.count().await.unwrap();
        assert_eq!((stats.failed, stats.failed_otherwise, is_refusing), (20, 0, false));
        add(&database, "again", "FAILED", Some("SMTP 553")).await;
        let (stats, is_refusing) = watch.count().await.unwrap();
        assert!(is_refusing);
        assert_ne!(
            watch.result(&stats, is_refusing).status(),
            watch.result(&stats, false).status()
        );
    }
}
