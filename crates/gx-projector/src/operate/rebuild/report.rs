//! Report of a rebuild. Returned by a `Rebuilder`, and printed by `gx projection rebuild`.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::store::{Count, DifferentRow};

/// Numbers of rows of one table that differ from the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableDifferences {
    /// Name of the table.
    pub table: String,
    /// Rows that the read model lacks.
    pub missing: i64,
    /// Rows that only the read model has.
    pub surplus: i64,
    /// Rows with other values.
    pub changed: i64,
}

impl From<Count> for TableDifferences {
    fn from(count: Count) -> Self {
        let Count { table_name: table, missing, surplus, changed } = count;
        Self { table, missing, surplus, changed }
    }
}

/// One row that differs from the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RowDifference {
    /// Name of its table.
    pub table: String,
    /// Its primary key.
    pub key: Value,
    /// The row in the read model; `None` if it is missing.
    pub here: Option<Value>,
    /// The row as the chain makes it; `None` if there is none.
    pub rebuilt: Option<Value>,
}

impl From<DifferentRow> for RowDifference {
    fn from(row: DifferentRow) -> Self {
        let DifferentRow { table_name: table, key, here, rebuilt } = row;
        Self { table, key, here, rebuilt }
    }
}

impl RowDifference {
    /// Returns the columns that differ; all of them if only one side has the row.
    fn columns(&self) -> Vec<&str> {
        let side = |side: &'_ Option<Value>| side.as_ref().and_then(Value::as_object).cloned();
        let (here, rebuilt) = (side(&self.here), side(&self.rebuilt));
        let names = self.here.as_ref().or(self.rebuilt.as_ref()).and_then(Value::as_object);
        let names = names.into_iter().flat_map(|columns| columns.keys());
        let of = |side: &Option<serde_json::Map<String, Value>>, name: &str| {
            side.as_ref().and_then(|columns| columns.get(name)).cloned()
        };
        names.filter(|name| of(&here, name) != of(&rebuilt, name)).map(String::as_str).collect()
    }
}

impl fmt::Display for RowDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table, self.key)?;
        match (&self.here, &self.rebuilt) {
            (None, _) => f.write_str(" is missing"),
            (_, None) => f.write_str(" should not be there"),
            (Some(here), Some(rebuilt)) => {
                for (index, column) in self.columns().into_iter().enumerate() {
                    let mark = if index == 0 { ": " } else { ", " };
                    let (here, rebuilt) = (&here[column], &rebuilt[column]);
                    write!(f, "{mark}{column} is {here}, by the chain {rebuilt}")?;
                }
                Ok(())
            }
        }
    }
}

/// Result of a rebuild.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RebuildReport {
    /// Number of the block at which both sides were compared.
    pub block_number: i64,
    /// Numbers of rows that differ, by table. A table without differences is left out.
    pub differences: Vec<TableDifferences>,
    /// The first rows that differ, at most 200.
    pub rows: Vec<RowDifference>,
    /// Whether the differences were corrected.
    pub switched: bool,
    /// Number of dead letters that were applied.
    pub replayed: u64,
}

impl RebuildReport {
    /// Returns the number of rows that differ and are not in `rows`.
    pub fn unnamed_rows(&self) -> i64 {
        let all = self.differences.iter().map(|of| of.missing + of.surplus + of.changed);
        all.sum::<i64>() - i64::try_from(self.rows.len()).unwrap_or(i64::MAX)
    }

    /// Returns whether the read model equals what the chain makes.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }
}
