//! Reads blocks from one peer, in a stream or one at a time. Called by the follower's reader and by
//! the methods of `Ledger` that read blocks and heights.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use gx_fabric_proto::common::{Envelope, Status as DeliverStatus};
use gx_fabric_proto::orderer::seek_info::SeekBehavior;
use gx_fabric_proto::orderer::{SeekNewest, SeekPosition, SeekSpecified, seek_position};
use gx_fabric_proto::protos::DeliverResponse;
use gx_fabric_proto::protos::deliver_response::Type;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::block::Block;
use crate::chain::ChainError;
use crate::error::{Cause, LedgerError, Phase};
use crate::outcome_class::OutcomeClass;
use crate::peer::Peer;
use crate::telemetry::count_failure;

/// The blocks that one peer delivers, until the stream ends.
pub struct BlockStream {
    answers: Answers,
    peer: String,
    /// The peer to set aside if it delivers a broken block. `None` if the caller judges the peer.
    accountable: Option<Arc<Peer>>,
    /// Dropped together with the answers, so that the peer ends the stream.
    _requests: Requests,
}

/// The answers of a peer. A peer may send nothing until it has a block, so the stream is opened by
/// the first call of [`BlockStream::next`].
enum Answers {
    Opening(Pin<Box<dyn Future<Output = Result<Streaming<DeliverResponse>, Status>> + Send>>),
    Open(Box<Streaming<DeliverResponse>>),
    /// The stream could not be opened.
    Ended,
}

/// Why a stream of blocks ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StreamError {
    /// The peer or the connection ended the stream.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A block is broken.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl BlockStream {
    /// Returns a stream that sends the seek request when the first block is requested.
    pub(crate) fn open(peer: &Peer, seek: Envelope) -> Self {
        let mut client = peer.deliver_client();
        let (requests, stream) = Requests::of(seek);
        let opening = async move { Ok(client.deliver(stream).await?.into_inner()) };
        let answers = Answers::Opening(Box::pin(opening));
        let peer = peer.endpoint().to_owned();
        Self { answers, peer, accountable: None, _requests: requests }
    }

    /// Returns this stream with the duty to set `peer` aside for a broken block, for callers that
    /// do not judge the peer themselves.
    pub(crate) fn accountable(self, peer: Arc<Peer>) -> Self {
        Self { accountable: Some(peer), ..self }
    }

    /// Returns the endpoint of the peer.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Returns the next block, or `None` if the peer ended the stream without an error. If the
    /// future is dropped, no block is lost.
    ///
    /// # Errors
    /// [`StreamError::Ledger`] if the stream cannot be opened or is lost, and
    /// [`StreamError::Chain`] for a broken block. The caller then opens another stream.
    pub async fn next(&mut self) -> Result<Option<Block>, StreamError> {
        if let Answers::Opening(opening) = &mut self.answers {
            let answers = opening
                .await
                .map_err(|status| LedgerError::from_status(Phase::Stream, &status).at(&self.peer));
            match answers {
                Ok(answers) => self.answers = Answers::Open(Box::new(answers)),
                Err(error) => {
                    self.answers = Answers::Ended;
                    return Err(error.into());
                }
            }
        }
        let Answers::Open(answers) = &mut self.answers else {
            return Ok(None);
        };
        match next_answer(answers, &self.peer).await? {
            None => Ok(None),
            Some(Type::Block(block)) => match (Block::read(&block), &self.accountable) {
                (Ok(block), _) => Ok(Some(block)),
                (Err(wrong), None) => Err(wrong.into()),
                (Err(wrong), Some(peer)) => {
                    let number = block.header.as_ref().map_or(0, |header| header.number);
                    peer.set_aside(&wrong, number);
                    Err(wrong.into())
                }
            },
            Some(_) => Err(unexpected(&self.peer).into()),
        }
    }
}

