//! Charges and resumes single commands, each in its own transaction, so that one row that cannot be
//! written holds back no other command. The claim finds the commands; the step calls `carry_out`
//! after it has sent the batches.

use gx_db::{PgConnection, StoredCommandId};
use gx_outbox::failure::DbErrorCause;
use gx_outbox::submitter::{ChargeResult, Due, LoneFailure};

use super::Submitter;
use crate::evidence::{Cause, Evidence};

/// A command whose earlier failure must be dealt with before it is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FailureReview {
    command_id: StoredCommandId,
    action: FailureAction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailureAction {
    /// The command failed alone and another envelope succeeded afterwards: it is charged.
    Charge {
        /// The newest block with a valid envelope.
        proven_at: Option<i64>,
    },
    /// The submitter decided to give the command up, and may be wrong: it is tried again.
    Resume,
}

impl FailureReview {
    pub(crate) fn command_id(&self) -> &StoredCommandId {
        &self.command_id
    }

    /// Returns the review that a due command needs, if any.
    pub(crate) fn of(due: &Due, evidence: &Evidence) -> Option<Self> {
        let action = match (&due.alone, due.give_up) {
            (_, Some(give_up)) => {
                // Failures since then show that the ledger caused them. What an earlier release saw
                // is not known.
                let is_doubtful = give_up.proven_at.is_none_or(|at| evidence.failed_after(at));
                is_doubtful.then_some(FailureAction::Resume)
            }
            (Some(LoneFailure { class, block: Some(block), .. }), None) => {
                let cause = evidence.cause((&due.command_id, due.signer), *class, *block);
                let proven_at = evidence.newest_valid();
                (cause == Cause::Command).then_some(FailureAction::Charge { proven_at })
            }
            (Some(LoneFailure { block: None, .. }) | None, None) => None,
        };
        action.map(|action| Self { command_id: due.command_id.clone(), action })
    }
}

impl Submitter {
    /// Returns the commands that failed alone before an envelope was stored and whose witnesses are
    /// valid.
    pub(crate) async fn commands_to_charge(
        &self,
        conn: &mut PgConnection,
        evidence: &Evidence,
    ) -> Result<Vec<FailureReview>, sqlx::Error> {
        let witnesses = self.shared().suspects.witnesses();
        if witnesses.is_empty() {
            return Ok(vec![]);
        }
        let ends = gx_outbox::submitter::attempt_ends(conn, &witnesses).await?;
        let charged = self.shared().suspects.take_to_charge(&ends);
        let action = FailureAction::Charge { proven_at: evidence.newest_valid() };
        Ok(charged.into_iter().map(|command_id| FailureReview { command_id, action }).collect())
    }

    /// Carries out the reviews. A command whose row cannot be written is skipped for a while.
    pub(crate) async fn carry_out(&self, reviews: Vec<FailureReview>) -> Result<(), sqlx::Error> {
        for review in reviews {
            match self.carry_out_one(&review).await {
                Err(error) if DbErrorCause::of(&error) == DbErrorCause::Data => {
                    tracing::warn!(command_id = review.command_id.as_str(), error = %error,
                        "the row of command {} cannot be changed; the command is skipped for 60 s",
                        review.command_id);
                    let now = self.now();
                    self.shared().skip(&review.command_id, now);
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Charges or resumes one command. If its status has changed since, nothing happens.
    async fn carry_out_one(&self, review: &FailureReview) -> Result<(), sqlx::Error> {
        let (id, policy, now) = (&review.command_id, &self.context.retry, self.now());
        let mut conn = self.context.pool.acquire().await?;
        match review.action {
            FailureAction::Charge { proven_at } => {
                match gx_outbox::submitter::charge(&mut conn, id, proven_at, policy, now).await? {
                    ChargeResult::NotPending => {}
                    result => {
                        metrics::counter!("gx_outbox_charged_total").increment(1);
                        if result == ChargeResult::GivenUp {
                            metrics::counter!("gx_outbox_given_up_total").increment(1);
                        }
                    }
                }
            }
            FailureAction::Resume => {
                if gx_outbox::submitter::undo_give_up(&mut conn, id, policy, now).await? {
                    metrics::counter!("gx_outbox_taken_back_total").increment(1);
                }
            }
        }
        Ok(())
    }
}
