//! Finds what a death in between left: files without a row, and files that wait for the scanner.
//! Called by the housekeeping of a service; several replicas may do it at once.

use std::time::Duration;

use gx_db::PgPool;
use time::OffsetDateTime;

use crate::removal::{self, SweepError};
use crate::repository::{Document, store};
use crate::scan::{ScanError, Scanner, Verdict};

use super::Documents;

/// Time after which an upload that was not added is given up. It is far longer than an upload may
/// take.
pub const UPLOAD_LIFE: Duration = Duration::from_mins(30);
/// Limit of the uploads that one step gives up.
const MAX_GIVEN_UP: i64 = 100;
/// Limit of the documents that are read at once.
const MAX_SCANS: i64 = 20;

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Files without a row that were removed.
    pub removed: u64,
    /// Documents that the scanner found clean.
    pub cleared: u64,
    /// Documents that the scanner found infected.
    pub infected: u64,
    /// Documents that were tried and still wait for the scanner.
    pub held: u64,
}

impl Documents {
    /// Does one step: removes files without a row and scans documents that are held.
    ///
    /// # Errors
    /// [`SweepError`] if a statement fails or a file cannot be removed.
    pub async fn sweep(&self, pool: &PgPool) -> Result<SweepReport, SweepError> {
        let now = self.clock.now();
        let mut report = SweepReport::default();
        let until = now - UPLOAD_LIFE;
        store::objects::give_up_uploads(&mut *pool.acquire().await?, until, MAX_GIVEN_UP, now)
            .await?;
        let removed = removal::remove_waiting(&self.store, pool, now).await;
        self.scan_held(pool, &mut report).await?;
        report.removed = removed?;
        Ok(report)
    }

    /// Scans documents that are held, until all were tried or the scanner is away.
    async fn scan_held(&self, pool: &PgPool, report: &mut SweepReport) -> Result<(), SweepError> {
        let Some(scanner) = &self.scanner else { return Ok(()) };
        let mut after = (OffsetDateTime::UNIX_EPOCH, String::new());
        loop {
            let mut conn = pool.acquire().await?;
            let held = store::quarantined(&mut conn, (after.0, &after.1), MAX_SCANS).await?;
            drop(conn);
            let Some(last) = held.last() else { return Ok(()) };
            after = (last.uploaded_at, last.document_id.clone());
            for document in &held {
                if !self.scan_one(pool, scanner, document, report).await? {
                    return Ok(());
                }
            }
        }
    }

    /// Scans a document that is held. Returns `false` if the scanner is away.
    async fn scan_one(
        &self,
        pool: &PgPool,
        scanner: &Scanner,
        document: &Document,
        report: &mut SweepReport,
    ) -> Result<bool, SweepError> {
        let verdict = match self.content(document).await {
            Ok(content) => scanner.scan(content).await,
            Err(error) => Err(ScanError::Content(error.into())),
        };
        let is_infected = match verdict {
            Ok(Verdict::Clean) => false,
            Ok(Verdict::Infected { .. }) => true,
            Err(error) => {
                report.held += 1;
                log_held(document, &error);
                return Ok(matches!(error, ScanError::Content(_) | ScanError::Refused(_)));
            }
        };
        let (id, now) = (&document.document_id, self.clock.now());
        if store::set_verdict(&mut *pool.acquire().await?, id, is_infected, now).await? {
            report.cleared += u64::from(!is_infected);
            report.infected += u64::from(is_infected);
        }
        Ok(true)
    }
}

fn log_held(document: &Document, error: &ScanError) {
    tracing::warn!(
        document = %document.document_id,
        error = %gx_serve::problem::ErrorChain(error),
        "a document is still held because it was not scanned"
    );
}

/// Gives up an upload and removes its file, unless its document was added.
pub(super) async fn give_up(
    documents: &Documents,
    pool: &PgPool,
    storage_key: &str,
) -> Result<(), SweepError> {
    let now = documents.clock.now();
    let is_given_up = {
        let mut conn = pool.acquire().await?;
        store::objects::give_up_upload(&mut conn, storage_key, now).await?
    };
    if is_given_up {
        removal::remove(&documents.store, pool, storage_key).await?;
    }
    Ok(())
}
