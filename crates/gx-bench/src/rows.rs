//! Every row, and what measuring one means.

mod catch_up;
mod devnet;
mod enqueue;
mod latency;
mod network;
mod submitter;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::error::BenchError;
use crate::part::Usage;
use crate::postgres::Postgres;
use crate::server::Target as NetworkTarget;

/// All rows, in the order of the report.
pub(crate) const ROWS: &[Row] = &[
    devnet::COMMIT,
    devnet::EVALUATE,
    enqueue::ENQUEUE,
    latency::IDLE,
    latency::LIVE,
    submitter::THROUGHPUT,
    submitter::WHILE_ENQUEUING,
    submitter::OLD_SNAPSHOT,
    submitter::FINISHED,
    submitter::HOT_ACCOUNT,
    submitter::HOT_COUNTRY,
    catch_up::ACCOUNTS,
    catch_up::EVERYTHING,
    network::THROUGHPUT,
];

/// Repetitions that count, unless others are asked for.
pub(crate) const REPETITIONS: u32 = 5;
/// Operations of a smoke run.
const SMOKE_OPERATIONS: u64 = 20;

/// One question.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) target: Target,
    /// What the measured limit is made of.
    pub(crate) limit: &'static str,
    /// Operations a repetition, once for each size of interest.
    pub(crate) sizes: &'static [u64],
    /// Operations before anything counts.
    pub(crate) warm_up: u64,
    /// Whether it is measured on a network that somebody has named.
    pub(crate) needs_network: bool,
    /// What else is asked, over all sizes together.
    pub(crate) checks: &'static [Check],
    pub(crate) measure: for<'a> fn(&'a Plan<'a>) -> Measuring<'a>,
}

/// What is asked of a row's figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Target {
    /// So much, in the row's unit.
    AtLeast(f64),
    /// So little, in the row's unit.
    AtMost(f64),
    /// So much of the limit.
    PartOfLimit(f64),
    /// So much in the row's unit, and so much of the limit.
    Both(f64, f64),
}

impl Target {
    pub(crate) fn is_met(self, measured: f64, limit: f64) -> bool {
        match self {
            Self::AtLeast(least) => measured >= least,
            Self::AtMost(most) => measured <= most,
            Self::PartOfLimit(part) => measured >= limit * part,
            Self::Both(least, part) => measured >= least && measured >= limit * part,
        }
    }

    /// The value in the row's unit that is just met.
    pub(crate) fn value(self, limit: f64) -> f64 {
        match self {
            Self::AtLeast(value) | Self::AtMost(value) => value,
            Self::PartOfLimit(part) => limit * part,
            Self::Both(least, part) => least.max(limit * part),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {least}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::PartOfLimit(part) => write!(f, "ratio {part}"),
            Self::Both(least, part) => write!(f, ">= {least}, ratio {part}"),
        }
    }
}

/// What else is asked of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Check {
    /// No process of this name uses more memory, at any size.
    Memory { process: &'static str, mib: u64 },
    /// The cost of an operation is the same at all sizes, but for this part of it.
    Slope { within: f64 },
    /// Nothing of this kind was counted.
    None { what: &'static str },
}

/// A row being measured.
pub(crate) type Measuring<'a> = Pin<Box<dyn Future<Output = Result<Measurement, BenchError>> + 'a>>;

/// How much is done.
pub(crate) struct Plan<'a> {
    pub(crate) operations: u64,
    /// Operations before anything counts.
    pub(crate) warm_up: u64,
    pub(crate) repetitions: u32,
    /// How long each part of the limit is measured.
    pub(crate) limit_time: Duration,
    /// On the disk that the project is on, so that waiting for the disk means something.
    pub(crate) scratch: TempDir,
    /// Where chains are kept from run to run, if anywhere.
    pub(crate) chains: Option<PathBuf>,
    pub(crate) network: Option<NetworkTarget>,
    pub(crate) postgres: &'a Postgres,
}

/// What is the same for all rows of a run.
#[derive(Clone)]
pub(crate) struct Surroundings<'a> {
    pub(crate) chains: Option<PathBuf>,
    /// A network that somebody has named.
    pub(crate) network: Option<NetworkTarget>,
    pub(crate) postgres: &'a Postgres,
}

/// What was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measurement {
    pub(crate) repetitions: Vec<Repetition>,
    /// Peak memory of each process, in KiB.
    pub(crate) peak_kib: BTreeMap<String, u64>,
    /// What was counted besides, by what it is.
    pub(crate) counts: BTreeMap<String, u64>,
    /// What else a reader must know.
    pub(crate) settings: BTreeMap<String, String>,
}

/// One repetition.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Repetition {
    pub(crate) measured: f64,
    pub(crate) limit: f64,
    /// What the limit was made of, each by itself.
    pub(crate) limit_parts: BTreeMap<String, f64>,
    /// What else was measured.
    pub(crate) parts: BTreeMap<String, f64>,
    /// Processor time of each process for one operation, in microseconds.
    pub(crate) cpu_us: BTreeMap<String, f64>,
}

impl<'a> Plan<'a> {
    /// Enough for a figure.
    pub(crate) fn full(
        row: &Row,
        operations: u64,
        repetitions: u32,
        surroundings: &Surroundings<'a>,
    ) -> Result<Self, BenchError> {
        let (warm_up, limit_time) = (row.warm_up.min(operations), Duration::from_secs(1));
        Self::new(operations, warm_up, repetitions, limit_time, surroundings)
    }

    /// Enough to see that the row runs.
    pub(crate) fn smoke(surroundings: &Surroundings<'a>) -> Result<Self, BenchError> {
        Self::new(SMOKE_OPERATIONS, 1, 1, Duration::from_millis(10), surroundings)
    }

    /// Whether the figures mean nothing anyway.
    pub(crate) fn is_smoke(&self) -> bool {
        self.operations == SMOKE_OPERATIONS
    }

    fn new(
        operations: u64,
        warm_up: u64,
        repetitions: u32,
        limit_time: Duration,
        surroundings: &Surroundings<'a>,
    ) -> Result<Self, BenchError> {
        let Surroundings { chains, network, postgres } = surroundings.clone();
        let scratch = scratch()?;
        Ok(Self {
            operations,
            warm_up,
            repetitions,
            limit_time,
            scratch,
            chains,
            network,
            postgres,
        })
    }
}

fn scratch() -> Result<TempDir, BenchError> {
    std::fs::create_dir_all("target/bench")?;
    Ok(tempfile::Builder::new().prefix("run-").tempdir_in("target/bench")?)
}

fn cpu_us(before: Usage, after: Usage, operations: u64) -> f64 {
    as_rate(after.cpu_ms.saturating_sub(before.cpu_ms)) * 1e3 / as_rate(operations)
}

/// The value that so great a part of all does not exceed.
fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of an index is an index"
    )]
    let at = (as_rate(u64::try_from(last).unwrap_or(0)) * part).round() as usize;
    values.get(at).copied().unwrap_or(f64::NAN)
}

#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn as_rate(count: u64) -> f64 {
    count as f64
}
