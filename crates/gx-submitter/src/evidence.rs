//! What the last validated envelopes say: whether the ledger validates anything, and whether a
//! command that failed alone caused its failure. Each claim reads these envelopes once and asks
//! before it forms batches and charges commands.

use std::collections::HashSet;

use gx_db::{StoredCommandId, TxId};
use gx_fabric_client::ValidationCode;
use gx_model::SignerRole;
use gx_outbox::failure::FailureClass;
use gx_outbox::submitter::{Due, JudgedAttempt, LoneFailure};
use time::OffsetDateTime;

/// Number of ended attempts that are looked at, from the newest back.
pub(crate) const WINDOW: i64 = 64;
/// Number of read conflicts in a row, without a valid envelope between them, that count as an
/// outage. Other clients of the ledger cause some conflicts.
const CONFLICTS_OF_AN_OUTAGE: usize = 8;

/// The attempts that ended last, and the number of open attempts.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    /// Newest first, at most [`WINDOW`].
    pub(crate) judged: Vec<JudgedAttempt>,
    pub(crate) open: i64,
}

/// No envelope has been valid for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AllInvalid {
    /// The newest validation code, and the id of its transaction.
    pub(crate) code: String,
    pub(crate) newest: TxId,
    /// When the first of these failures was recorded.
    pub(crate) since: OffsetDateTime,
    /// Number of envelopes that failed since the last valid one.
    pub(crate) failures: u32,
}

/// What caused the failure of a command that failed alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The command: the next envelope was valid.
    Command,
    /// Unknown: the next envelope failed too, or it is no longer in the window.
    NotProven,
    /// Unknown so far: no other envelope has ended since.
    Undecided,
}

impl Evidence {
    /// Returns the newest block with a valid envelope, or `None` if no envelope in the window is
    /// valid.
    pub(crate) fn newest_valid(&self) -> Option<i64> {
        self.judged.iter().find(|one| one.is_valid).map(|one| one.block)
    }

    /// Returns the failures since the last valid envelope if they are an outage, or `None`. If one
    /// command is in every failed envelope, it explains the failures and there is no outage. A few
    /// read conflicts are no outage either.
    pub(crate) fn all_invalid(&self) -> Option<AllInvalid> {
        let valid = self.newest_valid();
        let is_later = |one: &&JudgedAttempt| valid.is_none_or(|valid| one.block > valid);
        let failed: Vec<_> =
            self.judged.iter().take_while(is_later).filter(|one| !one.is_valid).collect();
        let others: Vec<_> = failed.iter().copied().filter(|one| !is_conflict(one)).collect();
        let is_many = failed.len() >= CONFLICTS_OF_AN_OUTAGE && !has_common_command(&failed);
        if !is_many && (others.is_empty() || has_common_command(&others)) {
            return None;
        }
        let (newest, oldest) = (failed.first()?, failed.last()?);
        Some(AllInvalid {
            code: newest.code.clone().unwrap_or_else(|| "REFUSED_BY_THE_ORDERER".to_owned()),
            newest: newest.tx_id.clone(),
            since: oldest.settled_at,
            failures: u32::try_from(failed.len()).unwrap_or(u32::MAX),
        })
    }

    /// Returns what the envelopes after `block` say about a command that failed alone in it.
    ///
    /// Only the next envelope counts: at the end of an outage, a valid envelope follows only the
    /// last failure. An envelope of another signer says nothing, because the certificate of one
    /// signer may have expired.
    pub(crate) fn cause(
        &self,
        (command_id, signer): (&StoredCommandId, SignerRole),
        class: FailureClass,
        block: i64,
    ) -> Cause {
        let reaches_back = i64::try_from(self.judged.len()).is_ok_and(|count| count < WINDOW)
            || self.judged.last().is_some_and(|oldest| oldest.block <= block);
        if !reaches_back {
            return Cause::NotProven;
        }
        let of_a_kind = |one: &&JudgedAttempt| {
            one.is_valid || is_conflict(one) == (class == FailureClass::Conflict)
        };
        let later = self.judged.iter().filter(|one| one.block > block && one.is_by(signer));
        let others = later.filter(|one| !one.carries_only(command_id));
        let others: Vec<_> = others.filter(of_a_kind).collect();
        let Some(next) = others.last().map(|one| one.block) else { return Cause::Undecided };
        if others.iter().any(|one| one.block == next && one.is_valid) {
            Cause::Command
        } else {
            Cause::NotProven
        }
    }

