//! Prints results to standard output, as text or JSON, and notes to standard error. All commands
//! use these functions.

use std::io::{ErrorKind, Write as _};

use serde_json::Value;

use crate::CliError;

/// The format of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Lines and columns for people.
    Text,
    /// One JSON value for programs.
    Json,
}

impl Format {
    /// Prints one line of text or one JSON value.
    pub(crate) fn line(self, text: &str, json: &Value) -> Result<(), CliError> {
        match self {
            Self::Text => out(text),
            Self::Json => out(&json.to_string()),
        }
    }

    /// Prints one record: in text a line for each field.
    pub(crate) fn record(self, record: &Value) -> Result<(), CliError> {
        match (self, record.as_object()) {
            (Self::Text, Some(fields)) => {
                let width = fields.keys().map(String::len).max().unwrap_or(0);
                let line = |(name, value)| format!("{name:width$}  {}", cell_text(value));
                out(&fields.iter().map(line).collect::<Vec<_>>().join("\n"))
            }
            _ => out(&record.to_string()),
        }
    }

    /// Prints a list of records: in text a header and a line for each record.
    pub(crate) fn table(self, records: &[Value]) -> Result<(), CliError> {
        if self == Self::Json {
            return out(&Value::from(records).to_string());
        }
        let Some(columns) = records.first().and_then(Value::as_object) else {
            return out("none");
        };
        let columns: Vec<&String> = columns.keys().collect();
        let header = columns.iter().map(|name| (*name).clone()).collect();
        let row = |record: &Value| columns.iter().map(|name| cell_text(&record[*name])).collect();
        let rows: Vec<Vec<String>> =
            std::iter::once(header).chain(records.iter().map(row)).collect();
        for row in &rows {
            let cells = row.iter().enumerate().map(|(at, cell)| {
                let width = rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
                format!("{cell:width$}")
            });
            out(cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// Writes one or more lines to standard output. Nothing else in this crate writes there.
///
/// # Errors
/// [`CliError::ClosedPipe`] if the reader has closed the pipe, as `| head` does.
pub(crate) fn out(lines: &str) -> Result<(), CliError> {
    let mut stdout = std::io::stdout().lock();
    let written = writeln!(stdout, "{lines}").and_then(|()| stdout.flush());
    written.map_err(|why| match why.kind() {
        ErrorKind::BrokenPipe => CliError::ClosedPipe,
        _ => {
            CliError::caused_by("standard output cannot be written; check where it leads to", &why)
        }
    })
}

/// Writes one line to standard error. An error of the write is ignored, as nothing could show it.
pub(crate) fn note(line: &str) {
    let _unread = writeln!(std::io::stderr().lock(), "{line}");
}

fn cell_text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
