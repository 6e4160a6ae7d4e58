//! Report of a comparison. Returned by [`super::Verifier`]; `gx projection verify` prints it, and
//! the reconciliation shows it in its check and stores it with the task.

use std::fmt;

use serde::Serialize;

use super::facts::{FactDifference, Subject};

/// A subject whose facts in the read model differ from the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Disagreement {
    /// The subject.
    pub subject: Subject,
    /// Whether a dead letter holds it back, so that the difference is expected.
    pub held_back: bool,
    /// The facts that differ.
    pub facts: Vec<FactDifference>,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let absent = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".to_owned());
        write!(f, "{}", self.subject)?;
        for (index, fact) in self.facts.iter().enumerate() {
            let (here, chain) = (absent(&fact.here), absent(&fact.chain));
            let mark = if index == 0 { ": " } else { ", " };
            write!(f, "{mark}{} is {here}, on the chain {chain}", fact.fact)?;
        }
        if self.held_back { f.write_str(" (held back by a dead letter)") } else { Ok(()) }
    }
}

/// Counts of what was compared and found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Number of the last block that was applied when the comparison ended.
    pub checkpoint: u64,
    /// Number of people that were compared.
    pub people: u64,
    /// Number of countries that were compared.
    pub countries: u64,
    /// Number of pools that were compared.
    pub pools: u64,
    /// Number of subjects that differ, including those that a dead letter holds back.
    pub differences: u64,
    /// Number of those that a dead letter holds back.
    pub held_back: u64,
    /// Subjects that changed each time they were read, and were not compared.
    pub unsettled: Vec<Subject>,
    /// Sum of all wallets and pools of the read model, in Qirat.
    pub supply: i64,
}

impl Verification {
    /// Returns whether everything was compared and nothing differs.
    pub fn is_clean(&self) -> bool {
        self.differences == 0 && self.unsettled.is_empty()
    }
}
