//! Delivers blocks in order and waits for more at the end of the chain. Each seek of a Deliver
//! stream and each stream of chaincode events reads from its own feed.

use std::sync::Arc;

use gx_fabric_proto::common::Block;
use prost::Message;
use tokio::sync::watch;
use tonic::Status;

use crate::faults::NodeFaults;
use crate::node::Node;
use crate::status::{connection_dropped, store_failed};

/// Why a feed has no more blocks.
pub(crate) enum Ended {
    /// Ended without an error; the reader may open another stream.
    Cleanly,
    /// Ended with this status.
    By(Status),
}

/// Reads the chain from a position on.
pub(crate) struct BlockFeed {
    node: Arc<Node>,
    faults: NodeFaults,
    position: u64,
    height: watch::Receiver<u64>,
    ended: watch::Receiver<u64>,
    /// `None` for a request of blocks that exist, which is never muted.
    muted: Option<watch::Receiver<bool>>,
}

impl BlockFeed {
    /// Returns a feed with the faults of the node from which the reader gets blocks.
    pub(crate) fn new(node: Arc<Node>, faults: &NodeFaults, start: u64) -> Self {
        let height = node.height.clone();
        let ended = faults.streams_ended();
        let muted = Some(faults.streams_muted());
        Self { node, faults: faults.clone(), position: start, height, ended, muted }
    }

    /// Excludes this feed from the fault that mutes streams.
    pub(crate) fn never_mute(&mut self) {
        self.muted = None;
    }

    /// Returns the number of the next block.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Waits for the next block and returns it. After an error the caller's stream ends. If the
    /// future is dropped, no block is lost.
    pub(crate) async fn next(&mut self) -> Result<Block, Ended> {
        let (position, stopping) = (self.position, self.node.stopping.clone());
        let ready = async {
            self.height.wait_for(|height| *height > position).await.ok()?;
            if let Some(muted) = &mut self.muted {
                muted.wait_for(|muted| !*muted).await.ok()?;
            }
            Some(())
        };
        tokio::select! {
            biased;
            () = stopping.cancelled() => return Err(Ended::By(connection_dropped())),
            Ok(()) = self.ended.changed() => return Err(self.end()),
            ready = ready => if ready.is_none() {
                return Err(Ended::By(connection_dropped()));
            },
        }
        let block = self.node.store.block(position).map_err(|e| Ended::By(store_failed(&e)))?;
        let block = block.and_then(|block| Block::decode(block.as_slice()).ok());
        let block = block.ok_or_else(|| {
            Ended::By(store_failed(&format!("block {position} is missing or damaged")))
        })?;
        self.position += 1;
        Ok(block)
    }

    /// Returns how the fault that ends streams ends this one.
    fn end(&self) -> Ended {
        if self.faults.is_unavailable() { Ended::By(connection_dropped()) } else { Ended::Cleanly }
    }
}
