//! What documents need from time to time, in each process of svc-identity: files without a row are
//! removed, held documents are scanned, and people whose time is over are erased.

use std::time::Duration;

use gx_db::PgPool;
use gx_serve::problem::ErrorChain;
use gx_serve::telemetry::as_gauge;
use gx_serve::worker_loop::{self, FailureLog, Pause, Worker};
use gx_serve::{CancellationToken, CheckHandle, CheckResult, HealthBoard, Heart};
use serde_json::json;

use crate::documents::{Documents, SweepReport};
use crate::erasure::{DocumentRetentionSettings, ErasureError, RetentionStep};
use crate::removal::SweepError;
use crate::repository;

/// Pause between two steps.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// Time after which a loop that does not turn counts as stuck. A step may scan many documents.
const HEART_DEADLINE: Duration = Duration::from_hours(1);
/// Limit of the held documents that are counted.
const COUNT_LIMIT: i64 = 100_000;

/// Why a step ended early.
#[derive(Debug, thiserror::Error)]
pub enum HousekeepingError {
    /// A person cannot be erased.
    #[error("people whose time is over cannot be erased; check the cause")]
    Erasure(#[from] ErasureError),
    /// Files cannot be removed, or held documents not be scanned.
    #[error("the document store cannot be swept; check the cause")]
    Sweep(#[from] SweepError),
    /// A statement failed.
    #[error("held documents cannot be counted; check the database and its log")]
    Database(#[from] sqlx::Error),
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HousekeepingReport {
    /// Files that were removed and documents that were scanned.
    pub sweep: SweepReport,
    /// People who were erased.
    pub erased: RetentionStep,
    /// Documents that wait for the scanner now, counted up to 100 000.
    pub held: i64,
}

/// Keeps house for the documents of a deployment.
pub struct Housekeeper {
    documents: Documents,
    pool: PgPool,
    retention: DocumentRetentionSettings,
}

impl Housekeeper {
    /// Creates a housekeeper.
    pub fn new(documents: Documents, pool: PgPool, retention: DocumentRetentionSettings) -> Self {
        Self { documents, pool, retention }
    }

    /// Does one step. A part that fails holds back no other.
    ///
    /// # Errors
    /// [`HousekeepingError`] if a part failed; the next step repeats it.
    pub async fn step(&self) -> Result<HousekeepingReport, HousekeepingError> {
        let eraser = self.documents.eraser();
        let erased = eraser.erase_due(&self.pool, self.retention.kept_for()).await;
        let sweep = self.documents.sweep(&self.pool).await;
        let mut conn = self.pool.acquire().await?;
        let held = repository::store::count_quarantined(&mut conn, COUNT_LIMIT).await?;
        metrics::gauge!("gx_documents_held").set(as_gauge(held));
        Ok(HousekeepingReport { sweep: sweep?, erased: erased?, held })
    }

    /// Repeats steps until `shutdown`, through outages of database, stores and scanner. The board
    /// gets the checks `documents` and `scanner`.
    pub async fn run(self, shutdown: CancellationToken, board: HealthBoard) {
        let heart = board.heart("documents", HEART_DEADLINE);
        let (documents, scanner) = (board.check("documents", false), board.check("scanner", false));
        let (steps, outages) = (FailureLog::default(), FailureLog::default());
        let mut keeping =
            HousekeepingLoop { keeper: self, heart, documents, scanner, steps, outages, held: 0 };
        match worker_loop::run(&mut keeping, &shutdown).await {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }
}

/// The housekeeper with what its loop needs.
struct HousekeepingLoop {
    keeper: Housekeeper,
    heart: Heart,
    /// The check `documents`.
    documents: CheckHandle,
    /// The check `scanner`.
    scanner: CheckHandle,
    /// Failures of steps.
    steps: FailureLog,
    /// Outages of the scanner.
    outages: FailureLog,
    /// Documents that waited for the scanner after the last step that succeeded.
    held: i64,
}

impl HousekeepingLoop {
    /// Asks the scanner whether it is there, and reports the answer (RDY-08).
    async fn probe_scanner(&mut self) {
        let held = json!({ "held": self.held });
        let Some(scanner) = self.keeper.documents.scanner() else {
            let message = "GX_SCANNER is not set; documents are not scanned";
            self.scanner.set(CheckResult::healthy().with_message(message).with_value(held));
            return;
        };
        match scanner.ping().await {
            Ok(()) => {
                self.outages.succeeded("the malware scanner");
                self.scanner.set(CheckResult::healthy().with_value(held));
            }
            Err(error) => {
                let error = ErrorChain(&error).to_string();
                if self.outages.is_new(&error) {
                    tracing::error!(
                        error,
                        "uploads are held until they can be scanned; check GX_SCANNER and clamd"
                    );
                }
                let message = format!("uploads are held until they can be scanned: {error}");
                self.scanner.set(CheckResult::unhealthy(message).with_value(held));
            }
        }
    }
}

impl Worker for HousekeepingLoop {
    type Halt = std::convert::Infallible;

    fn beat(&self) {
        self.heart.beat();
    }

    async fn step(&mut self) -> Result<Pause, Self::Halt> {
        self.probe_scanner().await;
        Ok(match self.keeper.step().await {
            Ok(report) => {
                self.steps.succeeded("the housekeeping of documents");
                self.documents.healthy();
                if report.held != self.held {
                    self.held = report.held;
                    self.probe_scanner().await;
                }
                let pause = if report.erased.is_over { SWEEP_INTERVAL } else { Duration::ZERO };
                Pause::For(pause)
            }
            Err(error) => {
                let error = ErrorChain(&error).to_string();
                if self.steps.is_new(&error) {
                    tracing::warn!(
                        error,
                        "the housekeeping of documents failed; trying again in 10 s"
                    );
                }
                self.documents.set(CheckResult::unhealthy(error));
                Pause::For(SWEEP_INTERVAL)
            }
        })
    }

    async fn release(&mut self) {}
}
