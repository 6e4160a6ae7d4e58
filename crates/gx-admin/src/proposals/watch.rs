//! Counts what waits for administrators, and closes proposals whose time is over. Called by the
//! health report of svc-admin.

use std::sync::Mutex;

use gx_serve::CheckResult;
use gx_serve::problem::ErrorChain;
use gx_serve::telemetry::as_gauge;
use serde_json::json;
use time::OffsetDateTime;

use super::{expire, store};
use crate::ServiceState;
use crate::review_queue;

/// Limit of the proposals that one count closes.
const MAX_EXPIRED: i64 = 100;
/// Time between two counts: reports are asked for more often.
const COUNT_INTERVAL: time::Duration = time::Duration::seconds(15);

/// The check `review` of one process. It is healthy while the numbers can be read, because late
/// reviews do not keep the service from serving. Sets the gauges `gx_review_waiting_people`,
/// `gx_review_late_people` and `gx_proposals_open`.
pub(crate) struct ReviewWatch {
    state: ServiceState,
    /// The last count and its time.
    last: Mutex<Option<(OffsetDateTime, CheckResult)>>,
}

impl ReviewWatch {
    /// Creates the check, which has counted nothing yet.
    pub(crate) fn new(state: ServiceState) -> Self {
        Self { state, last: Mutex::new(None) }
    }

    /// Returns the result, counted again if the last count is old.
    pub(crate) async fn check(&self) -> CheckResult {
        let now = self.state.base.clock.now();
        let last = self.last.lock().expect("no holder of this lock can panic").clone();
        if let Some((_, result)) = last.filter(|(at, _)| (now - *at).abs() < COUNT_INTERVAL) {
            return result;
        }
        if !self.state.base.database.health().is_ok() {
            return unknown("no database is usable".to_owned());
        }
        match numbers(&self.state).await {
            Ok(result) => {
                let mut last = self.last.lock().expect("no holder of this lock can panic");
                *last = Some((now, result.clone()));
                result
            }
            Err(error) => unknown(format!("the queue cannot be read: {}", ErrorChain(&error))),
        }
    }
}

async fn numbers(state: &ServiceState) -> Result<CheckResult, sqlx::Error> {
    let base = &state.base;
    let mut tx = base.database.pool().begin().await?;
    for proposal in store::lock_expired(&mut tx, MAX_EXPIRED).await? {
        expire(state, &mut tx, &proposal).await?;
    }
    tx.commit().await?;
    let mut conn = base.database.pool().acquire().await?;
    let due = base.clock.now() - state.review.review_target;
    let people = review_queue::count(&mut conn, due).await?;
    let open = store::count_open(&mut conn).await?;
    metrics::gauge!("gx_review_waiting_people").set(as_gauge(people.waiting));
    metrics::gauge!("gx_review_late_people").set(as_gauge(people.late));
    metrics::gauge!("gx_proposals_open").set(as_gauge(open));
    let value = json!({ "waiting": people.waiting, "late": people.late, "openProposals": open });
    Ok(CheckResult::healthy().with_value(value))
}

/// Sets the gauges to NaN, because an alert on an outdated number would stay silent.
fn unknown(reason: String) -> CheckResult {
    for name in ["gx_review_waiting_people", "gx_review_late_people", "gx_proposals_open"] {
        metrics::gauge!(name).set(f64::NAN);
    }
    CheckResult::unknown(reason)
}
