//! The results: a table for people, JSON for comparison, and a picture. `main` adds each
//! measurement, and writes and prints the report at the end.

mod checks;
mod svg;
mod table;

use std::fs;
use std::path::Path;

use gx_model::Clock;
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;

use crate::error::BenchError;
use crate::machine::{Machine, commit};
use crate::row::{Measurement, Plan, Row, RowTarget};
use checks::CheckResult;

/// All results of one run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    at: String,
    commit: String,
    build: String,
    smoke: bool,
    machine: Machine,
    rows: Vec<RowResult>,
    /// The results of the checks over all sizes of a row.
    checks: Vec<CheckResult>,
}

/// The result of one row at one size.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RowResult {
    name: String,
    about: String,
    unit: String,
    limited_by: String,
    operations: u64,
    target: RowTarget,
    measured: Spread,
    limit: Spread,
    measurement: Measurement,
}

/// A median with minimum and maximum.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Report {
    pub(crate) fn new(smoke: bool) -> Self {
        let build = if cfg!(debug_assertions) { "debug" } else { "release" };
        Self {
            at: Clock::system().now().format(&Rfc3339).unwrap_or_default(),
            commit: commit(),
            build: build.to_owned(),
            smoke,
            machine: Machine::here(),
            rows: vec![],
            checks: vec![],
        }
    }

    /// Reads earlier results. Fails if the file is missing or was written by another version.
    pub(crate) fn read(path: &Path) -> Result<Self, BenchError> {
        let text = fs::read_to_string(path)
            .map_err(|source| BenchError::File { path: path.to_owned(), source })?;
        serde_json::from_str(&text)
            .map_err(|source| BenchError::Results { path: path.to_owned(), source })
    }

    pub(crate) fn add(&mut self, row: &Row, plan: &Plan, measurement: Measurement) {
        let of = |value: fn(&crate::row::Repetition) -> f64| {
            Spread::of(measurement.repetitions.iter().map(value).collect())
        };
        self.rows.push(RowResult {
            name: row.name.to_owned(),
            about: row.about.to_owned(),
            unit: row.unit.to_owned(),
            limited_by: row.limit.to_owned(),
            operations: plan.operations,
            target: row.target,
            measured: of(|repetition| repetition.measured),
            limit: of(|repetition| repetition.limit),
            measurement,
        });
    }

    /// Adds the results of a row's checks.
    pub(crate) fn check(&mut self, row: &Row) {
        let results: Vec<_> = self.rows.iter().filter(|result| result.name == row.name).collect();
        let found = row.checks.iter().map(|check| CheckResult::of(row.name, *check, &results));
        let found: Vec<_> = found.collect();
        self.checks.extend(found);
    }

    /// Writes `results.json` and `results.svg`.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), BenchError> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("results.json"), serde_json::to_vec_pretty(self)?)?;
        fs::write(folder.join("results.svg"), svg::draw(&self.rows))?;
        Ok(())
    }

    /// Returns the table, with the changes since earlier results.
    pub(crate) fn table(&self, earlier: Option<&Self>) -> String {
        table::write(self, earlier)
    }
}

impl RowResult {
    fn ratio(&self) -> f64 {
        self.measured.median / self.limit.median
    }

    fn verdict(&self) -> &'static str {
        if self.target.is_met(self.measured.median, self.limit.median) { "met" } else { "missed" }
    }
}

impl Spread {
    /// Returns the spread of these values; NaN without values.
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let is_even = values.len().is_multiple_of(2) && !values.is_empty();
        let median = if is_even { (at(middle - 1) + at(middle)) / 2.0 } else { at(middle) };
        Self { median, min: at(0), max: at(values.len().saturating_sub(1)) }
    }

    /// Returns whether two spreads do not overlap, so that their difference is more than noise.
    fn is_apart_from(self, other: Self) -> bool {
        self.min > other.max || self.max < other.min
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn the_median_is_in_the_middle() {
        let odd = Spread::of(vec![3.0, 1.0, 2.0]);
        assert_eq!((odd.median, odd.min, odd.max), (2.0, 1.0, 3.0));
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 3.0]).median, 2.5);
    }

    #[test]
    fn spreads_that_overlap_are_noise() {
        let spread = |min, max| Spread { median: min, min, max };
        assert!(spread(1.0, 2.0).is_apart_from(spread(2.5, 3.0)));
        assert!(!spread(1.0, 2.0).is_apart_from(spread(1.5, 3.0)));
    }
}
