//! The table for people.

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
    for row in &report.rows {
        text.push_str(&details(row, report.machine.cores));
    }
    if report.smoke {
        text.push_str("\nThis was a smoke run; its figures mean nothing.\n");
    }
    text
}

fn line(row: &RowResult, earlier: Option<&Report>) -> [String; 7] {
    let spread = |s: super::Spread| format!("{:.0} ({:.0} to {:.0})", s.median, s.min, s.max);
    [
        row.name.clone(),
        format!("{} {}", spread(row.measured), row.unit),
        spread(row.limit),
        format!("{:.2}", row.ratio()),
        format!("{:.0}", row.target),
        row.verdict().to_owned(),
        change(row, earlier),
    ]
}

fn change(row: &RowResult, earlier: Option<&Report>) -> String {
    let same = |other: &&RowResult| other.name == row.name && other.operations == row.operations;
    let Some(before) = earlier.and_then(|earlier| earlier.rows.iter().find(same)) else {
        return "-".to_owned();
    };
    let percent = (row.measured.median / before.measured.median - 1.0) * 100.0;
    let noise = if row.measured.is_apart_from(before.measured) { "" } else { ", within noise" };
    format!("{percent:+.0} %{noise}")
}

/// What survives a noisy machine better than rates do.
fn details(row: &RowResult, cores: usize) -> String {
    let mut text = format!("\n{}: {}\n  limit: {}\n", row.name, row.about, row.limited_by);
    let Some(last) = row.measurement.repetitions.last() else { return text };
    for (name, rate) in &last.limit_parts {
        let _ = writeln!(text, "    {name}: {rate:.0}/s");
    }
    for (name, cpu_us) in &last.cpu_us {
        let peak_mib = row.measurement.peak_kib.get(name).unwrap_or(&0) / 1_024;
        let _ = writeln!(text, "  {name}: {cpu_us:.0} us CPU an operation, peak {peak_mib} MiB");
    }
    let cpu_us: f64 = last.cpu_us.values().sum();
    if let (Ok(cores), true) = (u32::try_from(cores), cpu_us > 0.0) {
        let rate = f64::from(cores) * 1e6 / cpu_us;
        let _ = writeln!(text, "  processor time alone allows {rate:.0}/s on a free machine");
    }
    for (name, value) in &row.measurement.settings {
        let _ = writeln!(text, "  {name}: {value}");
    }
    text
}
