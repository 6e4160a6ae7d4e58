//! The table for people, which `Report::table` returns.

use std::fmt::Write as _;

use super::{Report, RowResult};

const HEADER: [&str; 7] = ["row", "measured", "limit", "ratio", "target", "verdict", "change"];

pub(super) fn write(report: &Report, earlier: Option<&Report>) -> String {
    let mut lines = vec![HEADER.map(str::to_owned)];
    lines.extend(report.rows.iter().map(|row| line(row, earlier)));
    let mut text = format!(
        "{} at {}, {} build, {:?}\n\n",
        report.commit, report.at, report.build, report.machine
    );
    for cells in &lines {
        for (at, cell) in cells.iter().enumerate() {
            let width = lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
            let _ = write!(text, "{cell:width$}  ");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    for check in &report.checks {
        let verdict = if check.is_met { "met" } else { "missed" };
        let _ = write!(text, "\n{}: {}: {}: {verdict}", check.row, check.asked, check.found);
    }
    text.push('\n');
    for row in &report.rows {
        text.push_str(&details(row, report.machine.cores));
    }
    if report.smoke {
        text.push_str("\nThis was a smoke run; its figures mean nothing.\n");
    }
    text
}

fn line(row: &RowResult, earlier: Option<&Report>) -> [String; 7] {
    let spread = |s: super::Spread| {
        let [median, min, max] = [s.median, s.min, s.max].map(figure);
        format!("{median} ({min} to {max})")
    };
    [
        format!("{} {}", row.name, row.operations),
        format!("{} {}", spread(row.measured), row.unit),
        spread(row.limit),
        format!("{:.2}", row.ratio()),
        row.target.to_string(),
        row.verdict().to_owned(),
        change(row, earlier),
    ]
}

/// Returns a figure as a text. Small values are latencies, whose decimals matter.
fn figure(value: f64) -> String {
    if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

/// Returns the change since earlier results, or `-` if they do not have the row at this size.
fn change(row: &RowResult, earlier: Option<&Report>) -> String {
    let same = |other: &&RowResult| other.name == row.name && other.operations == row.operations;
    let Some(before) = earlier.and_then(|earlier| earlier.rows.iter().find(same)) else {
        return "-".to_owned();
    };
    let percent = (row.measured.median / before.measured.median - 1.0) * 100.0;
    let noise = if row.measured.is_apart_from(before.measured) { "" } else { ", within noise" };
    format!("{percent:+.0} %{noise}")
}

/// Returns the details of a row, which depend less on the load of the machine than rates do.
fn details(row: &RowResult, cores: usize) -> String {
    let mut text =
        format!("\n{} {}: {}\n  limit: {}\n", row.name, row.operations, row.about, row.limited_by);
    let Some(last) = row.measurement.repetitions.last() else { return text };
    for (name, rate) in &last.limit_parts {
        let _ = writeln!(text, "    {name}: {}", figure(*rate));
    }
    for (name, value) in &last.parts {
        let _ = writeln!(text, "  {name}: {}", figure(*value));
    }
    for (name, cpu_us) in &last.cpu_us {
        let _ = writeln!(text, "  {name}: {cpu_us:.1} us CPU an operation");
    }
    for (name, kib) in &row.measurement.peak_kib {
        let _ = writeln!(text, "  {name}: {} MiB at most", kib / 1_024);
    }
    let cpu_us: f64 = last.cpu_us.values().sum();
    if let (Ok(cores), true) = (u32::try_from(cores), cpu_us > 0.0) {
        let rate = f64::from(cores) * 1e6 / cpu_us;
        let _ = writeln!(text, "  processor time alone allows {rate:.0}/s on a free machine");
    }
    for (name, count) in &row.measurement.counts {
        let _ = writeln!(text, "  {name}: {count}");
    }
    for (name, value) in &row.measurement.settings {
        let _ = writeln!(text, "  {name}: {value}");
    }
    text
}