impl fmt::Debug for BlockStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockStream").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Returns the number of a peer's newest block plus one. If the peer does not answer until the
/// deadline, its connection is replaced.
pub(crate) async fn height_of(
    peer: &Peer,
    seek: Envelope,
    deadline: Instant,
) -> Result<u64, LedgerError> {
    let mut client = peer.deliver_client();
    let (_requests, stream) = Requests::of(seek);
    let ask = async {
        // Filtered blocks have no content. A whole block may be large, and only its number is
        // needed.
        let mut answers = client
            .deliver_filtered(stream)
            .await
            .map_err(|status| LedgerError::from_status(Phase::Stream, &status))?
            .into_inner();
        match next_answer(&mut answers, peer.endpoint()).await? {
            Some(Type::FilteredBlock(block)) => Ok(block.number.saturating_add(1)),
            _ => Err(unexpected(peer.endpoint())),
        }
    };
    let height = match tokio::time::timeout_at(deadline, ask).await {
        Ok(outcome) => outcome,
        Err(_) => {
            peer.renew();
            Err(LedgerError::timed_out(Phase::Stream))
        }
    };
    height.map_err(|error| {
        // A channel always has a newest block, so the channel does not exist on this peer.
        let error = match error.code {
            Code::NotFound => {
                let error = LedgerError { class: OutcomeClass::Misconfigured, ..error };
                error.because(Cause::NoChannel)
            }
            _ => error,
        }
        .at(peer.endpoint());
        count_failure(&error);
        error
    })
}

/// Keeps the client's side of a stream open, because some peers end the stream with it. It must be
/// dropped together with the answers: a client that only stops reading does not end an HTTP/2
/// stream, and the peer would keep it among the few that it serves at once until the connection
/// ends.
struct Requests {
    _open: mpsc::Sender<Envelope>,
}

impl Requests {
    /// Returns the stream of requests, which has this one request.
    fn of(seek: Envelope) -> (Self, ReceiverStream<Envelope>) {
        let (open, requests) = mpsc::channel(1);
        open.try_send(seek).expect("there is room for one");
        (Self { _open: open }, ReceiverStream::new(requests))
    }
}

/// Returns the next answer, or `None` if the peer ended the stream without an error.
async fn next_answer(
    answers: &mut Streaming<DeliverResponse>,
    peer: &str,
) -> Result<Option<Type>, LedgerError> {
    let answer = answers
        .message()
        .await
        .map_err(|status| LedgerError::from_status(Phase::Stream, &status).at(peer))?;
    match answer {
        None => Ok(None),
        Some(DeliverResponse { r#type: None }) => Err(unexpected(peer)),
        Some(DeliverResponse { r#type: Some(Type::Status(status)) }) => {
            if status == i32::from(DeliverStatus::Success) {
                return Ok(None);
            }
            Err(refused(status).at(peer))
        }
        Some(DeliverResponse { r#type: Some(content) }) => Ok(Some(content)),
    }
}

/// Returns the error of a Deliver status, which a peer sends instead of a gRPC status.
fn refused(status: i32) -> LedgerError {
    let (class, code, cause, meaning) = match DeliverStatus::try_from(status) {
        Ok(DeliverStatus::NotFound) => (
            OutcomeClass::Unavailable,
            Code::NotFound,
            None,
            "the peer does not have the block, or not the channel",
        ),
        Ok(DeliverStatus::Forbidden) => (
            OutcomeClass::Misconfigured,
            Code::PermissionDenied,
            Some(Cause::Denied),
            "the identity may not read blocks of the channel",
        ),
        Ok(DeliverStatus::BadRequest) => (
            OutcomeClass::Misconfigured,
            Code::InvalidArgument,
            None,
            "the peer does not accept the request; check the clocks and the TLS client certificate",
        ),
        _ => (OutcomeClass::Unavailable, Code::Unavailable, None, "the peer cannot deliver"),
    };
    let message = format!("deliver status {status}: {meaning}");
    LedgerError { code, cause, ..LedgerError::local(Phase::Stream, class, message) }
}

/// Returns the error of an answer that is not a block.
fn unexpected(peer: &str) -> LedgerError {
    LedgerError::local(
        Phase::Stream,
        OutcomeClass::Unavailable,
        "the peer answered with something else than a block",
    )
    .at(peer)
}

/// Returns the position of the newest block.
pub(crate) fn newest() -> (SeekPosition, SeekPosition, SeekBehavior) {
    let newest = SeekPosition { r#type: Some(seek_position::Type::Newest(SeekNewest {})) };
    (newest, newest, SeekBehavior::FailIfNotReady)
}

/// Returns the position of one block, which must exist.
pub(crate) fn one(number: u64) -> (SeekPosition, SeekPosition, SeekBehavior) {
    (specified(number), specified(number), SeekBehavior::FailIfNotReady)
}

/// Returns the positions from this block on without an end; the peer waits for new blocks.
pub(crate) fn from(number: u64) -> (SeekPosition, SeekPosition, SeekBehavior) {
    (specified(number), specified(u64::MAX), SeekBehavior::BlockUntilReady)
}

fn specified(number: u64) -> SeekPosition {
    SeekPosition { r#type: Some(seek_position::Type::Specified(SeekSpecified { number })) }
}
