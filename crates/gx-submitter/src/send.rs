//! A batch on its way: endorsed, bisected where it is refused whole, stored, sent.

use std::collections::{HashSet, VecDeque};

use gx_fabric_client::{Endorsed, LedgerError, OutcomeClass, Phase};
use gx_outbox::{Batch, Due, FailureClass, Lease, NewAttempt, StoreRefusal, Try};
use rand::rngs::StdRng;

use crate::envelope;
use crate::error::SubmitterError;
use crate::submitter::Submitter;

/// What became of one piece of a batch.
enum Sent {
    /// Dealt with; go on with the rest.
    Done,
    /// Refused whole: each half is to be tried by itself.
    Split,
    /// The ledger cannot serve: the rest is not tried now.
    Stop,
    /// A lane was lost, and with it the right to send the rest.
    Lost,
}

/// Whether the lanes of a batch were still ours at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// As far as was seen.
    Yes,
    /// Another submitter has leased one.
    No,
}

/// A batch on its way, with what goes with it.
struct Parcel<'a> {
    lease: &'a Lease,
    tried: Try,
    rng: StdRng,
}

impl Submitter {
    /// Sends a batch whose try was counted. What cannot go now is put back.
    pub(crate) async fn send(
        &self,
        batch: Batch,
        tried: Try,
        lease: &Lease,
    ) -> Result<Kept, SubmitterError> {
        self.probe.at("counted").await;
        let mut parcel = Parcel { lease, tried, rng: self.rng() };
        let mut kept_back = HashSet::new();
        let mut pieces = VecDeque::from([batch]);
        while let Some(piece) = pieces.pop_front() {
            let piece = self.without_kept_back(piece, &mut parcel, &mut kept_back).await?;
            if piece.commands.is_empty() {
                continue;
            }
            let sent = self.send_piece(&piece, &mut parcel).await?;
            match sent {
                Sent::Done => kept_back.extend(piece.touches()),
                Sent::Split => {
                    let (first, second) = halves(piece);
                    pieces.push_front(second);
                    pieces.push_front(first);
                    // Halves of halves may take longer than one endorsement.
                    if !self.renew(lease).await? {
                        self.withdraw_all(pieces, &mut parcel).await?;
                        return Ok(Kept::No);
                    }
                }
                Sent::Stop | Sent::Lost => {
                    self.withdraw_all(pieces, &mut parcel).await?;
                    return Ok(if matches!(sent, Sent::Lost) { Kept::No } else { Kept::Yes });
                }
            }
        }
        Ok(Kept::Yes)
    }

