//! Answers on standard output: lines for people, JSON for programs.

use serde_json::Value;

/// How an operator command answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Lines and columns.
    Text,
    /// One JSON value.
    Json,
}

impl Format {
    /// One sentence or value.
    pub(crate) fn line(self, text: &str, json: &Value) {
        match self {
            Self::Text => println!("{text}"),
            Self::Json => println!("{json}"),
        }
    }

    /// One record: a line per field.
    pub(crate) fn record(self, record: &Value) {
        match (self, record.as_object()) {
            (Self::Text, Some(fields)) => {
                let width = fields.keys().map(String::len).max().unwrap_or(0);
                for (name, value) in fields {
                    println!("{name:width$}  {}", plain(value));
                }
            }
            _ => println!("{record}"),
        }
    }

    /// A list of records: a header and a line each.
    pub(crate) fn table(self, records: &[Value]) {
        if self == Self::Json {
            println!("{}", Value::from(records));
            return;
        }
        let Some(columns) = records.first().and_then(Value::as_object) else {
            println!("none");
            return;
        };
        let columns: Vec<&String> = columns.keys().collect();
        let header = columns.iter().map(|name| (*name).clone()).collect();
        let row = |record: &Value| columns.iter().map(|name| plain(&record[*name])).collect();
        let rows: Vec<Vec<String>> =
            std::iter::once(header).chain(records.iter().map(row)).collect();
        for row in &rows {
            let cells = row.iter().enumerate().map(|(at, cell)| {
                let width = rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
                format!("{cell:width$}")
            });
            println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
