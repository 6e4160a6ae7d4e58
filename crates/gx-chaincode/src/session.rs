//! The session of one peer: registration, then transactions and the answers for which they wait.
//! The server runs one for each stream.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gx_fabric_proto::protos::chaincode_message::Type;
use gx_fabric_proto::protos::{ChaincodeAdditionalParams, ChaincodeId, ChaincodeMessage};
use prost::Message;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::peer::{PeerFeatures, PeerState, TransactionKey};
use crate::transaction;

/// Time limit of running transactions after the service is stopped.
pub(crate) const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// State that all sessions share.
pub(crate) struct Shared {
    pub(crate) package_id: String,
    pub(crate) name: Arc<str>,
    /// One permit for each transaction that may run.
    pub(crate) running: Arc<Semaphore>,
    pub(crate) stop: CancellationToken,
}

/// The service's side of one stream.
pub(crate) struct Session {
    shared: Arc<Shared>,
    /// The peer's address, for log lines.
    peer: String,
    outgoing: mpsc::Sender<Result<ChaincodeMessage, Status>>,
    /// `None` until the peer is ready.
    features: Option<PeerFeatures>,
    transactions: HashMap<TransactionKey, Running>,
    tasks: JoinSet<Ended>,
    /// Number of transactions that were started.
    started: u64,
}

/// A running transaction, with the channel for the peer's answers.
struct Running {
    number: u64,
    answers: mpsc::Sender<ChaincodeMessage>,
}

/// A transaction that has ended, with the message for the peer.
struct Ended {
    number: u64,
    message: ChaincodeMessage,
}

impl Session {
    pub(crate) fn new(
        shared: Arc<Shared>,
        peer: String,
        outgoing: mpsc::Sender<Result<ChaincodeMessage, Status>>,
    ) -> Self {
        Self {
            shared,
            peer,
            outgoing,
            features: None,
            transactions: HashMap::new(),
            tasks: JoinSet::new(),
            started: 0,
        }
    }

    /// Runs the session until the peer ends the stream, violates the protocol, or the service
    /// stops. A violation is logged and sent to the peer as the status of the stream.
    pub(crate) async fn run(mut self, mut incoming: Streaming<ChaincodeMessage>) {
        match self.serve(&mut incoming).await {
            Ok(()) => {
                tracing::info!(peer = self.peer, "the stream of peer {} has ended", self.peer);
            }
            Err(error) => {
                tracing::warn!(
                    peer = self.peer,
                    error = error.message(),
                    "the stream of peer {} is given up",
                    self.peer
                );
                // The peer may already be gone.
                let _ = self.outgoing.send(Err(error)).await;
            }
        }
    }

    /// Registers and serves. An error is a violation of the protocol or a lost stream.
    async fn serve(&mut self, incoming: &mut Streaming<ChaincodeMessage>) -> Result<(), Status> {
        let id = ChaincodeId { name: self.shared.package_id.clone(), ..ChaincodeId::default() };
        self.send(ChaincodeMessage {
            r#type: Type::Register.into(),
            payload: id.encode_to_vec(),
            ..ChaincodeMessage::default()
        })
        .await?;
        let stop = self.shared.stop.clone();
        loop {
            tokio::select! {
                message = incoming.message() => match message? {
                    Some(message) => self.receive(message).await?,
                    None => return Ok(()),
                },
                Some(ended) = self.tasks.join_next() => self.finish(ended).await?,
                () = stop.cancelled() => return self.drain(incoming).await,
            }
        }
    }

    /// Waits for the running transactions and refuses new ones.
    async fn drain(&mut self, incoming: &mut Streaming<ChaincodeMessage>) -> Result<(), Status> {
        let limit = tokio::time::sleep(DRAIN_LIMIT);
        tokio::pin!(limit);
        while !self.tasks.is_empty() {
            tokio::select! {
                message = incoming.message() => match message? {
                    Some(message) => self.receive(message).await?,
                    None => return Ok(()),
                },
                Some(ended) = self.tasks.join_next() => self.finish(ended).await?,
                () = &mut limit => {
                    return Err(Status::unavailable("the chaincode has stopped"));
                }
            }
        }
        Ok(())
    }