    /// Puts back what touches the same accounts as a piece that went before: it would
    /// conflict with it, or overtake it.
    async fn without_kept_back(
        &self,
        piece: Batch,
        parcel: &mut Parcel<'_>,
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
            self.withdraw(&wait, parcel, None).await?;
        }
        Ok(Batch { commands: go, ..piece })
    }

    async fn send_piece(
        &self,
        piece: &Batch,
        parcel: &mut Parcel<'_>,
    ) -> Result<Sent, SubmitterError> {
        let call = match envelope::call(piece.purpose, &piece.commands, &mut parcel.rng) {
            Ok(call) => call,
            Err(_) if piece.commands.len() > 1 => return Ok(Sent::Split),
            Err(unreadable) => {
                let ids = [unreadable.command_id];
                self.fail(&ids, parcel, FailureClass::Refused, &unreadable.reason).await?;
                return Ok(Sent::Done);
            }
        };
        let signer = self.parts.signers.of(piece.signer);
        match self.parts.ledger.endorse(signer, call.function, &call.args).await {
            Ok(endorsed) => {
                self.ledger_answered(Phase::Endorse);
                self.probe.at("endorsed").await;
                self.store_and_submit(piece, parcel, &endorsed).await
            }
            Err(error) => self.not_endorsed(piece, parcel, &error).await,
        }
    }

    /// No transaction exists. What comes of that depends on why.
    async fn not_endorsed(
        &self,
        piece: &Batch,
        parcel: &mut Parcel<'_>,
        error: &LedgerError,
    ) -> Result<Sent, SubmitterError> {
        self.ledger_failed(Phase::Endorse, error);
        let message = error.to_string();
        let ids = piece.ids();
        let class = match error.class {
            // A signer without the role is a wrong setting, and a failure inside the contract
            // is the state database's: neither is the command's fault.
            OutcomeClass::Refused if error.chaincode_status() == Some(403) => {
                FailureClass::Unavailable
            }
            OutcomeClass::Refused if ids.len() > 1 => return Ok(Sent::Split),
            OutcomeClass::Refused if error.chaincode_status() >= Some(500) => {
                FailureClass::Unavailable
            }
            OutcomeClass::Refused => FailureClass::Refused,
            OutcomeClass::Conflict => FailureClass::Conflict,
            OutcomeClass::Unknown => FailureClass::Unknown,
            OutcomeClass::Unavailable | OutcomeClass::Misconfigured => {
                tracing::warn!(commands = ids.len(), error = %message, "a batch was not endorsed");
                if error.phase == Phase::Connect {
                    self.withdraw(&ids, parcel, Some(&message)).await?;
                } else {
                    self.fail(&ids, parcel, FailureClass::Unavailable, &message).await?;
                }
                self.pause_ledger(error);
                return Ok(Sent::Stop);
            }
        };
        tracing::warn!(commands = ids.len(), error = %message, "a batch was not endorsed");
        self.fail(&ids, parcel, class, &message).await?;
        Ok(Sent::Done)
    }

    /// Stores the signed bytes, and only then sends them.
    async fn store_and_submit(
        &self,
        piece: &Batch,
        parcel: &mut Parcel<'_>,
        endorsed: &Endorsed,
    ) -> Result<Sent, SubmitterError> {
        let (ids, touches) = (piece.ids(), piece.touches());
        let attempt = NewAttempt {
            tx_id: &endorsed.tx_id,
            purpose: piece.purpose,
            genesis_hash: &self.genesis_hash,
            envelope: &endorsed.envelope,
            command_ids: &ids,
            touches: &touches,
        };
        let now = self.now();
        let mut conn = self.parts.pool.acquire().await?;
        let (lease, next_send_at) = (parcel.lease, now + self.settings.resend());
        let stored = gx_outbox::store_attempt(
            &mut conn,
            lease,
            &mut parcel.tried,
            attempt,
            now,
            next_send_at,
        );
        let stored = stored.await?;
        drop(conn);
        if let Err(refusal) = stored {
            tracing::debug!(?refusal, tx_id = endorsed.tx_id, "an endorsed batch was not stored");
            self.withdraw(&ids, parcel, None).await?;
            return Ok(match refusal {
                StoreRefusal::LeaseLost => Sent::Lost,
                StoreRefusal::Overlap | StoreRefusal::CommandsChanged => Sent::Done,
            });
        }
        tracing::info!(tx_id = endorsed.tx_id, commands = ids.len(), purpose = ?piece.purpose,
            "sending a batch");
        metrics::counter!("gx_submitter_batches_total").increment(1);
        metrics::counter!("gx_submitter_commands_total")
            .increment(u64::try_from(ids.len()).unwrap_or(u64::MAX));
        self.probe.at("stored").await;
        self.submit(&endorsed.tx_id, &endorsed.envelope, 1, None).await?;
        self.probe.at("recorded").await;
        Ok(Sent::Done)
    }

    async fn renew(&self, lease: &Lease) -> Result<bool, SubmitterError> {
        let mut conn = self.parts.pool.acquire().await?;
        let (mut lease, until) = (lease.clone(), self.now() + self.settings.lease());
        Ok(gx_outbox::renew(&mut conn, &mut lease, until).await?)
    }

    async fn withdraw_all(
        &self,
        pieces: VecDeque<Batch>,
        parcel: &mut Parcel<'_>,
    ) -> Result<(), SubmitterError> {
        let rest: Vec<String> = pieces.iter().flat_map(Batch::ids).collect();
        if rest.is_empty() { Ok(()) } else { self.withdraw(&rest, parcel, None).await }
    }

    /// Ends the try of these at no cost.
    async fn withdraw(
        &self,
        ids: &[String],
        parcel: &mut Parcel<'_>,
        why: Option<&str>,
    ) -> Result<(), SubmitterError> {
        let mut conn = self.parts.pool.acquire().await?;
        gx_outbox::withdraw(&mut conn, &mut parcel.tried, ids, why, self.now()).await?;
        Ok(())
    }

    async fn fail(
        &self,
        ids: &[String],
        parcel: &mut Parcel<'_>,
        class: FailureClass,
        message: &str,
    ) -> Result<(), SubmitterError> {
        let Parcel { tried, rng, .. } = parcel;
        let (policy, now) = (&self.parts.retry, self.now());
        let mut conn = self.parts.pool.acquire().await?;
        gx_outbox::fail(&mut conn, tried, ids, (class, message), policy, rng, now).await?;
        Ok(())
    }
}

fn halves(mut piece: Batch) -> (Batch, Batch) {
    let commands: Vec<Due> = piece.commands.split_off(piece.commands.len() / 2);
    let second = Batch { signer: piece.signer, purpose: piece.purpose, commands };
    (piece, second)
}
