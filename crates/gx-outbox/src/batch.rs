//! Which of the due commands go into one transaction.

use std::collections::HashSet;

use gx_model::SignerRole;

use crate::attempt::Purpose;
use crate::claim::Due;

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

    /// The commands' ids, in order.
    pub fn ids(&self) -> Vec<String> {
        self.commands.iter().map(|command| command.command_id.clone()).collect()
    }
}

/// The longest batch that may go now: one signer, one purpose, within the limits, and
/// nothing in common with `busy`, what open attempts touch.
///
/// A command that is left out keeps back all that touch the same accounts after it, so
/// that none overtakes another.
pub fn form(due: Vec<Due>, busy: &HashSet<String>, limits: BatchLimits) -> Option<Batch> {
    let mut kept_back = busy.clone();
    let mut batch: Option<Batch> = None;
    let mut bytes = 0;
    for command in due {
        let fits = batch.as_ref().is_none_or(|batch| {
            batch.signer == command.signer
                && batch.purpose == command.purpose
                && batch.commands.len() < limits.max_commands
                && bytes + command.bytes <= limits.max_bytes
        });
        if !fits || command.touches.iter().any(|key| kept_back.contains(key)) {
            kept_back.extend(command.touches);
            continue;
        }
        bytes += command.bytes;
        let (signer, purpose) = (command.signer, command.purpose);
        batch
            .get_or_insert_with(|| Batch { signer, purpose, commands: Vec::new() })
            .commands
            .push(command);
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(number: i64, signer: SignerRole, touches: &[&str]) -> Due {
        Due {
            number,
            command_id: format!("c{number}"),
            kind: "TRANSFER".to_owned(),
            payload: serde_json::Value::Null,
            signer,
            purpose: Purpose::Execute,
            aggregate_key: touches[0].to_owned(),
            touches: touches.iter().map(|key| (*key).to_owned()).collect(),
            interrupted: 0,
            bytes: 100,
        }
    }

    fn ids(due: Vec<Due>, busy: &[&str], limits: BatchLimits) -> Vec<String> {
        let busy = busy.iter().map(|key| (*key).to_owned()).collect();
        form(due, &busy, limits).map(|batch| batch.ids()).unwrap_or_default()
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
}
