//! How far the read model is behind the ledger, as a check that is never critical (RDY-01).

use std::time::Duration;

use futures_util::future::BoxFuture;
use gx_model::Clock;
use serde_json::json;
use time::OffsetDateTime;

use crate::health::{HealthBoard, Verdict};

/// A limit above this hides a projector that has stood still for a day (RDY-03).
pub const LARGEST_SENSIBLE_THRESHOLD_MS: u64 = 86_400_000;

/// When the read model counts as too far behind.
#[derive(Clone, Debug, clap::Args)]
pub struct LagSettings {
    /// Milliseconds that a block may wait for the projector before health says degraded.
    #[arg(long, env = "PROJECTION_LAG_THRESHOLD_MS",
          default_value_t = LARGEST_SENSIBLE_THRESHOLD_MS, value_parser = threshold)]
    pub projection_lag_threshold_ms: u64,
    /// Seconds without word of the ledger's height after which the lag is unknown.
    #[arg(long, env = "GX_LEDGER_CONTACT_LIMIT_S", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(5..=3_600))]
    pub ledger_contact_limit_s: u64,
}

impl Default for LagSettings {
    fn default() -> Self {
        Self {
            projection_lag_threshold_ms: LARGEST_SENSIBLE_THRESHOLD_MS,
            ledger_contact_limit_s: 30,
        }
    }
}

impl LagSettings {
    /// Word of the ledger older than this counts as none.
    pub fn contact_limit(&self) -> Duration {
        Duration::from_secs(self.ledger_contact_limit_s)
    }
}

fn threshold(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!(
            "must be a whole number of milliseconds from 1 to {LARGEST_SENSIBLE_THRESHOLD_MS}"
        )),
        Ok(ms) => Ok(ms),
    }
}

/// What is known of the lag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LagReading {
    /// Both heights are known.
    Known {
        /// Blocks that the ledger has and the read model has not.
        blocks: u64,
        /// How long ago the oldest of them was first seen.
        age: Duration,
    },
    /// Nobody has had word of the ledger lately: why, and since when.
    Unknown(String),
}

/// Adds the check `projectionLag`, read from the database when somebody asks. Sets the
/// gauges `gx_projection_lag_ms`, `gx_projection_lag_blocks` and
/// `gx_projection_lag_threshold_too_high`.
pub fn watch<F>(board: &HealthBoard, settings: &LagSettings, clock: Clock, read: F)
where
    F: Fn(OffsetDateTime) -> BoxFuture<'static, Result<LagReading, sqlx::Error>>
        + Send
        + Sync
        + 'static,
{
    let threshold_ms = settings.projection_lag_threshold_ms;
    let too_high = threshold_ms > LARGEST_SENSIBLE_THRESHOLD_MS;
    if too_high {
        tracing::warn!(
            threshold_ms,
            "PROJECTION_LAG_THRESHOLD_MS is above 24 h and hides a projector that stands still"
        );
    }
    let service = board.service();
    metrics::gauge!("gx_projection_lag_threshold_too_high", "service" => service)
        .set(f64::from(u8::from(too_high)));
    board.probe("projectionLag", false, move || {
        let reading = read(clock.now());
        Box::pin(async move { verdict(service, threshold_ms, reading.await) })
    });
}

fn verdict(
    service: &'static str,
    threshold_ms: u64,
    reading: Result<LagReading, sqlx::Error>,
) -> Verdict {
    let (blocks, age) = match reading {
        Ok(LagReading::Known { blocks, age }) => (blocks, age),
        Ok(LagReading::Unknown(reason)) => return unknown(service, reason),
        Err(error) => return unknown(service, format!("the lag cannot be read: {error}")),
    };
    let lag_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    gauge("gx_projection_lag_ms", service, lag_ms);
    gauge("gx_projection_lag_blocks", service, blocks);
    let value = json!({ "lagMs": lag_ms, "threshold": threshold_ms, "lagBlocks": blocks });
    let verdict = if lag_ms > threshold_ms {
        Verdict::unhealthy("Projection lag exceeds threshold")
    } else if threshold_ms > LARGEST_SENSIBLE_THRESHOLD_MS {
        Verdict::healthy().with_message("PROJECTION_LAG_THRESHOLD_MS is above 24 h")
    } else {
        Verdict::healthy()
    };
    verdict.with_value(value)
}

/// An unknown lag is no number: an alert on a stale one would sleep.
fn unknown(service: &'static str, reason: String) -> Verdict {
    for name in ["gx_projection_lag_ms", "gx_projection_lag_blocks"] {
        metrics::gauge!(name, "service" => service).set(f64::NAN);
    }
    Verdict::unknown(reason).with_value(json!({ "ledger": "unavailable" }))
}

/// Gauges are doubles; a lag beyond 2^53 would be one of 285 000 years.
#[allow(clippy::cast_precision_loss, reason = "see above")]
fn gauge(name: &'static str, service: &'static str, value: u64) {
    metrics::gauge!(name, "service" => service).set(value as f64);
}
