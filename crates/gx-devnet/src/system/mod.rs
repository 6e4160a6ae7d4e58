//! The system chaincodes that clients query: `qscc` about the chain, `cscc` about channels.
//!
//! They are evaluated and never endorsed, as on a peer, and their refusals are a peer's.

mod cscc;
mod qscc;

use std::borrow::Cow;

use crate::access::Policy;
use crate::ledger::StoreError;
use crate::msp::{Identity, NodeRole};
use crate::node::Node;

/// The statuses of answers and of refusals.
pub(crate) const OK: i32 = 200;
pub(crate) const REFUSED: i32 = 500;

/// One query, from a proposal that was checked.
pub(crate) struct Query<'a> {
    pub(crate) node: &'a Node,
    /// The organisation whose peer is asked.
    pub(crate) msp_id: &'a str,
    pub(crate) creator: &'a Identity,
    pub(crate) args: &'a [Vec<u8>],
}

/// Whether a name is that of a system chaincode.
pub(crate) fn is_system(chaincode: &str) -> bool {
    [qscc::NAME, cscc::NAME].contains(&chaincode)
}

/// What the system chaincode of this name answers. The error is its refusal.
pub(crate) fn answer(chaincode: &str, query: &Query<'_>) -> Result<Vec<u8>, String> {
    match chaincode {
        qscc::NAME => qscc::answer(query),
        cscc::NAME => cscc::answer(query),
        other => Err(format!("there is no system chaincode {other}")),
    }
}

/// How a system chaincode refuses a chaincode that calls it in a transaction of its own.
pub(crate) fn refusal_to_chaincodes(chaincode: &str, called_by_client: &str) -> String {
    let reason = if chaincode == qscc::NAME { " because of potential for deadlocks" } else { "" };
    let name = chaincode.to_uppercase();
    format!(
        "Rejecting invoke of {name} from another chaincode{reason}, original invocation for \
         '{called_by_client}'"
    )
}

impl Query<'_> {
    /// An argument as a text; bytes that are none are shown as such.
    fn text(&self, place: usize) -> Cow<'_, str> {
        String::from_utf8_lossy(self.args.get(place).map_or(&[], Vec::as_slice))
    }

    /// Whether the creator may read the channel. The error is the reason.
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

    /// Whether the creator belongs to the peer's own organisation. The error is the reason.
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

    /// Whether the creator administers the peer's own organisation. The error is the reason.
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

    /// Blocks that callers may know of: the chain's height as it was published.
    fn height(&self) -> u64 {
        *self.node.height.borrow()
    }

    fn block(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if number >= self.height() { Ok(None) } else { self.node.store.block(number) }
    }
}
