//! Checks Deliver requests, in the order in which a peer does. A session checks each request with
//! [`Seek::from_envelope`].

use std::sync::Arc;

use gx_fabric_proto::common::{ChannelHeader, Envelope, Payload, SignatureHeader, Status};
use gx_fabric_proto::orderer::seek_info::{SeekBehavior, SeekContentType};
use gx_fabric_proto::orderer::seek_position::Type as Position;
use gx_fabric_proto::orderer::{SeekInfo, SeekPosition};
use prost::Message;

use crate::channel_policies::Policy;
use crate::msp::Identity;
use crate::node::Node;

/// A range of blocks that the caller may read.
pub(crate) struct Seek {
    pub(crate) start: u64,
    /// The last block; `u64::MAX` means without an end.
    pub(crate) stop: u64,
    pub(crate) fail_if_not_ready: bool,
    /// Whether blocks are sent without transactions. Configuration blocks always have theirs.
    pub(crate) headers_only: bool,
    /// The caller.
    pub(crate) reader: Arc<Identity>,
}

impl Seek {
    /// Checks a request. The error is the status that a peer answers before it ends the stream.
    pub(crate) fn from_envelope(node: &Node, envelope: &Envelope) -> Result<Self, Status> {
        let payload = Payload::decode(envelope.payload.as_slice());
        let payload = payload.map_err(|_| Status::BadRequest)?;
        let header = payload.header.ok_or(Status::BadRequest)?;
        let channel = ChannelHeader::decode(header.channel_header.as_slice())
            .map_err(|_| Status::BadRequest)?;
        let signature = SignatureHeader::decode(header.signature_header.as_slice())
            .map_err(|_| Status::BadRequest)?;
        node.check_timestamp(channel.timestamp.as_ref()).map_err(|_| Status::BadRequest)?;
        if channel.channel_id != node.channel {
            return Err(Status::NotFound);
        }
        let seek = SeekInfo::decode(payload.data.as_slice()).map_err(|_| Status::BadRequest)?;
        let creator = &signature.creator;
        node.check_signed(Policy::Readers, creator, &envelope.payload, &envelope.signature)
            .map_err(|_| Status::Forbidden)?;
        let reader = node.msp.verify_identity(creator).map_err(|_| Status::Forbidden)?;
        Self::from_info(&seek, *node.height.borrow(), reader)
    }

    /// Returns the blocks that the request names. The error is a peer's status.
    fn from_info(seek: &SeekInfo, height: u64, reader: Arc<Identity>) -> Result<Self, Status> {
        let newest = height.saturating_sub(1);
        let start = match position(seek.start.as_ref())? {
            Position::Newest(_) => newest,
            Position::Oldest(_) => 0,
            Position::NextCommit(_) => height,
            Position::Specified(at) if at.number > height => return Err(Status::NotFound),
            Position::Specified(at) => at.number,
        };
        let stop = match position(seek.stop.as_ref())? {
            Position::Newest(_) => newest,
            Position::Oldest(_) => start,
            Position::NextCommit(_) => u64::MAX,
            Position::Specified(at) if at.number < start => return Err(Status::BadRequest),
            Position::Specified(at) => at.number,
        };
        let fail_if_not_ready = seek.behavior == i32::from(SeekBehavior::FailIfNotReady);
        let headers_only = seek.content_type == i32::from(SeekContentType::HeaderWithSig);
        Ok(Self { start, stop, fail_if_not_ready, headers_only, reader })
    }

    /// Returns whether this seek continues beyond a chain of this height.
    pub(crate) fn waits_for(&self, height: u64) -> bool {
        !self.fail_if_not_ready && self.stop >= height
    }
}

fn position(seek: Option<&SeekPosition>) -> Result<Position, Status> {
    seek.and_then(|seek| seek.r#type).ok_or(Status::BadRequest)
}
