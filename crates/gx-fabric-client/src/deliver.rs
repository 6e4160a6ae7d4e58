//! Reading blocks from one peer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

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
use crate::error::{Cause, LedgerError, OutcomeClass, Phase};
use crate::peer::Peer;
use crate::telemetry::count_failure;

/// Blocks as one peer delivers them, until the stream ends.
pub struct BlockStream {
    answers: Answers,
    peer: String,
    /// Dropped with the answers, so that the peer is told.
    _requests: Requests,
}

/// A peer may hold back its first word until there is a block, so that opening a stream is
/// part of waiting for its first block.
enum Answers {
    Opening(Pin<Box<dyn Future<Output = Result<Streaming<DeliverResponse>, Status>> + Send>>),
    Open(Box<Streaming<DeliverResponse>>),
    /// It could not be opened.
    Ended,
}

/// Why a stream of blocks ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StreamError {
    /// The peer or the connection ended it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A block cannot be what it claims.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl BlockStream {
    /// Sends a seek request to a peer, once somebody waits for a block.
    pub(crate) fn open(peer: &Peer, seek: Envelope) -> Self {
        let mut client = peer.deliver_client();
        let (requests, stream) = Requests::of(seek);
        let opening = async move { Ok(client.deliver(stream).await?.into_inner()) };
        let answers = Answers::Opening(Box::pin(opening));
        Self { answers, peer: peer.endpoint().to_owned(), _requests: requests }
    }

    /// The peer that delivers.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// The next block; none when the peer ended the stream without an error, which is an
    /// end all the same. Dropping the future loses nothing.
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
            Some(Type::Block(block)) => Ok(Some(Block::read(&block)?)),
            Some(_) => Err(unexpected(&self.peer).into()),
        }
    }
}

impl fmt::Debug for BlockStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockStream").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// The number of a peer's newest block, plus one.
pub(crate) async fn height_of(
    peer: &Peer,
    seek: Envelope,
    deadline: Instant,
) -> Result<u64, LedgerError> {
    let mut client = peer.deliver_client();
    let (_requests, stream) = Requests::of(seek);
    let ask = async {
        // Filtered blocks carry no content: the newest may be large, and is not wanted.
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
        // Every channel has a newest block.
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

/// Keeps the stream of requests open: some peers end with their clients' side. It must be dropped
/// when the answers are: HTTP/2 has no word for a caller who only stops to listen, and a peer
/// serves him, one of the few it serves at once, for as long as the connection stands.
struct Requests {
    _open: mpsc::Sender<Envelope>,
}

impl Requests {
    /// The stream has this one request.
    fn of(seek: Envelope) -> (Self, ReceiverStream<Envelope>) {
        let (open, requests) = mpsc::channel(1);
        open.try_send(seek).expect("there is room for one");
        (Self { _open: open }, ReceiverStream::new(requests))
    }
}

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

/// A Deliver service says no with a number of its own instead of a gRPC status.
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

fn unexpected(peer: &str) -> LedgerError {
    LedgerError::local(
        Phase::Stream,
        OutcomeClass::Unavailable,
        "the peer answered with something else than a block",
    )
    .at(peer)
}

pub(crate) fn newest() -> (SeekPosition, SeekPosition, SeekBehavior) {
    let newest = SeekPosition { r#type: Some(seek_position::Type::Newest(SeekNewest {})) };
    (newest, newest, SeekBehavior::FailIfNotReady)
}

pub(crate) fn one(number: u64) -> (SeekPosition, SeekPosition, SeekBehavior) {
    (specified(number), specified(number), SeekBehavior::FailIfNotReady)
}

pub(crate) fn from(number: u64) -> (SeekPosition, SeekPosition, SeekBehavior) {
    (specified(number), specified(u64::MAX), SeekBehavior::BlockUntilReady)
}

fn specified(number: u64) -> SeekPosition {
    SeekPosition { r#type: Some(seek_position::Type::Specified(SeekSpecified { number })) }
}
