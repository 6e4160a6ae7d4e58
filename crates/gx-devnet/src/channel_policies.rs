//! The channel's policies, with the refusals of a real peer. Checked for the creator of each
//! proposal, envelope, stream and query.

use prost_types::Timestamp;
use time::OffsetDateTime;

use crate::msp::{CHANNEL_MSP_IDS, Identity, NodeRole};

/// A policy of the channel's application group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Readers,
    Writers,
}

impl Policy {
    /// Returns whether an identity satisfies the policy. Clients and administrators may read and
    /// write; peers may only read.
    pub(crate) fn admits(self, identity: &Identity) -> bool {
        let role_suffices = match identity.role {
            Some(NodeRole::Client | NodeRole::Admin) => true,
            Some(NodeRole::Peer) => self == Self::Readers,
            Some(NodeRole::Orderer) | None => false,
        };
        CHANNEL_MSP_IDS.contains(&identity.msp_id.as_str()) && role_suffices
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Readers => "Readers",
            Self::Writers => "Writers",
        }
    }

    /// Returns the message of a peer for a policy that is not satisfied.
    pub(crate) fn refusal(self, channel: &str) -> String {
        format!(
            "Failed evaluating policy on signed data during check policy on channel [{channel}] \
             with policy [/Channel/Application/{}]: [{}]",
            self.name(),
            self.unsatisfied()
        )
    }

    /// Returns the message of the policy engine for a policy that is not satisfied.
    pub(crate) fn unsatisfied(self) -> String {
        format!(
            "implicit policy evaluation failed - 0 sub-policies were satisfied, but this policy \
             requires 1 of the '{}' sub-policies to be satisfied",
            self.name()
        )
    }
}

/// Returns the time of a timestamp, or `None` if it is out of range; the request is then refused.
pub(crate) fn to_time(timestamp: &Timestamp) -> Option<OffsetDateTime> {
    let time = OffsetDateTime::from_unix_timestamp(timestamp.seconds).ok()?;
    time.replace_nanosecond(u32::try_from(timestamp.nanos).ok()?).ok()
}
