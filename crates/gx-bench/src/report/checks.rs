//! The checks of a row over all its sizes. `Report::check` makes them after the last size; a check
//! that is not met is shown and does not fail the run.

use serde::{Deserialize, Serialize};

use super::RowResult;
use crate::row::Check;

/// A check of a row and its result.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CheckResult {
    /// The name of the row.
    pub(super) row: String,
    pub(super) asked: String,
    pub(super) found: String,
    pub(super) is_met: bool,
}

impl CheckResult {
    pub(super) fn of(row: &str, check: Check, results: &[&RowResult]) -> Self {
        match check {
            Check::Memory { process, mib } => memory(row, process, mib, results),
            Check::Slope { within } => slope(row, within, results),
            Check::None { what } => none(row, what, results),
        }
    }
}

fn memory(row: &str, process: &str, mib: u64, results: &[&RowResult]) -> CheckResult {
    let peaks: Vec<u64> = results
        .iter()
        .filter_map(|result| result.measurement.peak_kib.get(process))
        .map(|kib| kib / 1_024)
        .collect();
    let texts: Vec<_> = peaks.iter().map(u64::to_string).collect();
    CheckResult {
        row: row.to_owned(),
        asked: format!("{process}: at most {mib} MiB"),
        found: format!("{} MiB", texts.join(", ")),
        is_met: !peaks.is_empty() && peaks.iter().all(|peak| *peak <= mib),
    }
}

/// Checks the cost of an operation, which is its time. With one size there is nothing to compare.
fn slope(row: &str, within: f64, results: &[&RowResult]) -> CheckResult {
    let costs_us: Vec<f64> = results.iter().map(|result| 1e6 / result.measured.median).collect();
    let least = costs_us.iter().copied().fold(f64::INFINITY, f64::min);
    let most = costs_us.iter().copied().fold(0.0, f64::max);
    let texts: Vec<_> = costs_us.iter().map(|cost| format!("{cost:.1}")).collect();
    CheckResult {
        row: row.to_owned(),
        asked: format!("the same cost at every size, within {:.0} %", within * 100.0),
        found: format!("{} us an operation", texts.join(", ")),
        is_met: most <= least * (1.0 + within),
    }
}

fn none(row: &str, what: &str, results: &[&RowResult]) -> CheckResult {
    let counts: Vec<u64> =
        results.iter().filter_map(|result| result.measurement.counts.get(what).copied()).collect();
    let count: u64 = counts.iter().sum();
    CheckResult {
        row: row.to_owned(),
        asked: format!("no {what}"),
        found: count.to_string(),
        is_met: !counts.is_empty() && count == 0,
    }
}
