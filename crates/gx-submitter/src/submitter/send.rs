//! Sends a batch: has it endorsed, splits it if it is refused, stores and submits it. Called by the
//! step for each batch of a claim, several at a time.

use std::collections::{HashSet, VecDeque};

use gx_db::{StoredCommandId, TxId};
use gx_fabric_client::{LedgerError, Phase};
use gx_model::SignerRole;
use gx_outbox::failure::{DbErrorCause, FailureClass};
use gx_outbox::submitter::{Batch, Blame, Due, Lease, Try, logged_ids};
use rand::rngs::StdRng;

use super::Submitter;
use crate::contract_call::contract_call;
use crate::endorse_failure::EndorseFailure;
use crate::error::SubmitterError;
use crate::outage::SeenFailure;
use crate::suspects::Step;

/// Result of sending one piece of a batch.
pub(crate) enum Sent {
    /// The piece is dealt with; continue with the others.
    Done,
    /// The piece was refused as a whole: try each half by itself.
    Split,
    /// The ledger cannot serve: the other pieces are not tried now.
    Stop,
    /// Another submitter has leased a lane, so the other pieces must not be sent.
    Lost,
}

/// Whether this submitter still holds the lanes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseState {
    /// It holds them, as far as it knows.
    Held,
    /// Another submitter has leased one of them.
    Lost,
}

/// A batch in flight, with its lease and its try.
pub(crate) struct BatchInFlight<'a> {
    pub(crate) lease: &'a Lease,
    pub(crate) tried: Try,
    pub(crate) rng: StdRng,
}

/// A signed envelope that is not stored yet.
pub(crate) struct SignedEnvelope {
    pub(crate) tx_id: TxId,
    pub(crate) bytes: Vec<u8>,
}

impl Submitter {
    /// Has a call endorsed and returns the signed envelope.
    pub(crate) async fn endorse(
        &self,
        signer: SignerRole,
        function: &str,
        args: &[String],
    ) -> Result<SignedEnvelope, LedgerError> {
        let signer = self.context.signers.of(signer);
        let endorsed = self.context.ledger.endorse(signer, function, args).await?;
        Ok(SignedEnvelope { tx_id: endorsed.tx_id.into(), bytes: endorsed.envelope })
    }

    /// Sends a batch whose try was counted. Commands that cannot be sent now stay PENDING. If the
    /// database does not record the end of the try, the next claim withdraws it: this process is
    /// still running, so no command stopped it.
    pub(crate) async fn send(
        &self,
        batch: Batch,
        tried: Try,
        lease: &Lease,
    ) -> Result<LeaseState, SubmitterError> {
        self.sync_points.reach("counted").await;
        let mut in_flight = BatchInFlight { lease, tried, rng: self.rng() };
        let sent = self.send_pieces(batch, &mut in_flight).await;
        if sent.is_err() && !in_flight.tried.is_over() {
            self.shared().unfinished_tries.push(in_flight.tried.number());
        }
        sent
    }

    /// Sends a batch piece by piece; a piece that is refused as a whole becomes two.
    async fn send_pieces(
        &self,
        batch: Batch,
        in_flight: &mut BatchInFlight<'_>,
    ) -> Result<LeaseState, SubmitterError> {
        let lease = in_flight.lease;
        let mut kept_back = HashSet::new();
        let mut pieces = VecDeque::from([batch]);
        while let Some(piece) = pieces.pop_front() {
            let piece = self.without_kept_back(piece, in_flight, &mut kept_back).await?;
            if piece.commands.is_empty() {
                continue;
            }
            let sent = self.send_piece(&piece, in_flight).await?;
            match sent {
                Sent::Done => kept_back.extend(piece.touches()),
                Sent::Split => {
                    let (first, second) = split_in_half(piece);
                    pieces.push_front(second);
                    pieces.push_front(first);
                    // Splitting repeatedly may take longer than one endorsement.
                    if !self.renew(lease).await? {
                        self.withdraw_all(pieces, in_flight).await?;
                        return Ok(LeaseState::Lost);
                    }
                }
                Sent::Stop | Sent::Lost => {
                    self.withdraw_all(pieces, in_flight).await?;
                    let is_lost = matches!(sent, Sent::Lost);
                    return Ok(if is_lost { LeaseState::Lost } else { LeaseState::Held });
                }
            }
        }
        Ok(LeaseState::Held)
    }

