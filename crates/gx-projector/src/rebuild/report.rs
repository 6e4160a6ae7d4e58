//! What a rebuild found, and did.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::store::rebuild::{Count, DifferentRow};

/// How many rows of one table are not what the chain makes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableDifferences {
    /// The table.
    pub table: String,
    /// Rows that the read model lacks.
    pub missing: i64,
    /// Rows that it has and should not have.
    pub surplus: i64,
    /// Rows that say something else.
    pub changed: i64,
}

impl From<Count> for TableDifferences {
    fn from(count: Count) -> Self {
        let Count { table_name: table, missing, surplus, changed } = count;
        Self { table, missing, surplus, changed }
    }
}

/// One row that is not what the chain makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RowDifference {
    /// Its table.
    pub table: String,
    /// Its primary key.
    pub key: Value,
    /// The row as the read model has it.
    pub here: Option<Value>,
    /// The row as the chain makes it.
    pub rebuilt: Option<Value>,
}

impl From<DifferentRow> for RowDifference {
    fn from(row: DifferentRow) -> Self {
        let DifferentRow { table_name: table, key, here, rebuilt } = row;
        Self { table, key, here, rebuilt }
    }
}

impl RowDifference {
    /// The columns that differ; all of them where the row stands on one side only.
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

/// What a rebuild found, and did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RebuildReport {
    /// The block at which both sides were compared.
    pub block_number: i64,
    /// Counts of the rows that differ, by table; no table where none does.
    pub differences: Vec<TableDifferences>,
    /// The first of those rows.
    pub rows: Vec<RowDifference>,
    /// Whether the differences were put right.
    pub switched: bool,
    /// Dead letters that are applied now.
    pub replayed: usize,
}

impl RebuildReport {
    /// Whether the read model is what the chain makes it.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }
}
