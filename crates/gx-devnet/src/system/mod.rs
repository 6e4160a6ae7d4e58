//! The system chaincodes that clients query: `qscc` about the chain, `cscc` about channels.
//!
//! The endorser calls [`answer`] instead of a simulation. Its answers are evaluated and never
//! endorsed, and errors are those of a real peer.

mod cscc;
mod qscc;

use std::borrow::Cow;

use crate::chaincode::{CSCC, QSCC};
use crate::channel_policies::Policy;
use crate::ledger::StoreError;
use crate::msp::{Identity, NodeRole};
use crate::node::Node;

/// The status of successful queries.
pub(crate) const OK: i32 = 200;

/// One query of a checked proposal.
pub(crate) struct Query<'a> {
    pub(crate) node: &'a Node,
    /// The organisation of the peer that is asked.
    pub(crate) msp_id: &'a str,
    pub(crate) creator: &'a Identity,
    pub(crate) args: &'a [Vec<u8>],
}

/// Returns the answer of a system chaincode. The error is its message.
pub(crate) fn answer(chaincode: &str, query: &Query<'_>) -> Result<Vec<u8>, String> {
    match chaincode {
        QSCC => qscc::answer(query),
        CSCC => cscc::answer(query),
        other => Err(format!("there is no system chaincode {other}")),
    }
}

impl Query<'_> {
    /// Returns an argument as a text; invalid bytes are replaced.
    fn text(&self, place: usize) -> Cow<'_, str> {
        String::from_utf8_lossy(self.args.get(place).map_or(&[], Vec::as_slice))
    }

    /// Checks that the creator may read the channel. The error is the reason.
    fn check_reader(&self, channel: &str) -> Result<(), String> {
        if channel != self.node.channel {
            return Err(format!("Failed to get policy manager for channel [{channel}]"));
        }
        if Policy::Readers.admits(self.creator) {
            Ok(())
        } else {
            Err(Policy::Readers.refusal(channel))
        }
    }

    /// Checks that the creator belongs to the peer's organisation. The error is the reason.
    fn check_member(&self, policy: &str) -> Result<(), String> {
        let (own, theirs) = (self.msp_id, &self.creator.msp_id);
        if own == theirs {
            return Ok(());
        }
        Err(format!(
            "Failed deserializing proposal creator during channelless check policy with policy \
             [{policy}]: [expected MSP ID {own}, received {theirs}]"
        ))
    }

    /// Checks that the creator is an administrator of the peer's organisation. The error is the
    /// reason.
    fn check_admin(&self) -> Result<(), String> {
        self.check_member("Admins")?;
        if self.creator.role == Some(NodeRole::Admin) {
            return Ok(());
        }
        let own = self.msp_id;
        Err(format!(
            "Failed verifying that proposal's creator satisfies local MSP principal during \
             channelless check policy with policy [Admins]: [The identity is not an admin under \
             this MSP [{own}]: The identity does not contain OU [ADMIN], MSP: [{own}]]"
        ))
    }

    /// Returns the published height of the chain. Callers must not see later blocks.
    fn height(&self) -> u64 {
        *self.node.height.borrow()
    }

    /// Returns the bytes of a block, or `None` if it is not published.
    fn block(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if number >= self.height() { Ok(None) } else { self.node.store.block(number) }
    }
}
