//! The signs of a fault in `/health` and `/metrics` of the workers.

use std::time::{Duration, Instant};

use gx_testkit::eventually;
use serde_json::Value;

use super::world::World;
use super::{Fault, Network};
use crate::role::Role;
use crate::stack::get;

/// The sign of a fault.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sign {
    /// A check of the worker is not healthy and has this message, and its gauge is below 1.
    Check { of: Worker, check: &'static str, says: &'static str },
    /// A check of the worker has this value, and a counter is above 0.
    Trace { of: Worker, check: &'static str, holds: &'static str, counter: &'static str },
}

/// A worker.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Worker {
    Submitter,
    Projector,
}

impl Fault {
    /// Returns the sign of a fault.
    pub(crate) fn sign(self) -> Sign {
        let submission = |says| Sign::Check { of: Worker::Submitter, check: "submission", says };
        match self {
            Self::ConnectionsReset | Self::StreamsEnded => Sign::Trace {
                of: Worker::Projector,
                check: "projection",
                holds: "/value/stream/reconnects",
                counter: "gx_block_stream_reconnects_total",
            },
            Self::OwnPeerDown => Sign::Check { of: Worker::Submitter, check: "ledger", says: "" },
            Self::BlackHole => Sign::Check { of: Worker::Projector, check: "ledger", says: "" },
            Self::OtherPeerDown => submission("Org2MSP"),
            Self::TooManyRequests => submission("too many requests"),
            Self::OrdererDown => submission("no orderers could"),
            Self::OrdererSilent => submission("submit failed (unknown)"),
            Self::ChaincodeDown => submission("chaincode"),
        }
    }
}

impl<N: Network> World<N> {
    fn role(&self, worker: Worker) -> &Role {
        match worker {
            Worker::Submitter => &self.submitter,
            Worker::Projector => &self.projector,
        }
    }

    /// Waits until `/health` and `/metrics` show the sign, and returns how long that took.
    pub(crate) async fn wait_for_sign(&self, sign: Sign) -> Duration {
        let since = Instant::now();
        eventually(&format!("{sign:?}"), N::PROMPT, async || self.find_sign(sign).await).await;
        since.elapsed()
    }

    async fn find_sign(&self, sign: Sign) -> Option<()> {
        match sign {
            Sign::Check { of, check, says } => {
                let found = self.check(of, check).await;
                let gauge = format!(r#"check="{check}""#);
                let gauge = self.metric(of, "gx_health_check", &gauge).await;
                let message = found["message"].as_str().unwrap_or_default();
                let shown = found["status"] != "healthy" && message.contains(says);
                (shown && gauge.is_some_and(|value| value < 1.0)).then_some(())
            }
            Sign::Trace { of, check, holds, counter } => {
                let found = self.check(of, check).await;
                let held = found.pointer(holds).is_some_and(|held| !held.is_null() && *held != 0);
                let counted = self.metric(of, counter, "").await;
                (held && counted.is_some_and(|count| count > 0.0)).then_some(())
            }
        }
    }

    /// Waits until both workers are ready, and returns how long that took.
    pub(crate) async fn wait_until_ready(&self) -> Duration {
        let since = Instant::now();
        for role in [&self.submitter, &self.projector] {
            let what = format!("{} is ready", role.name);
            eventually(&what, N::PROMPT, async || {
                let health = get(role.address, "/health").await;
                (health.json["status"] == "ready").then_some(())
            })
            .await;
        }
        since.elapsed()
    }

    /// Returns one check of a worker's `/health`.
    pub(crate) async fn check(&self, of: Worker, check: &str) -> Value {
        get(self.role(of).address, "/health").await.json["checks"][check].clone()
    }

    /// Returns the sum of a metric's samples with a label.
    pub(crate) async fn metric(&self, of: Worker, name: &str, label: &str) -> Option<f64> {
        let text = get(self.role(of).address, "/metrics").await.text;
        let samples = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && line.contains(label)
        });
        let value = |line: &str| line.rsplit_once(' ')?.1.parse::<f64>().ok();
        let values: Vec<f64> = samples.filter_map(value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}
