//! Commands that failed alone before their envelope was stored. Each is charged if the next
//! envelope of the same signer that passes the same step is valid. They are kept in memory: if a
//! suspect is lost, its command is not charged. `submitter::send`, `storing` and `witness` record
//! failures and successes; `failure_review` takes the commands to charge at each claim.

use std::collections::HashMap;

use gx_db::{StoredCommandId, TxId};
use gx_model::SignerRole;
use gx_outbox::submitter::AttemptEnd;

/// Limit of the suspects; the oldest is dropped first.
const MAX_SUSPECTS: usize = 64;

/// The steps at which a try can fail before its envelope is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Endorsement by the ledger.
    Endorse,
    /// Storing in the database.
    Store,
}

/// The commands that failed alone, with the step at which they failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Suspects(Vec<Suspect>);

#[derive(Clone, Debug)]
struct Suspect {
    command_id: StoredCommandId,
    signer: SignerRole,
    step: Step,
    /// The next envelope that passed this step.
    witness: Option<TxId>,
}

impl Suspects {
    /// Records a failure at a step, and drops the suspects at this step that have no witness yet:
    /// they may have failed for the same reason. If the command was tried alone, `alone` holds its
    /// id and signer, and the command becomes a suspect.
    pub(crate) fn failed(&mut self, step: Step, alone: Option<(&StoredCommandId, SignerRole)>) {
        self.0.retain(|one| {
            let is_same = alone.is_some_and(|(id, _)| *id == one.command_id);
            !is_same && (one.step != step || one.witness.is_some())
        });
        if let Some((id, signer)) = alone {
            if self.0.len() >= MAX_SUSPECTS {
                self.0.remove(0);
            }
            self.0.push(Suspect { command_id: id.clone(), signer, step, witness: None });
        }
    }

    /// Records that an envelope passed a step, as the witness of the suspects of the same signer.
    pub(crate) fn passed(&mut self, step: Step, signer: SignerRole, tx_id: &TxId) {
        let waiting = self.0.iter_mut().filter(|one| one.step == step && one.witness.is_none());
        for one in waiting.filter(|one| one.signer == signer) {
            one.witness = Some(tx_id.clone());
        }
    }

    /// Drops the suspects whose witness was endorsed but not stored.
    pub(crate) fn not_stored(&mut self, tx_id: &TxId) {
        self.0.retain(|one| one.witness.as_ref() != Some(tx_id));
    }

    /// Returns whether a command is a suspect and its next envelope has the same signer. A command
    /// that is discarded meanwhile is cancelled by another signer; its failure says nothing about
    /// that, and no witness of that signer would ever explain it.
    pub(crate) fn contains(&self, command_id: &StoredCommandId, signer: SignerRole) -> bool {
        self.0.iter().any(|one| one.command_id == *command_id && one.signer == signer)
    }

    /// Returns the witnesses, whose ends [`Self::take_to_charge`] wants to know.
    pub(crate) fn witnesses(&self) -> Vec<TxId> {
        self.0.iter().filter_map(|one| one.witness.clone()).collect()
    }

    /// Takes the commands whose witnesses are valid and returns them to be charged. A suspect is
    /// dropped if its witness failed, or was never stored.
    pub(crate) fn take_to_charge(
        &mut self,
        witnesses: &HashMap<TxId, AttemptEnd>,
    ) -> Vec<StoredCommandId> {
        let mut charged = Vec::new();
        self.0.retain(|one| {
            let Some(witness) = &one.witness else { return true };
            match witnesses.get(witness) {
                Some(AttemptEnd::Open) => return true,
                Some(AttemptEnd::Valid) => charged.push(one.command_id.clone()),
                Some(AttemptEnd::Failed) | None => {}
            }
            false
        });
        charged
    }
}

#[cfg(test)]
mod tests {
    use gx_outbox::submitter::AttemptEnd::{Failed, Open, Valid};

    use super::*;

    fn command(id: &str) -> StoredCommandId {
        id.to_owned().into()
    }

    fn tx(id: &str) -> TxId {
        id.to_owned().into()
    }

    fn ends<const N: usize>(ends: [(&str, AttemptEnd); N]) -> HashMap<TxId, AttemptEnd> {
        ends.into_iter().map(|(tx_id, end)| (tx(tx_id), end)).collect()
    }

