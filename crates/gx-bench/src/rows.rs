//! Every row, and what measuring one means.

mod devnet;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::error::BenchError;

/// All rows, in the order of the report.
pub(crate) const ROWS: &[Row] = &[devnet::COMMIT, devnet::EVALUATE];

/// One question.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) unit: &'static str,
    /// What is asked of GX, in the unit.
    pub(crate) target: f64,
    /// What the measured limit is made of.
    pub(crate) limit: &'static str,
    /// Operations a repetition, once for each size of interest.
    pub(crate) sizes: &'static [u64],
    pub(crate) measure: for<'a> fn(&'a Plan) -> Measuring<'a>,
}

/// A row being measured.
pub(crate) type Measuring<'a> =
    Pin<Box<dyn Future<Output = Result<Measurement, BenchError>> + Send + 'a>>;

/// How much is done.
pub(crate) struct Plan {
    pub(crate) operations: u64,
    /// Operations before anything counts.
    pub(crate) warm_up: u64,
    pub(crate) repetitions: u32,
    /// How long each part of the limit is measured.
    pub(crate) limit_time: Duration,
    /// On the disk that the project is on, so that waiting for the disk means something.
    pub(crate) scratch: TempDir,
}

/// What was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measurement {
    pub(crate) repetitions: Vec<Repetition>,
    /// Peak memory of each process, in KiB.
    pub(crate) peak_kib: BTreeMap<String, u64>,
    /// What else a reader must know.
    pub(crate) settings: BTreeMap<String, String>,
}

/// One repetition.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Repetition {
    pub(crate) measured: f64,
    pub(crate) limit: f64,
    /// What the limit was made of, each as a rate by itself.
    pub(crate) limit_parts: BTreeMap<String, f64>,
    /// Processor time of each process for one operation, in microseconds.
    pub(crate) cpu_us: BTreeMap<String, f64>,
}

impl Plan {
    /// Enough for a figure.
    pub(crate) fn full(operations: u64, repetitions: u32) -> Result<Self, BenchError> {
        let limit_time = Duration::from_secs(1);
        let scratch = scratch()?;
        Ok(Self { operations, warm_up: operations / 5, repetitions, limit_time, scratch })
    }

    /// Enough to see that the row runs.
    pub(crate) fn smoke() -> Result<Self, BenchError> {
        let limit_time = Duration::from_millis(10);
        Ok(Self { operations: 20, warm_up: 1, repetitions: 2, limit_time, scratch: scratch()? })
    }
}

fn scratch() -> Result<TempDir, BenchError> {
    std::fs::create_dir_all("target/bench")?;
    Ok(tempfile::Builder::new().prefix("run-").tempdir_in("target/bench")?)
}