    /// Processes one message of the peer. An error ends the stream.
    async fn receive(&mut self, message: ChaincodeMessage) -> Result<(), Status> {
        match message.r#type() {
            Type::Registered => Ok(()),
            Type::Keepalive => self.send(message).await,
            Type::Ready => {
                let params = ChaincodeAdditionalParams::decode(&message.payload[..])
                    .map_err(|why| Status::invalid_argument(format!("READY: {why}")))?;
                let features = PeerFeatures::from(params);
                let PeerFeatures { writes_at_once, keys_at_once } = features;
                let peer = &self.peer;
                tracing::info!(peer, writes_at_once, keys_at_once, "peer {peer} is ready");
                self.features = Some(features);
                Ok(())
            }
            Type::Init | Type::Transaction => self.start(message).await,
            Type::Response | Type::Error => self.answer(message),
            kind => Err(Status::failed_precondition(format!(
                "a chaincode cannot handle {}",
                kind.as_str_name()
            ))),
        }
    }

    /// Starts a transaction, which waits if too many run, or refuses it if the service stops.
    async fn start(&mut self, message: ChaincodeMessage) -> Result<(), Status> {
        let key = TransactionKey::of(&message);
        let Some(features) = self.features else {
            return Err(Status::failed_precondition("a transaction came before READY"));
        };
        if self.shared.stop.is_cancelled() {
            let reason = "the chaincode is stopping".into();
            return self.send(key.message(Type::Error, reason)).await;
        }
        self.started += 1;
        let number = self.started;
        // The peer answers each request before the transaction can send another one.
        let (answers, receiver) = mpsc::channel(1);
        let peer = PeerState {
            key: key.clone(),
            features,
            requests: self.outgoing.clone(),
            answers: receiver,
            round_trips: 0,
        };
        // If a transaction with this id is still running, the peer has given it up. Without its
        // channel for answers it ends, and its last message is not sent.
        self.transactions.insert(key, Running { number, answers });
        let (running, name) = (self.shared.running.clone(), self.shared.name.clone());
        self.tasks.spawn(async move {
            let permit = running.acquire_owned().await.expect("the semaphore is never closed");
            let failed = PeerState::failure(&peer.key);
            let work = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                transaction::run(&message, &name, peer)
            });
            // If the transaction panics, the peer still gets a message that ends it.
            let message = work.await.unwrap_or(failed);
            Ended { number, message }
        });
        Ok(())
    }

    /// Passes an answer to the transaction that waits for it. An answer for which no transaction
    /// waits is dropped; two answers to one request violate the protocol.
    fn answer(&mut self, message: ChaincodeMessage) -> Result<(), Status> {
        let key = TransactionKey::of(&message);
        let Some(running) = self.transactions.get(&key) else {
            tracing::debug!(
                tx_id = key.tx_id,
                "an answer came for transaction {}, which does not run",
                key.tx_id
            );
            return Ok(());
        };
        match running.answers.try_send(message) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(Status::failed_precondition("two answers came to one request"))
            }
        }
    }

    /// Sends the message that ends a transaction, unless a newer one has its id.
    async fn finish(&mut self, ended: Result<Ended, tokio::task::JoinError>) -> Result<(), Status> {
        let ended = ended.map_err(|why| Status::internal(why.to_string()))?;
        let key = TransactionKey::of(&ended.message);
        if self.transactions.get(&key).is_none_or(|running| running.number != ended.number) {
            return Ok(());
        }
        self.transactions.remove(&key);
        self.send(ended.message).await
    }

    /// Sends a message. The error means that the stream has ended.
    async fn send(&self, message: ChaincodeMessage) -> Result<(), Status> {
        let gone = |_| Status::cancelled("the stream to the peer has ended");
        self.outgoing.send(Ok(message)).await.map_err(gone)
    }
}
