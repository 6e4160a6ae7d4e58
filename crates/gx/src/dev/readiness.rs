//! Waits until the development stack is ready. Called by `stack` after all parts were started; if
//! they are not ready in time, the start fails and the error names the parts.

use std::time::Duration;

use gx_db::Database;
use gx_serve::HealthBoard;
use gx_serve::health::Readiness;
use tokio::time::Instant;

use super::store;
use crate::CliError;

/// Longest wait until all parts are ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for degraded parts to become ready.
const DEGRADED_GRACE: Duration = Duration::from_secs(2);
/// Pause between two looks at the health checks.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until no part is unready and the read model has the supply and the countries, and then up
/// to [`DEGRADED_GRACE`] for degraded parts. Returns the parts that are still degraded: they are no
/// error, because one dead command must not stop the stack.
pub(super) async fn wait_until_ready(
    boards: &[HealthBoard],
    database: &Database,
) -> Result<Vec<String>, CliError> {
    let mut serving_since = None;
    let serving = async {
        loop {
            let (unready, degraded) = unready_and_degraded(boards).await;
            if unready.is_empty() && store::is_ledger_ready(database.pool()).await? {
                let since = *serving_since.get_or_insert_with(Instant::now);
                if degraded.is_empty() || since.elapsed() > DEGRADED_GRACE {
                    return Ok(degraded);
                }
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    match tokio::time::timeout(READY_TIMEOUT, serving).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let (mut unready, _) = unready_and_degraded(boards).await;
            if unready.is_empty() {
                unready.push("the ledger's supply and countries".to_owned());
            }
            let (what, limit) = (unready.join(", "), READY_TIMEOUT.as_secs());
            Err(CliError::message(format!(
                "the stack is not ready after {limit} s: {what}; start again with `--log info`"
            )))
        }
    }
}

/// Returns the parts that are not ready and the parts that are degraded, with their failed checks.
async fn unready_and_degraded(boards: &[HealthBoard]) -> (Vec<String>, Vec<String>) {
    let (mut unready, mut degraded) = (Vec::new(), Vec::new());
    for board in boards {
        let report = board.report().await;
        let unhealthy = report.checks.iter().filter(|(_, check)| check["status"] != "healthy");
        let checks: Vec<_> = unhealthy.map(|(name, check)| format!("{name} {check}")).collect();
        let state = format!("{} ({})", report.service, checks.join(", "));
        match report.status {
            Readiness::Ready => {}
            Readiness::Degraded => degraded.push(state),
            Readiness::NotReady => unready.push(state),
        }
    }
    (unready, degraded)
}
