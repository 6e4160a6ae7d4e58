//! The loop that sends mails, in each process of svc-identity.
//!
//! | Hazard | Handled in |
//! |---|---|
//! | two processes take one mail | `queue::store::claim`: rows that are locked are passed over, and a lease |
//! | a process dies with a mail | the lease ends, and the mail is taken again; only if the server had it already it comes twice |
//! | a process that was frozen settles late | `claims` in each settling statement |
//! | a mail of another release or key ring is among others | `delivery`: it alone waits, longer each time |
//! | the mail server is away | mails are not charged, and the wait between two looks grows to a minute |

use std::time::Duration;

use futures_util::future::join_all;
use gx_serve::problem::ErrorChain;
use gx_serve::worker_loop::{self, FailureLog, Pause, Worker};
use gx_serve::{CancellationToken, HealthBoard, Heart};

use crate::delivery::{DeliveryOutcome, deliver, expire};
use crate::parts::{SenderParts, StepReport};
use crate::queue::store;
use crate::settings::{MailSettings, MailSettingsError};
use crate::transport::SMTP_WAITS;
use crate::watch::Watch;

/// How long a process has the mails that it has taken. Longer than the longest delivery
/// ([`LONGEST_DELIVERY`]), with time for the database.
const LEASE: Duration = LONGEST_DELIVERY.saturating_add(Duration::from_secs(240));
/// The longest delivery: all waits for the server, each of [`MAX_TIMEOUT`].
const LONGEST_DELIVERY: Duration = MAX_TIMEOUT.saturating_mul(SMTP_WAITS);
/// Longest wait for an answer of the server that is used, whatever the setting says.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two looks at an empty queue.
const POLL: Duration = Duration::from_millis(500);
/// Pause after a failure of the database.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause while the mail server is away.
const MAX_OUTAGE_PAUSE: Duration = Duration::from_secs(60);
/// How long a step may go on after shutdown was requested. No mail is taken then, and those in
/// flight are waited for: a mail whose answer is not read is sent twice.
const STOP_GRACE: Duration = LEASE;
/// Time after which a loop that does not turn counts as stuck.
const HEART_DEADLINE: Duration = Duration::from_secs(900);

/// Sends the mails of the queue.
pub struct MailSender {
    parts: SenderParts,
    /// Mails that are taken and delivered at once.
    at_once: i64,
    /// Consecutive steps that ended with an outage.
    outages: u32,
}

impl MailSender {
    /// Creates a sender.
    ///
    /// # Errors
    /// [`MailSettingsError`] if the wait for the server is longer than a lease allows.
    pub fn new(parts: SenderParts, settings: &MailSettings) -> Result<Self, MailSettingsError> {
        if settings.smtp_timeout > MAX_TIMEOUT {
            return Err(MailSettingsError::Timeout(MAX_TIMEOUT.as_secs()));
        }
        Ok(Self { parts, at_once: settings.smtp_connections.into(), outages: 0 })
    }

    /// Takes mails that are due and delivers them at once.
    ///
    /// # Errors
    /// `sqlx::Error` if a statement fails. Mails that were taken are free when their lease ends.
    pub async fn step(&mut self) -> Result<StepReport, sqlx::Error> {
        let failed = expire(&self.parts).await?;
        if !self.parts.transport.is_set() {
            let outage = Some("GX_SMTP_URL is not set; mails wait".to_owned());
            return Ok(StepReport { failed, outage, ..StepReport::default() });
        }
        let now = self.parts.clock.now();
        let mut conn = self.parts.pool.acquire().await?;
        let rows = store::claim(&mut conn, now, now + LEASE, self.at_once).await?;
        drop(conn);
        let mut report = StepReport { taken: rows.len(), failed, ..StepReport::default() };
        let wait = outage_pause(self.outages + 1);
        let outcomes = join_all(rows.into_iter().map(|row| deliver(&self.parts, row, wait))).await;
        for outcome in outcomes {
            match outcome? {
                DeliveryOutcome::Sent => report.sent += 1,
                DeliveryOutcome::Failed => report.failed += 1,
                DeliveryOutcome::Unavailable(why) => report.outage = Some(why),
                DeliveryOutcome::Dropped
                | DeliveryOutcome::Later
                | DeliveryOutcome::Foreign
                | DeliveryOutcome::Lost => {}
            }
        }
        if report.outage.is_none() || report.sent > 0 {
            self.outages = 0;
        } else {
            self.outages = self.outages.saturating_add(1);
        }
        Ok(report)
    }

    /// Delivers until no mail is due, and returns the sum. For tests and commands.
    ///
    /// # Errors
    /// `sqlx::Error` if a statement fails.
    pub async fn drain(&mut self) -> Result<StepReport, sqlx::Error> {
        let mut sum = StepReport::default();
        loop {
            let step = self.step().await?;
            sum.taken += step.taken;
            sum.sent += step.sent;
            sum.failed += step.failed;
            sum.outage = step.outage.or(sum.outage);
            if step.taken == 0 {
                return Ok(sum);
            }
        }
    }

    /// Sends until `shutdown`, through outages of database and mail server. The board gets the
    /// check `mail`.
    pub async fn run(self, shutdown: CancellationToken, board: HealthBoard) {
        let heart = board.heart("mail", HEART_DEADLINE);
        let watch = Watch::new(&board, self.parts.pool.clone(), self.parts.clock.clone());
        let (steps, outages) = (FailureLog::default(), FailureLog::default());
        let mut worker = MailLoop { sender: self, heart, watch, steps, outages };
        match worker_loop::run(&mut worker, &shutdown).await {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }
}

/// The sender with what its loop needs.
struct MailLoop {
    sender: MailSender,
    heart: Heart,
    watch: Watch,
    /// Failures of the database.
    steps: FailureLog,
    /// Outages of the mail server.
    outages: FailureLog,
}

impl Worker for MailLoop {
    type Halt = std::convert::Infallible;
    const STOP_GRACE: Duration = STOP_GRACE;

    fn beat(&self) {
        self.heart.beat();
    }

    async fn step(&mut self) -> Result<Pause, Self::Halt> {
        let report = match self.sender.step().await {
            Ok(report) => report,
            Err(error) => {
                if self.steps.is_new(&ErrorChain(&error)) {
                    tracing::warn!(error = %ErrorChain(&error),
                        "the queue of mails cannot be read or written; trying again every second");
                }
                self.watch.database_failed(&error);
                return Ok(Pause::For(RETRY_PAUSE));
            }
        };
        self.steps.succeeded("reading the queue of mails");
        if let Some(error) = &report.outage {
            if self.outages.is_new(error) {
                tracing::warn!(error, "mails cannot be delivered: {error}");
            }
        } else if report.taken > 0 {
            self.outages.succeeded("the delivery of mails");
        }
        self.watch.report(&report).await;
        Ok(match &report {
            StepReport { outage: Some(_), .. } => Pause::For(outage_pause(self.sender.outages)),
            StepReport { taken: 0, .. } => Pause::For(POLL),
            _ => Pause::For(Duration::ZERO),
        })
    }

    async fn release(&mut self) {}
}

/// Returns the pause after this number of consecutive outages: a second, doubled up to a minute.
fn outage_pause(outages: u32) -> Duration {
    let doublings = outages.saturating_sub(1).min(6);
    Duration::from_secs(1 << doublings).min(MAX_OUTAGE_PAUSE)
}
