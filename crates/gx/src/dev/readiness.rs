//! When the development stack counts as ready.

use std::time::Duration;

use gx_db::Database;
use gx_serve::HealthBoard;
use gx_serve::health::Readiness;
use tokio::time::Instant;

use super::store;
use crate::Failure;

/// Longest time in which everything must be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long parts that serve may take to find everything well.
const DEGRADED_GRACE: Duration = Duration::from_secs(2);
/// How often readiness is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until every part serves and the ledger has its supply and its countries, and a
/// moment longer for all to be well. What is degraded even so is told and keeps nobody
/// waiting: a dead command must not look like a broken stack.
pub(super) async fn all_serve(
    boards: &[HealthBoard],
    database: &Database,
) -> Result<Vec<String>, Failure> {
    let mut serving_since = None;
    let serving = async {
        loop {
            let (unready, degraded) = states(boards).await;
            if unready.is_empty() && store::ledger_is_alive(database.pool()).await? {
                let since = *serving_since.get_or_insert_with(Instant::now);
                if degraded.is_empty() || since.elapsed() > DEGRADED_GRACE {
                    return Ok(degraded);
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    match tokio::time::timeout(READY_WITHIN, serving).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let (mut unready, _) = states(boards).await;
            if unready.is_empty() {
                unready.push("the ledger's supply and countries".to_owned());
            }
            let (what, limit) = (unready.join(", "), READY_WITHIN.as_secs());
            Err(Failure::say(format!("not ready within {limit} s: {what}")))
        }
    }
}

/// The parts that do not serve, and those that serve and are not well, with their checks.
async fn states(boards: &[HealthBoard]) -> (Vec<String>, Vec<String>) {
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