    /// Withdraws the commands that touch the same accounts as an earlier piece: they would conflict
    /// with it or overtake it.
    async fn without_kept_back(
        &self,
        piece: Batch,
        in_flight: &mut BatchInFlight<'_>,
        kept_back: &mut HashSet<String>,
    ) -> Result<Batch, SubmitterError> {
        let mut go = Vec::with_capacity(piece.commands.len());
        let mut wait = Vec::new();
        for command in piece.commands {
            if command.touches.iter().any(|key| kept_back.contains(key)) {
                kept_back.extend(command.touches);
                wait.push(command.command_id);
            } else {
                go.push(command);
            }
        }
        if !wait.is_empty() {
            self.withdraw(&wait, in_flight, None).await?;
        }
        Ok(Batch { commands: go, ..piece })
    }

    /// Has one piece endorsed, stores and submits it, and returns what to do with the others.
    async fn send_piece(
        &self,
        piece: &Batch,
        in_flight: &mut BatchInFlight<'_>,
    ) -> Result<Sent, SubmitterError> {
        let call = match contract_call(piece.purpose, &piece.commands, &mut in_flight.rng) {
            Ok(call) => call,
            Err(_) if piece.commands.len() > 1 => return Ok(Sent::Split),
            Err(unreadable) => {
                // Only the command itself can be the reason.
                let (ids, why) = ([unreadable.command_id], unreadable.reason);
                self.fail(&ids, in_flight, FailureClass::Refused, &why, Blame::Command).await?;
                return Ok(Sent::Done);
            }
        };
        match self.endorse(piece.signer, call.function, &call.args).await {
            Ok(envelope) => {
                self.ledger_answered(Phase::Endorse);
                self.shared().passed(Step::Endorse, piece.signer, &envelope.tx_id);
                self.sync_points.reach("endorsed").await;
                self.store_and_submit(piece, in_flight, &envelope).await
            }
            Err(error) => self.not_endorsed(piece, in_flight, &error).await,
        }
    }

    /// Handles a batch that was not endorsed, so that no transaction exists. What happens next
    /// depends on the reason and on the number of commands: a failure of several charges none of
    /// them.
    async fn not_endorsed(
        &self,
        piece: &Batch,
        in_flight: &mut BatchInFlight<'_>,
        error: &LedgerError,
    ) -> Result<Sent, SubmitterError> {
        self.ledger_failed(Phase::Endorse, error);
        let (failure, ids, message) = (EndorseFailure::of(error), piece.ids(), error.to_string());
        let is_alone = ids.len() == 1;
        if matches!(failure, EndorseFailure::Refused(_)) && !is_alone {
            return Ok(Sent::Split);
        }
        let commands = ids.len();
        tracing::warn!(commands, command_ids = ?logged_ids(&ids), error = %message,
            "a batch of {commands} commands was not endorsed");
        let is_over = self.endorsing_failed(failure, (lone(&ids), piece.signer), error);
        let (class, blame) = (failure.class(), Blame::LoneCommand { block: None });
        match failure {
            EndorseFailure::NoConnection => self.withdraw(&ids, in_flight, Some(&message)).await?,
            _ if is_alone => self.fail(&ids, in_flight, class, &message, blame).await?,
            // If no peer serves the same batch twice, the batch may contain the reason.
            EndorseFailure::Unavailable if !self.shared().record_not_endorsed(&ids) => {
                self.withdraw(&ids, in_flight, Some(&message)).await?;
            }
            _ => self.fail(&ids, in_flight, class, &message, Blame::Nobody).await?,
        }
        Ok(if is_over { Sent::Stop } else { Sent::Done })
    }

