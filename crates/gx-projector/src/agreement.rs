//! Whether our peers came to the same state as other organisations' peers.
//!
//! Which transactions of a block were valid is a peer's own judgement: nothing that is signed
//! covers it. Its running commit hash does, and from time to time it is compared.

use std::collections::BTreeMap;
use std::time::Duration;

use gx_fabric_client::CommitHashes;
use gx_serve::{CheckHandle, HealthBoard, Verdict};
use serde_json::json;

use crate::projector::Parts;

/// Compares commit hashes and reports what it finds.
pub(crate) struct Agreement {
    parts: Parts,
    check: CheckHandle,
    disputes: Disputes,
}

/// The peers that came to another state: organisation and the block at which it was last seen,
/// by endpoint. Who goes away is not forgotten, whoever else agrees.
#[derive(Default)]
struct Disputes(BTreeMap<String, (String, u64)>);

impl Agreement {
    pub(crate) fn new(parts: Parts, board: &HealthBoard) -> Self {
        let check = board.check("commitHash", false);
        check.set(Verdict::healthy().with_message("nothing was compared yet"));
        Self { parts, check, disputes: Disputes::default() }
    }

    pub(crate) async fn watch(mut self, interval: Duration) {
        let mut tick = tokio::time::interval(interval);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.compare().await {
                tracing::debug!(error = %error, "the checkpoint was not read");
            }
        }
    }

    /// Compares the hashes of the last block that was applied: it and all before it are what
    /// the read model rests on. An outage leaves the last verdict standing.
    async fn compare(&mut self) -> Result<(), sqlx::Error> {
        let mut conn = self.parts.pool.acquire().await?;
        let known = gx_outbox::checkpoint(&mut conn, &self.parts.rules.channel).await?;
        drop(conn);
        let Some(number) = known.and_then(|known| u64::try_from(known.block_number).ok()) else {
            return Ok(());
        };
        let hashes = self.parts.ledger.compare_commit_hashes(number).await;
        for peer in hashes.differing() {
            metrics::counter!(
                "gx_commit_hash_mismatches_total",
                "peer" => peer.peer.clone(), "msp" => peer.msp_id.clone()
            )
            .increment(1);
            tracing::error!(
                block = number,
                peer = peer.peer,
                msp = peer.msp_id,
                "the peer came to another state than ours; find out which one is right"
            );
        }
        self.disputes.learn(&hashes);
        if let Some(verdict) = self.disputes.verdict(&hashes) {
            self.check.set(verdict);
        }
        Ok(())
    }
}

impl Disputes {
    fn learn(&mut self, hashes: &CommitHashes) {
        for peer in hashes.agreeing() {
            self.0.remove(&peer.peer);
        }
        for peer in hashes.differing() {
            self.0.insert(peer.peer.clone(), (peer.msp_id.clone(), hashes.number));
        }
    }

    /// None where nobody could be compared with who should have been.
    fn verdict(&self, hashes: &CommitHashes) -> Option<Verdict> {
        // Without ours there is nothing that others' hashes could agree with.
        hashes.ours()?;
        let (number, others) = (hashes.number, hashes.others());
        let value = json!({ "block": number, "others": others });
        if self.0.is_empty() {
            let alone = hashes.answers.iter().all(|peer| peer.own);
            return (alone || others > 0).then(|| Verdict::healthy().with_value(value));
        }
        let disputes = self.0.iter();
        let names: Vec<_> = disputes
            .map(|(peer, (msp_id, block))| format!("{peer} ({msp_id}) at block {block}"))
            .collect();
        let message = format!(
            "our peer's state differs from that of {}: find out which is right",
            names.join(", ")
        );
        Some(Verdict::unhealthy(message).with_value(value))
    }
}

#[cfg(test)]
mod tests {
    use gx_fabric_client::PeerCommitHash;
    use gx_serve::health::CheckStatus;

    use super::*;

    fn peer(own: bool, hash: Option<&str>) -> PeerCommitHash {
        let (peer, msp_id) = ("peer".to_owned(), if own { "Org1MSP" } else { "Org2MSP" });
        let hash = Ok(hash.map(|hash| hash.as_bytes().to_vec()));
        PeerCommitHash { peer, msp_id: msp_id.to_owned(), own, hash }
    }

    #[test]
    fn only_another_state_is_held_against_a_peer() {
        let verdict = |answers: &[PeerCommitHash]| {
            let hashes = CommitHashes { number: 7, answers: answers.to_vec() };
            let mut disputes = Disputes::default();
            disputes.learn(&hashes);
            disputes.verdict(&hashes).map(|verdict| verdict.status())
        };
        let ours = peer(true, Some("one"));
        let with = |other: PeerCommitHash| verdict(&[ours.clone(), other]);
        assert_eq!(with(peer(false, Some("one"))), Some(CheckStatus::Healthy));
        assert_eq!(with(peer(false, Some("two"))), Some(CheckStatus::Unhealthy));
        assert_eq!(with(peer(false, None)), None, "what was known before stands");
        let without_ours = [peer(true, None), peer(false, Some("one"))];
        assert_eq!(verdict(&without_ours), None, "nothing to agree with");
        assert_eq!(
            verdict(std::slice::from_ref(&ours)),
            Some(CheckStatus::Healthy),
            "nobody to ask"
        );
    }

    #[test]
    fn a_dispute_lasts_until_the_very_peer_agrees() {
        let named = |name: &str, peer: PeerCommitHash| {
            let name = name.to_owned();
            PeerCommitHash { peer: name, ..peer }
        };
        let ours = |hash| named("ours", peer(true, hash));
        let ours_too = |hash| named("ours too", peer(true, hash));
        let (second, third) =
            (|hash| named("second", peer(false, hash)), |hash| named("third", peer(false, hash)));
        let mut disputes = Disputes::default();
        let mut status = |answers: &[PeerCommitHash]| {
            let hashes = CommitHashes { number: 7, answers: answers.to_vec() };
            disputes.learn(&hashes);
            disputes.verdict(&hashes).map(|verdict| verdict.status())
        };
        let (healthy, unhealthy) = (Some(CheckStatus::Healthy), Some(CheckStatus::Unhealthy));
        let (one, two) = (Some("one"), Some("two"));
        assert_eq!(status(&[ours(one), second(two), third(one)]), unhealthy);
        assert_eq!(status(&[ours(one), second(None), third(one)]), unhealthy, "it went away");
        assert_eq!(status(&[ours(one), second(one), third(one)]), healthy, "it agrees");

        assert_eq!(status(&[ours(one), ours_too(two), third(one)]), unhealthy);
        let alone = [ours(None), ours_too(two), third(two)];
        assert_eq!(status(&alone), unhealthy, "who is compared with agrees with nobody");
        assert_eq!(status(&[ours(two), ours_too(two), third(two)]), healthy);
    }
}
