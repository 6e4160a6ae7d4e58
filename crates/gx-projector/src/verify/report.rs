//! What a comparison found.

use std::fmt;

use serde::Serialize;

use super::facts::{FactDifference, Subject};

/// A subject of which the read model says something else than the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Disagreement {
    /// What it is about.
    pub subject: Subject,
    /// Whether a dead letter holds it back: then it is expected, and known already.
    pub held_back: bool,
    /// Each fact that differs.
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

/// Counts of what was compared, and of what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// The last block applied when the comparison ended.
    pub checkpoint: u64,
    /// People compared.
    pub people: u64,
    /// Countries compared.
    pub countries: u64,
    /// Pools compared.
    pub pools: u64,
    /// Subjects that differ, those held back by a dead letter included.
    pub differences: u64,
    /// Those of them that a dead letter holds back.
    pub held_back: u64,
    /// Subjects that changed whenever they were looked at, and were not compared.
    pub unsettled: Vec<Subject>,
    /// Σ wallets + Σ pools of the read model, in Qirat.
    pub supply: i64,
}

impl Verification {
    /// Whether everything was compared and nothing differs.
    pub fn is_clean(&self) -> bool {
        self.differences == 0 && self.unsettled.is_empty()
    }
}
