//! Compares the state of our peers with that of other organisations' peers.
//!
//! Each peer decides by itself which transactions of a block are valid, and no signature covers
//! that. Its running commit hash does, so a task that `run` starts compares these hashes at an
//! interval. A difference makes the check `commitHash` unhealthy and stops nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use gx_fabric_client::CommitHashes;
use gx_serve::{CheckHandle, CheckResult, HealthBoard};
use serde_json::json;

use crate::context::ProjectorContext;

/// Compares commit hashes and reports the result as the check `commitHash`.
#[derive(Clone)]
pub(crate) struct CommitHashCheck {
    context: ProjectorContext,
    check: CheckHandle,
    disputes: Disputes,
}

/// Peers with a different state, by endpoint: their organisation and the block of the last
/// comparison that differed. An entry stays until the same peer agrees.
#[derive(Clone, Default)]
struct Disputes(BTreeMap<String, (String, u64)>);

impl CommitHashCheck {
    pub(crate) fn new(context: ProjectorContext, board: &HealthBoard) -> Self {
        let check = board.check("commitHash", false);
        check.set(CheckResult::healthy().with_message("nothing has been compared yet"));
        Self { context, check, disputes: Disputes::default() }
    }

    /// Compares at each interval until the future is dropped.
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

    /// Compares the commit hashes of the last block that was applied; a hash covers all blocks
    /// before it. If peers cannot be reached, the last result stays.
    async fn compare(&mut self) -> Result<(), sqlx::Error> {
        let mut conn = self.context.pool.acquire().await?;
        let known = gx_outbox::tip::checkpoint(&mut conn, &self.context.settings.channel).await?;
        drop(conn);
        let Some(number) = known.and_then(|known| u64::try_from(known.block_number).ok()) else {
            return Ok(());
        };
        let hashes = self.context.ledger.compare_commit_hashes(number).await;
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
                "the state of {} differs from ours; find out which one is right",
                peer.peer
            );
        }
        self.disputes.learn(&hashes);
        if let Some(result) = self.disputes.check_result(&hashes) {
            self.check.set(result);
        }
        Ok(())
    }
}

impl Disputes {
    /// Adds the peers that differ and removes those that agree.
    fn learn(&mut self, hashes: &CommitHashes) {
        for peer in hashes.agreeing() {
            self.0.remove(&peer.peer);
        }
        for peer in hashes.differing() {
            self.0.insert(peer.peer.clone(), (peer.msp_id.clone(), hashes.number));
        }
    }

    /// Returns the result for the health check, or `None` if no other peer could be compared.
    fn check_result(&self, hashes: &CommitHashes) -> Option<CheckResult> {
        // Without our peer's hash there is nothing to compare with.
        hashes.ours()?;
        let (number, others) = (hashes.number, hashes.others());
        let value = json!({ "block": number, "others": others });
        if self.0.is_empty() {
            let alone = hashes.answers.iter().all(|peer| peer.own);
            return (alone || others > 0).then(|| CheckResult::healthy().with_value(value));
        }
        let disputes = self.0.iter();
        let names: Vec<_> = disputes
            .map(|(peer, (msp_id, block))| format!("{peer} ({msp_id}) at block {block}"))
            .collect();
        let message = format!(
            "our peer's state differs from that of {}; find out which one is right",
            names.join(", ")
        );
        Some(CheckResult::unhealthy(message).with_value(value))
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
    fn only_a_different_state_makes_the_check_unhealthy() {
        let result = |answers: &[PeerCommitHash]| {
            let hashes = CommitHashes { number: 7, answers: answers.to_vec() };
            let mut disputes = Disputes::default();
            disputes.learn(&hashes);
            disputes.check_result(&hashes).map(|result| result.status())
        };
        let ours = peer(true, Some("one"));
        let with = |other: PeerCommitHash| result(&[ours.clone(), other]);
        assert_eq!(with(peer(false, Some("one"))), Some(CheckStatus::Healthy));
        assert_eq!(with(peer(false, Some("two"))), Some(CheckStatus::Unhealthy));
        assert_eq!(with(peer(false, None)), None, "the last result stays");
        let without_ours = [peer(true, None), peer(false, Some("one"))];
        assert_eq!(result(&without_ours), None, "there is no hash of ours to compare with");
        assert_eq!(
            result(std::slice::from_ref(&ours)),
            Some(CheckStatus::Healthy),
            "there is no other peer"
        );
    }

    #[test]
    fn a_dispute_lasts_until_the_same_peer_agrees() {
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
            disputes.check_result(&hashes).map(|result| result.status())
        };
        let (healthy, unhealthy) = (Some(CheckStatus::Healthy), Some(CheckStatus::Unhealthy));
        let (one, two) = (Some("one"), Some("two"));
        assert_eq!(status(&[ours(one), second(two), third(one)]), unhealthy);
        assert_eq!(status(&[ours(one), second(None), third(one)]), unhealthy, "no answer");
        assert_eq!(status(&[ours(one), second(one), third(one)]), healthy, "it agrees");

        assert_eq!(status(&[ours(one), ours_too(two), third(one)]), unhealthy);
        let alone = [ours(None), ours_too(two), third(two)];
        assert_eq!(status(&alone), unhealthy, "the peer that is compared agrees with none");
        assert_eq!(status(&[ours(two), ours_too(two), third(two)]), healthy);
    }
}
