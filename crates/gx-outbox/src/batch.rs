//! Which of the due commands go into one transaction.

use std::collections::HashSet;

use gx_model::SignerRole;

use crate::attempt::Purpose;
use crate::look::Due;

/// What one transaction may hold.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Commands.
    pub max_commands: usize,
    /// Bytes of the commands' calls.
    pub max_bytes: usize,
}

impl Default for BatchLimits {
    /// The contract takes 500 commands and 1 MB of envelope, in which each argument stands
    /// twice: in the proposal, and in the write set's event.
    fn default() -> Self {
        Self { max_commands: 500, max_bytes: 300_000 }
    }
}

/// Commands that one signer sends in one transaction, in order.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Who signs.
    pub signer: SignerRole,
    /// Whether the commands are to be carried out or cancelled.
    pub purpose: Purpose,
    /// The commands, by their number.
    pub commands: Vec<Due>,
}

impl Batch {
    /// Everything the commands touch, each key once.
    pub fn touches(&self) -> Vec<String> {
        let keys = self.commands.iter().flat_map(|command| command.touches.iter().cloned());
        keys.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// The lanes of the commands, each once.
    pub fn lanes(&self) -> Vec<i16> {
        let lanes = self.commands.iter().map(|command| command.lane);
        lanes.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// The commands' ids, in order.
    pub fn ids(&self) -> Vec<String> {
        self.commands.iter().map(|command| command.command_id.clone()).collect()
    }
}

/// Up to `max_batches` batches that may go now side by side: each of one signer, of one
/// purpose and within the limits, and nothing that two of them touch, or one of them and
/// `busy`, what open attempts touch.
///
/// A command that is left out keeps back all that touch the same accounts after it, so
/// that none overtakes another.
pub fn form(
    due: Vec<Due>,
    busy: &HashSet<String>,
    limits: BatchLimits,
    max_batches: usize,
) -> Vec<Batch> {
    let (mut busy, mut due) = (busy.clone(), due);
    let mut batches = Vec::new();
    while batches.len() < max_batches {
        let (batch, rest) = form_one(due, &busy, limits);
        let Some(batch) = batch else { break };
        busy.extend(batch.commands.iter().flat_map(|command| command.touches.iter().cloned()));
        batches.push(batch);
        due = rest;
    }
    batches
}

/// The longest batch that may go now, and what is left out, in order.
fn form_one(
    due: Vec<Due>,
    busy: &HashSet<String>,
    limits: BatchLimits,
) -> (Option<Batch>, Vec<Due>) {
    let mut kept_back = HashSet::new();
    let mut batch: Option<Batch> = None;
    let (mut bytes, mut rest) = (0, Vec::new());
    for command in due {
        let fits = batch.as_ref().is_none_or(|batch| {
            batch.signer == command.signer
                && batch.purpose == command.purpose
                && batch.commands.len() < limits.max_commands
                && bytes + command.bytes <= limits.max_bytes
        });
        let waits = |key| busy.contains(key) || kept_back.contains(key);
        if !fits || command.touches.iter().any(waits) {
            kept_back.extend(command.touches.iter().cloned());
            rest.push(command);
            continue;
        }
        bytes += command.bytes;
        let (signer, purpose) = (command.signer, command.purpose);
        batch
            .get_or_insert_with(|| Batch { signer, purpose, commands: Vec::new() })
            .commands
            .push(command);
    }
    (batch, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(number: i64, signer: SignerRole, touches: &[&str]) -> Due {
        Due {
            number,
            lane: 0,
            command_id: format!("c{number}"),
            kind: "TRANSFER".to_owned(),
            payload: serde_json::Value::Null,
            signer,
            purpose: Purpose::Execute,
            aggregate_key: touches[0].to_owned(),
            touches: touches.iter().map(|key| (*key).to_owned()).collect(),
            bytes: 100,
        }
    }

    fn ids(due: Vec<Due>, busy: &[&str], limits: BatchLimits) -> Vec<String> {
        let busy = busy.iter().map(|key| (*key).to_owned()).collect();
        form(due, &busy, limits, 1).first().map(Batch::ids).unwrap_or_default()
    }

    #[test]
    fn commands_of_one_account_go_together_in_order() {
        let due = [due(1, SignerRole::Admin, &["A"]), due(2, SignerRole::Admin, &["A", "B"])];
        assert_eq!(ids(due.to_vec(), &[], BatchLimits::default()), ["c1", "c2"]);
    }

    #[test]
    fn what_an_open_attempt_touches_waits_and_keeps_its_followers_back() {
        let due = [
            due(1, SignerRole::Admin, &["A", "treasury_MY"]),
            due(2, SignerRole::Admin, &["A", "B"]),
            due(3, SignerRole::Admin, &["B"]),
            due(4, SignerRole::Admin, &["C"]),
        ];
        assert_eq!(ids(due.to_vec(), &["treasury_MY"], BatchLimits::default()), ["c4"]);
    }

    #[test]
    fn a_batch_has_one_signer() {
        let due = [
            due(1, SignerRole::SuperAdmin, &["SYSTEM"]),
            due(2, SignerRole::Admin, &["A"]),
            due(3, SignerRole::SuperAdmin, &["A"]),
            due(4, SignerRole::SuperAdmin, &["SYSTEM"]),
        ];
        assert_eq!(ids(due.to_vec(), &[], BatchLimits::default()), ["c1", "c4"]);
    }

    #[test]
    fn a_batch_keeps_to_its_limits() {
        let all: Vec<Due> = (1..=9).map(|n| due(n, SignerRole::Admin, &["A"])).collect();
        let limits = BatchLimits { max_commands: 3, max_bytes: 10_000 };
        assert_eq!(ids(all.clone(), &[], limits), ["c1", "c2", "c3"]);
        let limits = BatchLimits { max_commands: 30, max_bytes: 250 };
        assert_eq!(ids(all, &[], limits), ["c1", "c2"]);
    }

    #[test]
    fn batches_side_by_side_touch_nothing_in_common() {
        let due = [
            due(1, SignerRole::Admin, &["A"]),
            due(2, SignerRole::Admin, &["B"]),
            due(3, SignerRole::Admin, &["B", "C"]),
            due(4, SignerRole::Admin, &["C", "D"]),
            due(5, SignerRole::SuperAdmin, &["E"]),
            due(6, SignerRole::Admin, &["F"]),
        ];
        let limits = BatchLimits { max_commands: 2, max_bytes: 10_000 };
        let batches = form(due.to_vec(), &HashSet::new(), limits, 3);
        let ids: Vec<_> = batches.iter().map(Batch::ids).collect();
        // 3 shares B with the first batch, and 4 must not overtake it.
        assert_eq!(ids, [vec!["c1", "c2"], vec!["c5"], vec!["c6"]]);
    }
}
