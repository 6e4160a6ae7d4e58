//! The lag of the read model behind the ledger, as a check that is never critical (RDY-01). Each
//! service adds it when its board is created; if the lag cannot be read, the check is unknown.

use std::time::Duration;

use futures_util::future::BoxFuture;
use gx_model::Clock;
use serde_json::json;
use time::OffsetDateTime;

use crate::health::{CheckResult, HealthBoard};
use crate::telemetry::as_gauge;

/// A limit above this one hides a projector that has stopped for a day (RDY-03).
pub const MAX_SENSIBLE_THRESHOLD_MS: u64 = 86_400_000;

/// Limits above which the read model counts as too far behind.
#[derive(Clone, Debug, clap::Args)]
pub struct LagSettings {
    /// Milliseconds that a block may wait for the projector before health says degraded.
    #[arg(long, env = "PROJECTION_LAG_THRESHOLD_MS",
          default_value_t = MAX_SENSIBLE_THRESHOLD_MS, value_parser = threshold)]
    pub projection_lag_threshold_ms: u64,
    /// Seconds without a contact with the ledger after which the lag is unknown.
    #[arg(long, env = "GX_LEDGER_CONTACT_LIMIT_S", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(5..=3_600))]
    pub ledger_contact_limit_s: u64,
}

impl Default for LagSettings {
    fn default() -> Self {
        Self { projection_lag_threshold_ms: MAX_SENSIBLE_THRESHOLD_MS, ledger_contact_limit_s: 30 }
    }
}

impl LagSettings {
    /// Returns the age above which the last contact with the ledger is ignored.
    pub fn contact_limit(&self) -> Duration {
        Duration::from_secs(self.ledger_contact_limit_s)
    }
}

fn threshold(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!(
            "must be a whole number of milliseconds from 1 to {MAX_SENSIBLE_THRESHOLD_MS}"
        )),
        Ok(ms) => Ok(ms),
    }
}

/// The lag, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LagReading {
    /// Both heights are known.
    Known {
        /// Number of blocks that the read model lacks.
        blocks: u64,
        /// Time since the oldest of these blocks was first seen.
        age: Duration,
    },
    /// No recent contact with the ledger: the reason, and since when.
    Unknown(String),
}

/// Adds the check `projectionLag`, which calls `read` for each report. Sets the gauges
/// `gx_projection_lag_ms`, `gx_projection_lag_blocks` and `gx_projection_lag_threshold_too_high`.
pub fn watch<F>(board: &HealthBoard, settings: &LagSettings, clock: Clock, read: F)
where
    F: Fn(OffsetDateTime) -> BoxFuture<'static, Result<LagReading, sqlx::Error>>
        + Send
        + Sync
        + 'static,
{
    let threshold_ms = settings.projection_lag_threshold_ms;
    let too_high = threshold_ms > MAX_SENSIBLE_THRESHOLD_MS;
    if too_high {
        tracing::warn!(
            threshold_ms,
            "PROJECTION_LAG_THRESHOLD_MS is above 24 h and hides \
             a projector that has stopped"
        );
    }
    let service = board.service();
    metrics::gauge!("gx_projection_lag_threshold_too_high", "service" => service)
        .set(f64::from(u8::from(too_high)));
    board.check_with("projectionLag", false, move || {
        let reading = read(clock.now());
        Box::pin(async move { check_result(service, threshold_ms, reading.await) })
    });
}

fn check_result(
    service: &'static str,
    threshold_ms: u64,
    reading: Result<LagReading, sqlx::Error>,
) -> CheckResult {
    let (blocks, age) = match reading {
        Ok(LagReading::Known { blocks, age }) => (blocks, age),
        Ok(LagReading::Unknown(reason)) => return unknown(service, reason),
        Err(error) => return unknown(service, format!("the lag cannot be read: {error}")),
    };
    let lag_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    metrics::gauge!("gx_projection_lag_ms", "service" => service).set(as_gauge(lag_ms));
    metrics::gauge!("gx_projection_lag_blocks", "service" => service).set(as_gauge(blocks));
    let value = json!({ "lagMs": lag_ms, "threshold": threshold_ms, "lagBlocks": blocks });
    let result = if lag_ms > threshold_ms {
        CheckResult::unhealthy("Projection lag exceeds threshold")
    } else if threshold_ms > MAX_SENSIBLE_THRESHOLD_MS {
        CheckResult::healthy().with_message("PROJECTION_LAG_THRESHOLD_MS is above 24 h")
    } else {
        CheckResult::healthy()
    };
    result.with_value(value)
}

/// Sets the gauges to NaN, because an alert on an outdated number would stay silent.
fn unknown(service: &'static str, reason: String) -> CheckResult {
    for name in ["gx_projection_lag_ms", "gx_projection_lag_blocks"] {
        metrics::gauge!(name, "service" => service).set(f64::NAN);
    }
    CheckResult::unknown(reason).with_value(json!({ "ledger": "unavailable" }))
}
