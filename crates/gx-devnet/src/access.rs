//! Who may ask for what: the channel's policies and the window for timestamps, with the
//! words in which a peer refuses.

use std::time::Duration;

use prost_types::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::msp::{CHANNEL_MSP_IDS, Identity, NodeRole};
use crate::node::Node;

/// How far a client's clock may be off (`peer.authentication.timewindow`).
const TIME_WINDOW: Duration = Duration::from_mins(15);

/// A policy of the channel's application group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Readers,
    Writers,
}

impl Policy {
    /// Clients and administrators may write; peers may read as well.
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

    /// How a peer says that a policy is not satisfied.
    pub(crate) fn refusal(self, channel: &str) -> String {
        format!(
            "Failed evaluating policy on signed data during check policy on channel [{channel}] \
             with policy [/Channel/Application/{}]: [{}]",
            self.name(),
            self.unsatisfied()
        )
    }

    /// The policy engine's own words.
    pub(crate) fn unsatisfied(self) -> String {
        format!(
            "implicit policy evaluation failed - 0 sub-policies were satisfied, but this policy \
             requires 1 of the '{}' sub-policies to be satisfied",
            self.name()
        )
    }
}

impl Node {
    /// Whether these bytes are signed by somebody who satisfies the policy now. The error is
    /// a peer's refusal.
    pub(crate) fn check_signed(
        &self,
        policy: Policy,
        creator: &[u8],
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), String> {
        let admitted = self.msp.identity(creator).is_ok_and(|identity| {
            !identity.is_expired(self.clock.now())
                && policy.admits(&identity)
                && identity.has_signed(signed, signature)
        });
        if admitted { Ok(()) } else { Err(policy.refusal(&self.channel)) }
    }

    /// Whether the client's time is close enough to ours. The error is a peer's refusal.
    pub(crate) fn check_timestamp(&self, timestamp: Option<&Timestamp>) -> Result<(), String> {
        let now = self.clock.now();
        let time = timestamp.and_then(to_time);
        if time.is_some_and(|time| (time - now).unsigned_abs() <= TIME_WINDOW) {
            return Ok(());
        }
        let time = time.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Err(format!(
            "request unauthorized due to incorrect timestamp {}, peer time {}, \
             peer.authentication.timewindow 15m0s",
            seconds(time),
            seconds(now)
        ))
    }
}

/// The moment that a message's timestamp means; none where it is out of range.
pub(crate) fn to_time(timestamp: &Timestamp) -> Option<OffsetDateTime> {
    let time = OffsetDateTime::from_unix_timestamp(timestamp.seconds).ok()?;
    time.replace_nanosecond(u32::try_from(timestamp.nanos).ok()?).ok()
}

fn seconds(time: OffsetDateTime) -> String {
    let whole = time.replace_nanosecond(0).unwrap_or(time);
    whole.format(&Rfc3339).unwrap_or_default()
}