    /// Records a failed endorsement, and backs off if the ledger is the cause. Returns whether
    /// nothing more may be sent now.
    pub(crate) fn endorsing_failed(
        &self,
        failure: EndorseFailure,
        (alone, signer): (Option<&StoredCommandId>, SignerRole),
        error: &LedgerError,
    ) -> bool {
        let Some(max_wait) = failure.max_wait() else {
            self.shared().suspects.failed(Step::Endorse, alone.map(|id| (id, signer)));
            self.back_off_ledger(Phase::Endorse, error);
            return true;
        };
        let (code, why) = (error.kind(), error.to_string());
        self.step_failed(Step::Endorse, SeenFailure { alone, signer, code, why: &why, max_wait })
    }

    /// Records a failure at a step and returns whether there is an outage now.
    pub(crate) fn step_failed(&self, step: Step, failure: SeenFailure<'_>) -> bool {
        let now = self.now();
        self.shared().failed(step, failure, now)
    }

    /// Renews the lease. Returns `false` if another submitter has leased one of its lanes.
    async fn renew(&self, lease: &Lease) -> Result<bool, SubmitterError> {
        let mut conn = self.context.pool.acquire().await?;
        let (mut lease, until) = (lease.clone(), self.now() + self.settings.lease());
        Ok(gx_outbox::submitter::renew(&mut conn, &mut lease, until).await?)
    }

    /// Ends, without a charge, the try of the pieces that were not sent.
    async fn withdraw_all(
        &self,
        pieces: VecDeque<Batch>,
        in_flight: &mut BatchInFlight<'_>,
    ) -> Result<(), SubmitterError> {
        let rest: Vec<_> = pieces.iter().flat_map(Batch::ids).collect();
        if rest.is_empty() { Ok(()) } else { self.withdraw(&rest, in_flight, None).await }
    }

    /// Ends the try of these commands without a charge.
    pub(crate) async fn withdraw(
        &self,
        ids: &[StoredCommandId],
        in_flight: &mut BatchInFlight<'_>,
        why: Option<&str>,
    ) -> Result<(), SubmitterError> {
        let mut conn = self.context.pool.acquire().await?;
        gx_outbox::submitter::withdraw_try(&mut conn, &mut in_flight.tried, ids, why, self.now())
            .await?;
        Ok(())
    }

    /// Ends the try of these commands as failed. A command whose row cannot be written is skipped
    /// for a while.
    pub(crate) async fn fail(
        &self,
        ids: &[StoredCommandId],
        in_flight: &mut BatchInFlight<'_>,
        class: FailureClass,
        message: &str,
        blame: Blame,
    ) -> Result<(), SubmitterError> {
        let BatchInFlight { tried, rng, .. } = in_flight;
        let (policy, now) = (&self.context.retry, self.now());
        let mut conn = self.context.pool.acquire().await?;
        let failure = gx_outbox::submitter::TryFailure { class, message, blame };
        match gx_outbox::submitter::fail_try(&mut conn, tried, ids, failure, policy, rng, now).await
        {
            Err(error) if DbErrorCause::of(&error) == DbErrorCause::Data => {
                tracing::warn!(commands = ids.len(), command_ids = ?logged_ids(ids), error = %error,
                    "the rows of {} commands cannot be changed; the commands are skipped for 60 s",
                    ids.len());
                ids.iter().for_each(|id| self.shared().skip(id, now));
                drop(conn);
                self.withdraw(ids, in_flight, None).await
            }
            other => Ok(other?),
        }
    }
}

/// Returns the only one of these ids, or `None` if there are several.
pub(crate) fn lone(ids: &[StoredCommandId]) -> Option<&StoredCommandId> {
    match ids {
        [id] => Some(id),
        _ => None,
    }
}

fn split_in_half(mut piece: Batch) -> (Batch, Batch) {
    let commands: Vec<Due> = piece.commands.split_off(piece.commands.len() / 2);
    let second = Batch { signer: piece.signer, purpose: piece.purpose, commands };
    (piece, second)
}
