//! Checks that our peers still agree on the last block that was delivered. A follower starts the
//! task if we have several peers.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::block::BlockId;
use crate::chain::ChainError;
use crate::deliver::StreamError;
use crate::ledger::Ledger;
use crate::peer::Peer;

/// Compares the last block with all our peers, at an interval and when a peer's time aside is over.
/// If most of them contradict it or all show a wrong chain, sends the error, which ends the
/// follower's reader, and returns.
pub(super) async fn watch_disputes(
    ledger: Ledger,
    at: watch::Receiver<BlockId>,
    dispute: watch::Sender<Option<ChainError>>,
) {
    let interval = ledger.limits().compare_interval;
    let mut tick = tokio::time::interval(ledger.limits().height_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut compare_at = Instant::now() + interval;
    while !dispute.is_closed() {
        tick.tick().await;
        let overdue = |peer: &Arc<Peer>| peer.wrong_chain().is_some() && peer.may_be_asked();
        if Instant::now() < compare_at && !ledger.trusted().iter().any(overdue) {
            continue;
        }
        compare_at = Instant::now() + interval;
        let known = *at.borrow();
        // A peer that does not answer here may still deliver its stream.
        if let Err(StreamError::Chain(
            failure @ (ChainError::Everywhere(_) | ChainError::Outvoted(_)),
        )) = ledger.confirm(&[known]).await
        {
            dispute.send_replace(Some(failure));
            return;
        }
    }
}
