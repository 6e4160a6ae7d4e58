//! One peer's stream: registration, then transactions and the answers that they wait for.

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

use crate::peer::{Offer, PeerState, TransactionKey};
use crate::transaction;

/// How long transactions under way may take to end when the service stops.
pub(crate) const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// What all streams share.
pub(crate) struct Shared {
    pub(crate) package_id: String,
    pub(crate) name: Arc<str>,
    /// One permit a transaction that may run.
    pub(crate) running: Arc<Semaphore>,
    pub(crate) stop: CancellationToken,
}

/// The service's end of one stream.
pub(crate) struct Session {
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<Result<ChaincodeMessage, Status>>,
    offer: Option<Offer>,
    transactions: HashMap<TransactionKey, Running>,
    tasks: JoinSet<Ended>,
    started: u64,
}

/// A transaction that waits for answers.
struct Running {
    number: u64,
    answers: mpsc::Sender<ChaincodeMessage>,
}

/// A transaction's last word.
struct Ended {
    number: u64,
    message: ChaincodeMessage,
}

impl Session {
    pub(crate) fn new(
        shared: Arc<Shared>,
        outgoing: mpsc::Sender<Result<ChaincodeMessage, Status>>,
    ) -> Self {
        Self {
            shared,
            outgoing,
            offer: None,
            transactions: HashMap::new(),
            tasks: JoinSet::new(),
            started: 0,
        }
    }

    /// Serves until the peer ends the stream, breaks the protocol, or the service stops.
    pub(crate) async fn run(mut self, mut incoming: Streaming<ChaincodeMessage>) {
        match self.serve(&mut incoming).await {
            Ok(()) => tracing::info!("the peer's stream has ended"),
            Err(reason) => {
                tracing::warn!(reason = reason.message(), "the peer's stream is given up");
                // Whether the peer still hears it does not matter.
                let _ = self.outgoing.send(Err(reason)).await;
            }
        }
    }

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

    /// Lets the transactions under way end, and refuses others.
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

    async fn receive(&mut self, message: ChaincodeMessage) -> Result<(), Status> {
        match message.r#type() {
            Type::Registered => Ok(()),
            Type::Keepalive => self.send(message).await,
            Type::Ready => {
                let params = ChaincodeAdditionalParams::decode(&message.payload[..])
                    .map_err(|why| Status::invalid_argument(format!("READY: {why}")))?;
                let offer = Offer::from(params);
                tracing::info!(
                    writes_at_once = offer.writes_at_once,
                    keys_at_once = offer.keys_at_once,
                    "a peer is ready"
                );
                self.offer = Some(offer);
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

    async fn start(&mut self, message: ChaincodeMessage) -> Result<(), Status> {
        let key = TransactionKey::of(&message);
        let Some(offer) = self.offer else {
            return Err(Status::failed_precondition("a transaction came before READY"));
        };
        if self.shared.stop.is_cancelled() {
            let reason = "the chaincode is stopping".into();
            return self.send(key.message(Type::Error, reason)).await;
        }
        self.started += 1;
        let number = self.started;
        // A peer answers a request before the next can be made.
        let (answers, receiver) = mpsc::channel(1);
        let peer = PeerState {
            key: key.clone(),
            offer,
            requests: self.outgoing.clone(),
            answers: receiver,
            round_trips: 0,
        };
        // A transaction of the same id that still runs was given up by the peer; without its
        // way to answers it ends, and its last word is not sent.
        self.transactions.insert(key, Running { number, answers });
        let (running, name) = (self.shared.running.clone(), self.shared.name.clone());
        self.tasks.spawn(async move {
            let permit = running.acquire_owned().await.expect("the semaphore is never closed");
            let failed = PeerState::failure(&peer.key);
            let work = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                transaction::run(&message, &name, peer)
            });
            // A transaction that panics must still end for the peer.
            let message = work.await.unwrap_or(failed);
            Ended { number, message }
        });
        Ok(())
    }

    /// Hands an answer to the transaction that waits for it.
    fn answer(&mut self, message: ChaincodeMessage) -> Result<(), Status> {
        let key = TransactionKey::of(&message);
        let Some(running) = self.transactions.get(&key) else {
            tracing::debug!(tx_id = key.tx_id, "an answer came for no transaction");
            return Ok(());
        };
        match running.answers.try_send(message) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(Status::failed_precondition("two answers came to one request"))
            }
        }
    }

    async fn finish(&mut self, ended: Result<Ended, tokio::task::JoinError>) -> Result<(), Status> {
        let ended = ended.map_err(|why| Status::internal(why.to_string()))?;
        let key = TransactionKey::of(&ended.message);
        if self.transactions.get(&key).is_none_or(|running| running.number != ended.number) {
            return Ok(());
        }
        self.transactions.remove(&key);
        self.send(ended.message).await
    }

    async fn send(&self, message: ChaincodeMessage) -> Result<(), Status> {
        let gone = |_| Status::cancelled("the stream to the peer has ended");
        self.outgoing.send(Ok(message)).await.map_err(gone)
    }
}
