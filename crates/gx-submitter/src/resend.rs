//! Sending, and sending again: the same bytes, until a block carries their id.

use std::time::Duration;

use gx_fabric_client::{LedgerError, OutcomeClass, Phase};
use gx_outbox::Reply;
use rand::RngExt;

use crate::error::SubmitterError;
use crate::submitter::Submitter;

/// Most envelopes sent again in one step.
const MAX_RESENT: i64 = 32;
/// The longest time between two sendings of one envelope.
const LONGEST_RESEND: Duration = Duration::from_secs(60);
/// After the orderer refused an envelope, it is asked again this soon.
const REFUSED_AGAIN: Duration = Duration::from_millis(500);

impl Submitter {
    /// Sends open attempts that are due; how many.
    pub(crate) async fn resend_due(&self) -> Result<usize, SubmitterError> {
        let now = self.now();
        // Should this process die meanwhile, another sends them soon; twice does no harm.
        let until = now + self.settings.resend();
        let mut conn = self.parts.pool.acquire().await?;
        let due = gx_outbox::take_due(&mut conn, MAX_RESENT, now, until).await?;
        drop(conn);
        if !due.is_empty() {
            self.probe.at("taken").await;
        }
        let count = due.len();
        for attempt in due {
            tracing::info!(tx_id = attempt.tx_id, sends = attempt.sends, "sending again");
            metrics::counter!("gx_submitter_resends_total").increment(1);
            let refused_at = attempt.refused_at_height;
            self.submit(&attempt.tx_id, &attempt.envelope, attempt.sends, refused_at).await?;
            if self.is_paused() {
                // The rest was put off when it was taken, and comes again soon.
                break;
            }
        }
        Ok(count)
    }

    /// Sends an envelope, for the `sends`th time. The reply only decides when it is sent again, unless the
    /// orderer has refused it for good and no block can carry it.
    pub(crate) async fn submit(
        &self,
        tx_id: &str,
        envelope: &[u8],
        sends: u32,
        refused_at: Option<i64>,
    ) -> Result<(), SubmitterError> {
        let submitted = self.parts.ledger.submit(tx_id, envelope).await;
        self.probe.at("submitted").await;
        let error = match submitted {
            Ok(()) => {
                self.ledger_answered(Phase::Submit);
                // A first sending was put off for long enough when it was stored.
                if sends > 1 {
                    let after = self.resend_after(sends);
                    self.record(tx_id, after, None, None).await?;
                }
                return Ok(());
            }
            Err(error) => error,
        };
        self.ledger_failed(Phase::Submit, &error);
        tracing::warn!(tx_id, error = %error, "an envelope was not acknowledged");
        if error.orderer_refused {
            return self.refused(tx_id, &error, refused_at).await;
        }
        let after = self.resend_after(sends);
        self.record(tx_id, after, Some(&error), None).await?;
        if error.phase == Phase::Connect || error.class == OutcomeClass::Unavailable {
            self.pause_ledger(&error);
        }
        Ok(())
    }

    /// The orderer says no. Only when every block that existed then was applied, none of
    /// them carried the envelope and the orderer says no again, is the attempt abandoned.
    async fn refused(
        &self,
        tx_id: &str,
        error: &LedgerError,
        refused_at: Option<i64>,
    ) -> Result<(), SubmitterError> {
        let Some(height) = refused_at else {
            let height = i64::try_from(self.tip().await?).unwrap_or(i64::MAX);
            return self.record(tx_id, REFUSED_AGAIN, Some(error), Some(height)).await;
        };
        let mut conn = self.parts.pool.acquire().await?;
        let checkpoint = gx_outbox::checkpoint(&mut conn, &self.parts.channel).await?;
        let applied = checkpoint.map_or(0, |known| known.block_number.saturating_add(1));
        if applied < height {
            drop(conn);
            return self.record(tx_id, REFUSED_AGAIN, Some(error), Some(height)).await;
        }
        let (why, now) = (error.to_string(), self.now());
        let (retry, mut rng) = (&self.parts.retry, self.rng());
        if gx_outbox::abandon(&mut conn, tx_id, &why, retry, &mut rng, now).await? {
            tracing::error!(tx_id, error = %error, "the orderer refuses an envelope for good");
            metrics::counter!("gx_submitter_abandoned_total").increment(1);
        }
        Ok(())
    }

    async fn record(
        &self,
        tx_id: &str,
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
        let mut conn = self.parts.pool.acquire().await?;
        gx_outbox::replied(&mut conn, tx_id, reply).await?;
        Ok(())
    }

    /// Longer after each sending, between half and the whole of it.
    fn resend_after(&self, sends: u32) -> Duration {
        let factor = 1_u32.checked_shl(sends.saturating_sub(1)).unwrap_or(u32::MAX);
        let longest = self.settings.resend().saturating_mul(factor).min(LONGEST_RESEND);
        let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.standing().rng.random_range(longest / 2..=longest))
    }
}
