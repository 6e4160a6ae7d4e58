//! Selects which due commands go into one transaction. Called by gx-submitter in each claim.

use std::collections::{HashMap, HashSet};

use gx_db::StoredCommandId;
use gx_model::SignerRole;

use super::due::Due;
use super::purpose::Purpose;

/// Limits of one transaction.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Number of commands.
    pub max_commands: usize,
    /// Total size of the commands' calls, in bytes.
    pub max_bytes: usize,
}

impl Default for BatchLimits {
    /// The contract accepts 500 commands. The envelope may have 1 MB and contains each argument
    /// twice: in the proposal, and in the event of the write set.
    fn default() -> Self {
        Self { max_commands: 500, max_bytes: 300_000 }
    }
}

/// Commands that one signer sends in one transaction, in order.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The role whose key signs.
    pub signer: SignerRole,
    /// Whether the commands are executed or cancelled.
    pub purpose: Purpose,
    /// The commands, ordered by number.
    pub commands: Vec<Due>,
}

impl Batch {
    /// Returns the keys that the commands touch, each once.
    pub fn touches(&self) -> Vec<String> {
        let keys = self.commands.iter().flat_map(|command| command.touches.iter().cloned());
        keys.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// Returns the lanes of the commands, each once.
    pub fn lanes(&self) -> Vec<i16> {
        let lanes = self.commands.iter().map(|command| command.lane);
        lanes.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// Returns the ids of the commands, in order.
    pub fn ids(&self) -> Vec<StoredCommandId> {
        self.commands.iter().map(|command| command.command_id.clone()).collect()
    }

    /// Returns for each command the number of the previous command of the same aggregate in this
    /// batch, or 0. For a cancellation, which waits for nothing, it is the command's own number.
    pub fn after(&self) -> Vec<i64> {
        let mut last: HashMap<&str, i64> = HashMap::new();
        let numbers = self.commands.iter().map(|command| match self.purpose {
            Purpose::Execute => last.insert(&command.aggregate_key, command.number).unwrap_or(0),
            Purpose::Cancel => command.number,
        });
        numbers.collect()
    }
}

/// Forms up to `max_batches` batches that can be sent at the same time, and none if every command
/// must wait.
///
/// The commands of a batch have the same signer, purpose and tag (`together`), and stay within the
/// limits. No key is touched by two batches, or by a batch and an open attempt (`busy`). A command
/// that is left out keeps back all later commands that touch the same keys, so that none overtakes
/// it.
pub fn form_batches(
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

/// Returns the longest batch that can be sent now, and the remaining commands in order.
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
                && batch.commands[0].together == command.together
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
            command_id: format!("c{number}").into(),
            kind: "TRANSFER".to_owned(),
            payload: serde_json::Value::Null,
            signer,
            purpose: Purpose::Execute,
            aggregate_key: touches[0].to_owned(),
            touches: touches.iter().map(|key| (*key).to_owned()).collect(),
            bytes: 100,
            together: None,
            alone: None,
            is_tried_at_once: true,
            give_up: None,
        }
    }

    fn ids_of(batch: &Batch) -> Vec<String> {
        batch.ids().iter().map(ToString::to_string).collect()
    }

    fn ids(due: Vec<Due>, busy: &[&str], limits: BatchLimits) -> Vec<String> {
        let busy = busy.iter().map(|key| (*key).to_owned()).collect();
        form_batches(due, &busy, limits, 1).first().map(ids_of).unwrap_or_default()
    }

    #[test]
    fn commands_of_one_account_go_together_in_order() {
        let due = [due(1, SignerRole::Admin, &["A"]), due(2, SignerRole::Admin, &["A", "B"])];
        assert_eq!(ids(due.to_vec(), &[], BatchLimits::default()), ["c1", "c2"]);
    }

    #[test]
    fn commands_that_touch_an_open_attempt_wait_and_keep_later_ones_back() {
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
    fn batches_formed_together_touch_nothing_in_common() {
        let due = [
            due(1, SignerRole::Admin, &["A"]),
            due(2, SignerRole::Admin, &["B"]),
            due(3, SignerRole::Admin, &["B", "C"]),
            due(4, SignerRole::Admin, &["C", "D"]),
            due(5, SignerRole::SuperAdmin, &["E"]),
            due(6, SignerRole::Admin, &["F"]),
        ];
        let limits = BatchLimits { max_commands: 2, max_bytes: 10_000 };
        let batches = form_batches(due.to_vec(), &HashSet::new(), limits, 3);
        let ids: Vec<_> = batches.iter().map(ids_of).collect();
        // 3 shares B with the first batch, and 4 must not overtake 3.
        assert_eq!(ids, [vec!["c1", "c2"], vec!["c5"], vec!["c6"]]);
    }

    /// OUT-15: commands that failed together are sent in two halves, each in its own envelope.
    #[test]
    fn only_commands_with_the_same_tag_go_together() {
        let tagged = |number, key, tag: Option<&str>| Due {
            together: tag.map(str::to_owned),
            ..due(number, SignerRole::Admin, &[key])
        };
        let due = vec![
            tagged(1, "A", Some("x/1")),
            tagged(2, "B", None),
            tagged(3, "C", Some("x/2")),
            tagged(4, "D", Some("x/1")),
            tagged(5, "A", None),
            tagged(6, "E", None),
        ];
        let batches = form_batches(due, &HashSet::new(), BatchLimits::default(), 4);
        let ids: Vec<_> = batches.iter().map(ids_of).collect();
        assert_eq!(ids, [vec!["c1", "c4"], vec!["c2", "c6"], vec!["c3"]]);
    }

    #[test]
    fn each_command_follows_the_one_before_it_of_its_aggregate() {
        let mut all: Vec<Due> = [(3, "A"), (5, "B"), (7, "A"), (9, "A")]
            .map(|(number, key)| due(number, SignerRole::Admin, &[key]))
            .to_vec();
        let batch = |purpose, commands: &[Due]| Batch {
            signer: SignerRole::Admin,
            purpose,
            commands: commands.to_vec(),
        };
        assert_eq!(batch(Purpose::Execute, &all).after(), [0, 0, 3, 7]);
        all.truncate(2);
        assert_eq!(batch(Purpose::Cancel, &all).after(), [3, 5]);
    }
}
