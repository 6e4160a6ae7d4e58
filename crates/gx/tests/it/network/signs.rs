//! What the workers say of themselves, in `/health` and `/metrics`.

use std::time::{Duration, Instant};

use gx_testkit::eventually;
use serde_json::Value;

use super::world::World;
use super::{Fault, Network};
use crate::role::Role;
use crate::stack::get;

/// A fault must be seen, and its end too, within this.
pub(crate) const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// Which worker says what of a fault.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sign {
    /// A check of the worker is not healthy, and says this; its gauge says so too.
    Check { of: Worker, check: &'static str, says: &'static str },
    /// A check of the worker holds this for later, and a counter has grown.
    Trace { of: Worker, check: &'static str, holds: &'static str, counter: &'static str },
}

/// A worker.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Worker {
    Submitter,
    Projector,
}

impl Fault {
    /// What is to be seen of it.
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

    /// Waits until both `/health` and `/metrics` show the sign; how long that took.
    pub(crate) async fn shows(&self, sign: Sign) -> Duration {
        let since = Instant::now();
        eventually(&format!("{sign:?}"), SEEN_WITHIN, async || self.look(sign).await).await;
        since.elapsed()
    }

    async fn look(&self, sign: Sign) -> Option<()> {
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

    /// Waits until both workers find everything well; how long that took.
    pub(crate) async fn is_well(&self) -> Duration {
        let since = Instant::now();
        for role in [&self.submitter, &self.projector] {
            let what = format!("{} is well", role.name);
            eventually(&what, SEEN_WITHIN, async || {
                let health = get(role.address, "/health").await;
                (health.json["status"] == "ready").then_some(())
            })
            .await;
        }
        since.elapsed()
    }

    /// One check of a worker's `/health`.
    pub(crate) async fn check(&self, of: Worker, check: &str) -> Value {
        get(self.role(of).address, "/health").await.json["checks"][check].clone()
    }

    /// The sum of a metric's samples that carry a label.
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
