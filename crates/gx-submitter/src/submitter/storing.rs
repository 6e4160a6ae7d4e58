//! Stores signed envelopes, and finds out whether one was stored. Called by `send` for each batch
//! that was endorsed. An envelope that was not stored is never sent.

use gx_db::StoredCommandId;
use gx_outbox::failure::{DbErrorCause, FailureClass};
use gx_outbox::submitter::{Batch, Blame, NewAttempt, StoreOutcome, StoreRefusal};

use super::Submitter;
use super::send::{BatchInFlight, Sent, SignedEnvelope, lone};
use crate::error::SubmitterError;
use crate::outage::{MAX_PROBE_WAIT, SeenFailure};
use crate::suspects::Step;

impl Submitter {
    /// Stores the signed envelope, and only then sends it.
    pub(crate) async fn store_and_submit(
        &self,
        piece: &Batch,
        in_flight: &mut BatchInFlight<'_>,
        envelope: &SignedEnvelope,
    ) -> Result<Sent, SubmitterError> {
        let ids = piece.ids();
        let stored = self.store(piece, &ids, in_flight, envelope).await;
        if !matches!(stored, Ok(Ok(()))) {
            self.shared().suspects.not_stored(&envelope.tx_id);
        }
        if let Err(not_stored) = stored? {
            return Ok(not_stored);
        }
        self.shared().record_stored(&ids);
        self.shared().passed(Step::Store, piece.signer, &envelope.tx_id);
        tracing::info!(
            tx_id = envelope.tx_id.as_str(),
            commands = ids.len(),
            purpose = piece.purpose.name(),
            "sending a batch of {} commands as transaction {}",
            ids.len(),
            envelope.tx_id
        );
        metrics::counter!("gx_submitter_batches_total").increment(1);
        metrics::counter!("gx_submitter_commands_total")
            .increment(u64::try_from(ids.len()).unwrap_or(u64::MAX));
        self.sync_points.reach("stored").await;
        self.submit(&envelope.tx_id, &envelope.bytes, 1, None).await?;
        self.sync_points.reach("recorded").await;
        Ok(Sent::Done)
    }

    /// Stores the signed envelope. If it was not stored, returns what to do with the rest of the
    /// batch.
    async fn store(
        &self,
        piece: &Batch,
        ids: &[StoredCommandId],
        in_flight: &mut BatchInFlight<'_>,
        envelope: &SignedEnvelope,
    ) -> Result<Result<(), Sent>, SubmitterError> {
        let attempt = NewAttempt {
            tx_id: &envelope.tx_id,
            purpose: piece.purpose,
            signer: piece.signer,
            genesis_hash: &self.genesis_hash,
            envelope: &envelope.bytes,
            command_ids: ids,
            after: &piece.after(),
            touches: &piece.touches(),
        };
        let now = self.now();
        let (lease, next_send_at) = (in_flight.lease, now + self.settings.resend());
        let mut conn = self.context.pool.acquire().await?;
        let tried = &mut in_flight.tried;
        let stored = gx_outbox::submitter::store_attempt(
            &mut conn,
            lease,
            tried,
            attempt,
            now,
            next_send_at,
        )
        .await;
        drop(conn);
        match stored {
            Ok(Ok(())) => Ok(Ok(())),
            Ok(Err(refusal)) => {
                tracing::debug!(
                    ?refusal,
                    tx_id = envelope.tx_id.as_str(),
                    "transaction {} was not stored: {refusal:?}",
                    envelope.tx_id
                );
                self.withdraw(ids, in_flight, None).await?;
                Ok(Err(match refusal {
                    StoreRefusal::LeaseLost => Sent::Lost,
                    StoreRefusal::Overlap | StoreRefusal::CommandsChanged => Sent::Done,
                }))
            }
            Err(error) if DbErrorCause::of(&error) == DbErrorCause::Data => {
                Ok(Err(self.not_stored(piece, in_flight, &error).await?))
            }
            Err(error) => {
                // The answer to COMMIT may have been lost.
                let mut conn = self.context.pool.acquire().await?;
                let (tried, tx_id) = (&mut in_flight.tried, &envelope.tx_id);
                match gx_outbox::submitter::resolve_lost_commit(&mut conn, tried, tx_id, ids)
                    .await?
                {
                    StoreOutcome::Stored => Ok(Ok(())),
                    StoreOutcome::Withdrawn => Err(error.into()),
                }
            }
        }
    }

    /// Handles an envelope that the database rejects. If it has several commands, one of them may
    /// be the reason.
    async fn not_stored(
        &self,
        piece: &Batch,
        in_flight: &mut BatchInFlight<'_>,
        error: &sqlx::Error,
    ) -> Result<Sent, SubmitterError> {
        let ids = &piece.ids();
        if ids.len() > 1 {
            return Ok(Sent::Split);
        }
        let message = format!("the envelope cannot be stored: {error}");
        let command_id = ids.first().map_or("none", StoredCommandId::as_str);
        tracing::warn!(command_id, error = %error,
            "the envelope of command {command_id} cannot be stored");
        let (alone, signer) = (lone(ids), piece.signer);
        let (code, why, max_wait) = ("STORAGE", &message, MAX_PROBE_WAIT);
        let is_over =
            self.step_failed(Step::Store, SeenFailure { alone, signer, code, why, max_wait });
        let blame = Blame::LoneCommand { block: None };
        self.fail(ids, in_flight, FailureClass::Storage, &message, blame).await?;
        Ok(if is_over { Sent::Stop } else { Sent::Done })
    }
}