    /// OUT-15: a command that failed alone is charged when the next envelope is valid.
    #[test]
    fn a_suspect_is_charged_when_its_witness_is_valid() {
        let mut suspects = Suspects::default();
        suspects.failed(Step::Endorse, Some((&command("a"), SignerRole::Admin)));
        suspects.passed(Step::Store, SignerRole::Admin, &tx("tx0"));
        suspects.passed(Step::Endorse, SignerRole::Admin, &tx("tx1"));
        suspects.passed(Step::Endorse, SignerRole::Admin, &tx("tx2"));
        assert_eq!(suspects.witnesses(), [tx("tx1")]);
        assert!(suspects.take_to_charge(&ends([("tx1", Open)])).is_empty());
        assert_eq!(suspects.take_to_charge(&ends([("tx1", Valid)])), [command("a")]);
        assert!(suspects.take_to_charge(&ends([("tx1", Valid)])).is_empty());
    }

    /// OUT-15: a command whose signer's certificate has expired is not charged because another
    /// signer's envelopes are valid.
    #[test]
    fn another_signers_envelope_witnesses_nothing() {
        let mut suspects = Suspects::default();
        suspects.failed(Step::Endorse, Some((&command("a"), SignerRole::SuperAdmin)));
        suspects.passed(Step::Endorse, SignerRole::Admin, &tx("tx1"));
        assert!(suspects.take_to_charge(&ends([("tx1", Valid)])).is_empty());
        assert!(suspects.contains(&command("a"), SignerRole::SuperAdmin));
    }

    /// A command of the super administrator that failed alone and is then discarded is cancelled by
    /// the administrator, at once.
    #[test]
    fn a_suspect_of_one_signer_does_not_wait_to_be_cancelled_by_another() {
        let mut suspects = Suspects::default();
        suspects.failed(Step::Endorse, Some((&command("a"), SignerRole::SuperAdmin)));
        assert!(suspects.contains(&command("a"), SignerRole::SuperAdmin));
        assert!(!suspects.contains(&command("a"), SignerRole::Admin));
    }

    /// OUT-15: a command that failed in a row of failures is not charged, and neither is one whose
    /// witness failed.
    #[test]
    fn only_the_last_failure_in_a_row_makes_a_suspect() {
        let mut suspects = Suspects::default();
        suspects.failed(Step::Endorse, Some((&command("a"), SignerRole::Admin)));
        suspects.failed(Step::Endorse, None);
        suspects.failed(Step::Endorse, Some((&command("b"), SignerRole::Admin)));
        suspects.failed(Step::Endorse, Some((&command("c"), SignerRole::Admin)));
        suspects.passed(Step::Endorse, SignerRole::Admin, &tx("tx1"));
        assert!(suspects.take_to_charge(&ends([("tx1", Failed)])).is_empty());
        suspects.failed(Step::Store, Some((&command("d"), SignerRole::Admin)));
        suspects.passed(Step::Store, SignerRole::Admin, &tx("tx2"));
        suspects.not_stored(&tx("tx2"));
        assert!(suspects.take_to_charge(&ends([("tx1", Valid), ("tx2", Valid)])).is_empty());
    }

    /// A suspect that waited for a witness that was never stored would hold its command back, and
    /// new witnesses would be sent, for ever.
    #[test]
    fn a_suspect_waits_while_its_witness_is_open_and_is_dropped_if_it_was_never_stored() {
        let mut suspects = Suspects::default();
        suspects.failed(Step::Endorse, Some((&command("a"), SignerRole::Admin)));
        suspects.passed(Step::Endorse, SignerRole::Admin, &tx("tx1"));
        suspects.take_to_charge(&ends([("tx1", Open)]));
        assert!(suspects.contains(&command("a"), SignerRole::Admin));
        suspects.take_to_charge(&ends([("tx2", Open)]));
        assert!(!suspects.contains(&command("a"), SignerRole::Admin));
    }

    #[test]
    fn suspects_are_bounded() {
        let mut suspects = Suspects::default();
        for n in 0..1_000 {
            suspects.failed(Step::Endorse, Some((&command(&n.to_string()), SignerRole::Admin)));
            suspects.passed(Step::Endorse, SignerRole::Admin, &tx("tx"));
        }
        assert_eq!(suspects.take_to_charge(&ends([("tx", Valid)])).len(), MAX_SUSPECTS);
    }
}
