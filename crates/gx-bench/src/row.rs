//! A row of the benchmark, its plan, and the types of a measurement. `main` makes a plan for each
//! size of a row and passes it to [`Row::measure`]; `report` reads the result.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::child_process::Usage;
use crate::error::BenchError;
use crate::postgres::Postgres;
use crate::server::Target;

/// The default number of repetitions that count.
pub(crate) const REPETITIONS: u32 = 5;
/// Number of operations in a smoke run.
const SMOKE_OPERATIONS: u64 = 20;

/// A row: one measured value with its limit and target.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) target: RowTarget,
    /// The composition of the measured limit.
    pub(crate) limit: &'static str,
    /// Number of operations in a repetition, for each size.
    pub(crate) sizes: &'static [u64],
    /// Number of operations before the first repetition.
    pub(crate) warm_up: u64,
    /// Whether the row needs a network that the caller names.
    pub(crate) needs_network: bool,
    /// Checks over all sizes.
    pub(crate) checks: &'static [Check],
    pub(crate) measure: for<'a> fn(&'a Plan<'a>) -> Measuring<'a>,
}

/// The target of a row's value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum RowTarget {
    /// At least this value, in the row's unit.
    AtLeast(f64),
    /// At most this value, in the row's unit.
    AtMost(f64),
    /// At least this part of the limit.
    PartOfLimit(f64),
    /// At least this value in the row's unit, and at least this part of the limit.
    Both(f64, f64),
}

impl RowTarget {
    /// Returns whether a measured value meets the target. The report says so; a miss is no error.
    pub(crate) fn is_met(self, measured: f64, limit: f64) -> bool {
        match self {
            Self::AtLeast(least) => measured >= least,
            Self::AtMost(most) => measured <= most,
            Self::PartOfLimit(part) => measured >= limit * part,
            Self::Both(least, part) => measured >= least && measured >= limit * part,
        }
    }

    /// Returns the value in the row's unit that just meets the target.
    pub(crate) fn value(self, limit: f64) -> f64 {
        match self {
            Self::AtLeast(value) | Self::AtMost(value) => value,
            Self::PartOfLimit(part) => limit * part,
            Self::Both(least, part) => least.max(limit * part),
        }
    }
}

impl fmt::Display for RowTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {least}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::PartOfLimit(part) => write!(f, "ratio {part}"),
            Self::Both(least, part) => write!(f, ">= {least}, ratio {part}"),
        }
    }
}

/// A check of a row, in addition to its value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Check {
    /// No process with this name uses more memory, at any size.
    Memory { process: &'static str, mib: u64 },
    /// The cost of an operation is the same at all sizes, within this part.
    Slope { within: f64 },
    /// Nothing of this kind was counted.
    None { what: &'static str },
}

/// The future of a measurement.
pub(crate) type Measuring<'a> = Pin<Box<dyn Future<Output = Result<Measurement, BenchError>> + 'a>>;

/// The plan of a measurement.
pub(crate) struct Plan<'a> {
    pub(crate) operations: u64,
    /// Number of operations before the first repetition.
    pub(crate) warm_up: u64,
    pub(crate) repetitions: u32,
    /// How long each part of the limit is measured.
    pub(crate) limit_time: Duration,
    /// A folder on the disk of the project, so that waiting for the disk is realistic.
    pub(crate) scratch: TempDir,
    /// The folder in which chains are kept for later runs, if there is one.
    pub(crate) chains: Option<PathBuf>,
    pub(crate) network: Option<Target>,
    pub(crate) postgres: &'a Postgres,
}

/// The resources that all rows of a run share.
#[derive(Clone)]
pub(crate) struct RunContext<'a> {
    pub(crate) chains: Option<PathBuf>,
    /// The network that the caller has named.
    pub(crate) network: Option<Target>,
    pub(crate) postgres: &'a Postgres,
}

/// The result of a measurement.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measurement {
    pub(crate) repetitions: Vec<Repetition>,
    /// Peak memory of each process, in KiB.
    pub(crate) peak_kib: BTreeMap<String, u64>,
    /// Further counts, by name.
    pub(crate) counts: BTreeMap<String, u64>,
    /// Further facts for readers.
    pub(crate) settings: BTreeMap<String, String>,
}

/// The result of one repetition.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Repetition {
    pub(crate) measured: f64,
    pub(crate) limit: f64,
    /// The parts of the limit.
    pub(crate) limit_parts: BTreeMap<String, f64>,
    /// Further measured values.
    pub(crate) parts: BTreeMap<String, f64>,
    /// Processor time of each process for one operation, in microseconds.
    pub(crate) cpu_us: BTreeMap<String, f64>,
}

impl<'a> Plan<'a> {
    /// Returns the plan of a real measurement.
    pub(crate) fn full(
        row: &Row,
        operations: u64,
        repetitions: u32,
        context: &RunContext<'a>,
    ) -> Result<Self, BenchError> {
        let (warm_up, limit_time) = (row.warm_up.min(operations), Duration::from_secs(1));
        Self::new(operations, warm_up, repetitions, limit_time, context)
    }

    /// Returns a plan that only shows that the row runs.
    pub(crate) fn smoke(context: &RunContext<'a>) -> Result<Self, BenchError> {
        Self::new(SMOKE_OPERATIONS, 1, 1, Duration::from_millis(10), context)
    }

    /// Returns whether the figures have no meaning.
    pub(crate) fn is_smoke(&self) -> bool {
        self.operations == SMOKE_OPERATIONS
    }

    fn new(
        operations: u64,
        warm_up: u64,
        repetitions: u32,
        limit_time: Duration,
        context: &RunContext<'a>,
    ) -> Result<Self, BenchError> {
        let RunContext { chains, network, postgres } = context.clone();
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

/// Creates the folder of one measurement, which is removed at the end.
fn scratch() -> Result<TempDir, BenchError> {
    std::fs::create_dir_all("target/bench")?;
    Ok(tempfile::Builder::new().prefix("run-").tempdir_in("target/bench")?)
}

/// Returns the processor time of one operation in microseconds.
pub(crate) fn cpu_us(before: Usage, after: Usage, operations: u64) -> f64 {
    as_rate(after.cpu_ms.saturating_sub(before.cpu_ms)) * 1e3 / as_rate(operations)
}

/// Returns the value that the given part of all values does not exceed; NaN without values.
pub(crate) fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of an index is an index"
    )]
    let at = (as_rate(u64::try_from(last).unwrap_or(0)) * part).round() as usize;
    values.get(at).copied().unwrap_or(f64::NAN)
}

pub(crate) fn as_rate(count: u64) -> f64 {
    count as f64
}