    /// Returns whether a command failed alone in an envelope and no other envelope has ended since.
    pub(crate) fn is_undecided(&self, due: &Due) -> bool {
        let Some(LoneFailure { class, block: Some(block), .. }) = &due.alone else { return false };
        self.cause((&due.command_id, due.signer), *class, *block) == Cause::Undecided
    }

    /// Returns whether an envelope failed after that block other than by a read conflict.
    pub(crate) fn failed_after(&self, block: i64) -> bool {
        let mut later = self.judged.iter().filter(|one| one.block > block);
        later.any(|one| !one.is_valid && !is_conflict(one))
    }
}

/// Returns whether one command is in all of these envelopes.
fn has_common_command(failed: &[&JudgedAttempt]) -> bool {
    let Some((first, rest)) = failed.split_first() else { return false };
    let mut common: HashSet<&StoredCommandId> = first.commands.iter().collect();
    for one in rest {
        let these: HashSet<&StoredCommandId> = one.commands.iter().collect();
        common.retain(|id| these.contains(id));
    }
    !common.is_empty()
}

fn is_conflict(one: &JudgedAttempt) -> bool {
    let codes = [ValidationCode::MVCC_READ_CONFLICT, ValidationCode::PHANTOM_READ_CONFLICT];
    one.code.as_deref().is_some_and(|code| codes.iter().any(|conflict| conflict.name() == code))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const POLICY: &str = "ENDORSEMENT_POLICY_FAILURE";
    const ADMIN: SignerRole = SignerRole::Admin;
    const CONFLICT: &str = "MVCC_READ_CONFLICT";

    fn command(id: &str) -> StoredCommandId {
        id.to_owned().into()
    }

    fn judged(block: i64, code: &str, commands: &[&str]) -> JudgedAttempt {
        JudgedAttempt {
            tx_id: format!("tx{block}{}", commands.concat()).into(),
            block,
            code: Some(code.to_owned()),
            is_valid: code == "VALID",
            signer: Some(SignerRole::Admin),
            commands: commands.iter().map(|id| command(id)).collect(),
            settled_at: datetime!(2026-06-01 12:00 UTC) + time::Duration::seconds(block),
        }
    }

    /// Takes the attempts in the order of the chain, which is easier to read.
    fn evidence(in_order: &[JudgedAttempt]) -> Evidence {
        Evidence { judged: in_order.iter().rev().cloned().collect(), open: 0 }
    }

    /// OUT-15: an outage is a series of failed envelopes without a common command and without a
    /// valid one.
    #[test]
    fn failures_without_a_common_command_or_a_valid_envelope_are_an_outage() {
        let valid = judged(1, "VALID", &[]);
        let all = judged(2, POLICY, &["a", "b", "c", "d"]);
        let (half, other) = (judged(3, POLICY, &["a", "b"]), judged(4, POLICY, &["c", "d"]));
        assert_eq!(evidence(&[valid.clone(), all.clone()]).all_invalid(), None);
        let one_half = [valid.clone(), all.clone(), half.clone()];
        assert_eq!(evidence(&one_half).all_invalid(), None, "a or b may be to blame");
        let both = [one_half.as_slice(), &[other]].concat();
        let all_invalid = evidence(&both).all_invalid().unwrap();
        assert_eq!((all_invalid.code.as_str(), all_invalid.failures), (POLICY, 3));
        assert_eq!(all_invalid.since, datetime!(2026-06-01 12:00:02 UTC));
        let over = [both.as_slice(), &[judged(5, "VALID", &[])]].concat();
        assert_eq!(evidence(&over).all_invalid(), None);
        // A block that has a valid envelope and a failed one shows that the ledger works.
        let beside =
            [judged(2, POLICY, &["a"]), judged(3, POLICY, &["b"]), judged(3, "VALID", &[])];
        assert_eq!(evidence(&beside).all_invalid(), None);
    }

    #[test]
    fn one_command_that_fails_again_and_again_is_no_outage() {
        let alone: Vec<_> = (1..60).map(|block| judged(block, POLICY, &["a"])).collect();
        assert_eq!(evidence(&alone).all_invalid(), None);
        // A witness carries no command, so that no command explains its failure.
        for other in [&["b"][..], &[]] {
            let two = [alone.as_slice(), &[judged(60, POLICY, other)]].concat();
            assert!(evidence(&two).all_invalid().is_some());
        }
    }

    #[test]
    fn a_few_conflicts_are_no_outage_and_many_are() {
        let id = |block: i64| block.to_string();
        let some: Vec<_> = (1..8).map(|block| judged(block, CONFLICT, &[&id(block)])).collect();
        assert_eq!(evidence(&some).all_invalid(), None);
        let many = [some.as_slice(), &[judged(8, CONFLICT, &["x"])]].concat();
        assert_eq!(evidence(&many).all_invalid().unwrap().code, CONFLICT);
        let hot: Vec<_> = (1..60).map(|block| judged(block, CONFLICT, &["x"])).collect();
        assert_eq!(evidence(&hot).all_invalid(), None);
    }

    /// OUT-15: a command is charged if the next envelope after its own is valid, and only then.
    #[test]
    fn only_the_last_failure_before_a_valid_envelope_is_the_commands_own() {
        let all = [
            judged(1, POLICY, &["a"]),
            judged(2, POLICY, &["b"]),
            judged(3, "VALID", &["c"]),
            judged(4, POLICY, &["d"]),
        ];
        let evidence = evidence(&all);
        let cause = |id, block| evidence.cause((&command(id), ADMIN), FailureClass::Invalid, block);
        assert_eq!(cause("a", 1), Cause::NotProven);
        assert_eq!(cause("b", 2), Cause::Command);
        assert_eq!(cause("d", 4), Cause::Undecided);
    }

    /// OUT-15: a valid envelope signed by the administrator proves nothing about a command that the
    /// super administrator signs.
    #[test]
    fn another_signers_envelope_proves_nothing() {
        let mut valid = judged(3, "VALID", &["c"]);
        let before = evidence(&[judged(2, POLICY, &["a"]), valid.clone()]);
        let cause = |of: &Evidence| {
            of.cause((&command("a"), SignerRole::SuperAdmin), FailureClass::Invalid, 2)
        };
        assert_eq!(cause(&before), Cause::Undecided);
        valid.signer = Some(SignerRole::SuperAdmin);
        let after = evidence(&[judged(2, POLICY, &["a"]), valid]);
        assert_eq!(cause(&after), Cause::Command);
    }

    #[test]
    fn a_conflict_says_nothing_about_other_failures_nor_does_the_commands_own() {
        let all = [
            judged(1, POLICY, &["a"]),
            judged(2, CONFLICT, &["x"]),
            judged(2, POLICY, &["a"]),
            judged(3, "VALID", &[]),
        ];
        assert_eq!(
            evidence(&all).cause((&command("a"), ADMIN), FailureClass::Invalid, 1),
            Cause::Command
        );
        assert_eq!(
            evidence(&all).cause((&command("b"), ADMIN), FailureClass::Conflict, 1),
            Cause::NotProven
        );
    }

    #[test]
    fn attempts_beyond_the_window_are_unknown() {
        let all: Vec<_> = (10..10 + WINDOW).map(|block| judged(block, "VALID", &[])).collect();
        assert_eq!(
            evidence(&all).cause((&command("a"), ADMIN), FailureClass::Invalid, 9),
            Cause::NotProven
        );
        assert_eq!(
            evidence(&all).cause((&command("a"), ADMIN), FailureClass::Invalid, 10),
            Cause::Command
        );
    }
}
