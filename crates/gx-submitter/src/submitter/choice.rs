//! Chooses which due commands are sent while it is unknown what makes transactions fail. The claim
//! asks before it forms batches; nothing here reads the database or can fail.
//!
//! A command whose earlier failure is unexplained waits, a command whose failure is explained is
//! reviewed, and in an outage one command goes as a probe.

use std::collections::HashSet;

use gx_model::SignerRole;
use gx_outbox::submitter::{Batch, BatchLimits, Due, Purpose};
use rand::seq::IndexedRandom;
use time::OffsetDateTime;

use super::Submitter;
use super::failure_review::FailureReview;
use crate::evidence::Evidence;
use crate::shared_state::Allowance;

/// Number of commands from which the probe is chosen.
pub(crate) const PROBE_CHOICE: usize = 100;

/// Due commands by what is done with them.
pub(crate) struct Choice {
    /// Commands that may be sent.
    pub(crate) sendable: Vec<Due>,
    /// Commands that are charged or resumed before they are tried again.
    pub(crate) reviews: Vec<FailureReview>,
    /// The signer of the first command that waits because its failure is unexplained.
    undecided: Option<SignerRole>,
}

impl Choice {
    /// Returns the signer whose transactions may all fail, which only a witness can disprove: the
    /// signer of a command that waits or, in an outage, of the first command.
    pub(crate) fn suspect_signer(&self, allowance: &Allowance) -> Option<SignerRole> {
        let first = || self.sendable.first().map(|one| one.signer);
        self.undecided.or_else(|| first().filter(|_| *allowance == Allowance::Probe))
    }
}

impl Submitter {
    /// Sorts due commands into those that may be sent, those that need a review and those that
    /// wait. What the last two touch is added to `busy`, so that no later command overtakes them.
    /// `reviewed` are the commands that this claim reviews already.
    pub(crate) fn choose(
        &self,
        due: Vec<Due>,
        reviewed: &[FailureReview],
        busy: &mut HashSet<String>,
        (evidence, allowance): (&Evidence, &Allowance),
        now: OffsetDateTime,
    ) -> Choice {
        let sendable = Vec::with_capacity(due.len());
        let mut choice = Choice { sendable, reviews: vec![], undecided: None };
        let reviewed: HashSet<_> = reviewed.iter().map(FailureReview::command_id).collect();
        let mut shared = self.shared();
        for command in due {
            let id = &command.command_id;
            let is_reviewed = reviewed.contains(id);
            let review = FailureReview::of(&command, evidence).filter(|_| !is_reviewed);
            let has_review = is_reviewed || review.is_some();
            let is_undecided = *allowance == Allowance::All
                && !command.is_tried_at_once
                && (shared.suspects.contains(id, command.signer)
                    || evidence.is_undecided(&command));
            if !has_review && !is_undecided && !shared.is_skipped(id, now) {
                choice.sendable.push(command);
                continue;
            }
            if is_undecided && !has_review {
                choice.undecided.get_or_insert(command.signer);
            }
            busy.extend(command.touches);
            choice.reviews.extend(review);
        }
        choice
    }

    /// Returns a batch of one command as the probe of an outage. It has not failed alone, so that a
    /// command that causes its own failure cannot stand for all, and it is an execution rather than
    /// a cancellation. Returns none if all due commands have failed alone.
    pub(crate) fn probe_of(
        &self,
        due: Vec<Due>,
        busy: &HashSet<String>,
        limits: BatchLimits,
    ) -> Vec<Batch> {
        metrics::counter!("gx_submitter_probes_total").increment(1);
        let one = BatchLimits { max_commands: 1, ..limits };
        let mut candidates = gx_outbox::submitter::form_batches(due, busy, one, PROBE_CHOICE);
        candidates.retain(|batch| batch.commands.iter().all(|command| command.alone.is_none()));
        let is_execution = |batch: &Batch| batch.purpose == Purpose::Execute;
        if candidates.iter().any(is_execution) {
            candidates.retain(is_execution);
        }
        candidates.choose(&mut self.shared().rng).cloned().into_iter().collect()
    }
}
