//! Sends envelopes, and sends the same bytes again until a block has their transaction id. The step
//! calls [`Submitter::resend_due`] first; `storing` and `witness` call [`Submitter::submit`] for
//! the first send.

use std::time::Duration;

use gx_db::TxId;
use gx_fabric_client::{LedgerError, OutcomeClass, Phase};
use gx_outbox::submitter::Reply;
use rand::RngExt;

use super::Submitter;
use crate::error::SubmitterError;

/// Limit of the envelopes that are sent again in one step.
const MAX_RESENT: i64 = 32;
/// Longest time between two sends of an envelope.
const MAX_RESEND_WAIT: Duration = Duration::from_secs(60);
/// Time before the next send after the orderer refused an envelope.
const REFUSED_RETRY_WAIT: Duration = Duration::from_millis(500);

impl Submitter {
    /// Sends the open attempts that are due and returns their number.
    pub(crate) async fn resend_due(&self) -> Result<usize, SubmitterError> {
        let now = self.now();
        // If this process dies, another one sends them soon. Sending an envelope twice is harmless.
        let until = now + self.settings.resend();
        let mut conn = self.context.pool.acquire().await?;
        let due =
            gx_outbox::submitter::take_due_attempts(&mut conn, MAX_RESENT, now, until).await?;
        drop(conn);
        if !due.is_empty() {
            self.sync_points.reach("taken").await;
        }
        let count = due.len();
        for attempt in due {
            let (tx_id, sends) = (&attempt.tx_id, attempt.sends);
            tracing::info!(tx_id = tx_id.as_str(), sends, "sending transaction {tx_id} again");
            metrics::counter!("gx_submitter_resends_total").increment(1);
            let refused_at = attempt.refused_at_height;
            self.submit(&attempt.tx_id, &attempt.envelope, attempt.sends, refused_at).await?;
            if self.is_backing_off() {
                // The others got a new time when they were taken and come again soon.
                break;
            }
        }
        Ok(count)
    }

    /// Sends an envelope for the `sends`th time. The reply decides only when it is sent again,
    /// unless the orderer has refused it for good and no block can have it.
    pub(crate) async fn submit(
        &self,
        tx_id: &TxId,
        envelope: &[u8],
        sends: u32,
        refused_at: Option<i64>,
    ) -> Result<(), SubmitterError> {
        let submitted = self.context.ledger.submit(tx_id.as_str(), envelope).await;
        self.sync_points.reach("submitted").await;
        let error = match submitted {
            Ok(()) => {
                self.ledger_answered(Phase::Submit);
                // The time of the second send was set when the envelope was stored.
                if sends > 1 {
                    let after = self.resend_after(sends);
                    self.record(tx_id, after, None, None).await?;
                }
                return Ok(());
            }
            Err(error) => error,
        };
        self.ledger_failed(Phase::Submit, &error);
        tracing::warn!(tx_id = tx_id.as_str(), error = %error,
            "transaction {tx_id} was not acknowledged");
        if error.orderer_refused {
            return self.refused(tx_id, &error, refused_at).await;
        }
        let after = self.resend_after(sends);
        self.record(tx_id, after, Some(&error), None).await?;
        if error.phase == Phase::Connect || error.class == OutcomeClass::Unavailable {
            self.back_off_ledger(Phase::Submit, &error);
        }
        Ok(())
    }

    /// Handles an envelope that the orderer refused. The attempt is abandoned only if all blocks
    /// that existed at the first refusal were applied, none of them has the envelope, and the
    /// orderer refuses it again.
    async fn refused(
        &self,
        tx_id: &TxId,
        error: &LedgerError,
        refused_at: Option<i64>,
    ) -> Result<(), SubmitterError> {
        let Some(height) = refused_at else {
            let height = i64::try_from(self.tip().await?).unwrap_or(i64::MAX);
            return self.record(tx_id, REFUSED_RETRY_WAIT, Some(error), Some(height)).await;
        };
        let mut conn = self.context.pool.acquire().await?;
        let checkpoint = gx_outbox::tip::checkpoint(&mut conn, &self.context.channel).await?;
        let applied = checkpoint.map_or(0, |known| known.block_number.saturating_add(1));
        if applied < height {
            drop(conn);
            return self.record(tx_id, REFUSED_RETRY_WAIT, Some(error), Some(height)).await;
        }
        let (why, now) = (error.to_string(), self.now());
        let (retry, mut rng) = (&self.context.retry, self.rng());
        let why = (why.as_str(), height);
        if gx_outbox::submitter::abandon_attempt(&mut conn, tx_id, why, retry, &mut rng, now)
            .await?
        {
            tracing::error!(tx_id = tx_id.as_str(), error = %error,
                "transaction {tx_id} is abandoned, because the orderer refuses its envelope for \
                 good; check the signer and the channel");
            metrics::counter!("gx_submitter_abandoned_total").increment(1);
        }
        Ok(())
    }

    /// Records the reply and when the envelope is sent again.
    async fn record(
        &self,
        tx_id: &TxId,
        after: Duration,
        error: Option<&LedgerError>,
        refused_at_height: Option<i64>,
    ) -> Result<(), SubmitterError> {
        let text = error.map(|error| (error.class.name(), error.to_string()));
        let reply = Reply {
            next_send_at: self.now() + after,
            error: text.as_ref().map(|(class, text)| (*class, text.as_str())),
            refused_at_height,
        };
        let mut conn = self.context.pool.acquire().await?;
        gx_outbox::submitter::record_reply(&mut conn, tx_id, reply).await?;
        Ok(())
    }

    /// Returns the time before the next send, a random one between half of a limit and the limit,
    /// which doubles with each send.
    fn resend_after(&self, sends: u32) -> Duration {
        let factor = 1_u32.checked_shl(sends.saturating_sub(1)).unwrap_or(u32::MAX);
        let longest = self.settings.resend().saturating_mul(factor).min(MAX_RESEND_WAIT);
        let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.shared().rng.random_range(longest / 2..=longest))
    }
}
