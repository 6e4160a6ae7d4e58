//! Sends a witness: a transaction that changes nothing and shows whether others succeed. It is
//! needed if a command failed alone and nothing else is due that could show who caused the failure.
//! Called by the step after it has sent the batches of a claim.

use gx_db::{StoredCommandId, TxId};
use gx_fabric_client::Phase;
use gx_model::SignerRole;
use time::OffsetDateTime;

use super::Submitter;
use super::send::SignedEnvelope;
use crate::endorse_failure::EndorseFailure;
use crate::error::SubmitterError;
use crate::suspects::Step;

/// A query, which writes nothing when it is sent as a transaction.
const WITNESS_FUNCTION: &str = "AdminContract:GetSystemStatus";
/// The name of the witness where the detector of outages expects a command id.
const WITNESS_LABEL: &str = "a query";

impl Submitter {
    /// Stores the witness, signed by the role whose commands are suspected, and sends it. Its
    /// validation is recorded like that of any envelope. If it is not endorsed, that is recorded
    /// like the failure of a command, and nothing is sent.
    pub(crate) async fn send_witness(&self, role: SignerRole) -> Result<(), SubmitterError> {
        let SignedEnvelope { tx_id, bytes } = match self.endorse(role, WITNESS_FUNCTION, &[]).await
        {
            Ok(envelope) => envelope,
            Err(error) => {
                self.ledger_failed(Phase::Endorse, &error);
                let (failure, message) = (EndorseFailure::of(&error), error.to_string());
                let signer = role.attribute();
                tracing::warn!(signer, error = %message, "a witness for {signer} was not endorsed");
                let label = StoredCommandId::from(WITNESS_LABEL.to_owned());
                self.endorsing_failed(failure, (Some(&label), role), &error);
                return Ok(());
            }
        };
        self.ledger_answered(Phase::Endorse);
        self.shared().passed(Step::Endorse, role, &tx_id);
        self.sync_points.reach("endorsed").await;
        let now = self.now();
        let next_send_at = now + self.settings.resend();
        if let Err(error) = self.store_witness((&tx_id, role), &bytes, now, next_send_at).await {
            self.shared().suspects.not_stored(&tx_id);
            return Err(error.into());
        }
        self.shared().passed(Step::Store, role, &tx_id);
        tracing::info!(
            tx_id = tx_id.as_str(),
            "sending witness {tx_id} to find out whether transactions succeed"
        );
        metrics::counter!("gx_submitter_witnesses_total").increment(1);
        self.sync_points.reach("stored").await;
        self.submit(&tx_id, &bytes, 1, None).await?;
        self.sync_points.reach("recorded").await;
        Ok(())
    }

    async fn store_witness(
        &self,
        (tx_id, role): (&TxId, SignerRole),
        envelope: &[u8],
        now: OffsetDateTime,
        next_send_at: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        let mut conn = self.context.pool.acquire().await?;
        let genesis = &self.genesis_hash;
        gx_outbox::submitter::store_witness(
            &mut conn,
            tx_id,
            role,
            genesis,
            envelope,
            now,
            next_send_at,
        )
        .await
    }
}
