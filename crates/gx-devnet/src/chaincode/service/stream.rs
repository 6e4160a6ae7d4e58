//! The stream to one chaincode: registration, then the messages of many transactions.
//! `Connection::launch` opens it with [`open`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};

use gx_fabric_proto::common::ChannelHeader;
use gx_fabric_proto::protos::chaincode_client::ChaincodeClient;
use gx_fabric_proto::protos::chaincode_message::Type;
use gx_fabric_proto::protos::{ChaincodeAdditionalParams, ChaincodeId, ChaincodeMessage};
use prost::Message;
use tokio::sync::mpsc as queue;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::Channel;

/// Limit of writes in a batch and of keys in a request; a peer's default.
const BATCH_SIZE: u32 = 1_000;

/// The stream of a registered chaincode.
#[derive(Debug)]
pub(super) struct Stream {
    /// The id with which it registered.
    pub(super) id: String,
    outgoing: queue::UnboundedSender<ChaincodeMessage>,
    /// The transactions that the chaincode is executing. `None` after the stream has ended.
    calls: Mutex<Calls>,
}

/// The channel and the transaction id.
type TransactionKey = (String, String);

/// The running calls of a stream; `None` after the stream has ended.
type Calls = Option<HashMap<TransactionKey, TransactionChannel>>;

/// The channel from the stream to a transaction's thread.
#[derive(Debug)]
struct TransactionChannel {
    messages: mpsc::Sender<ChaincodeMessage>,
    is_busy: Arc<AtomicBool>,
}

/// A transaction's side of a stream. Dropping it ends the transaction's use of the stream.
pub(super) struct TransactionStream {
    stream: Arc<Stream>,
    key: TransactionKey,
    pub(super) incoming: mpsc::Receiver<ChaincodeMessage>,
    /// Set while a request is served. A second request is dropped then, as a peer does.
    is_busy: Arc<AtomicBool>,
}

/// Waits until the chaincode registers, and sends it the features of this peer. The error is a
/// peer's message.
pub(super) async fn open(
    mut client: ChaincodeClient<Channel>,
    stopping: CancellationToken,
) -> Result<Arc<Stream>, String> {
    let (outgoing, requests) = queue::unbounded_channel();
    let incoming = client.connect(UnboundedReceiverStream::new(requests)).await;
    let mut incoming = incoming.map_err(|status| received_badly(&status))?.into_inner();
    let id = registration(&mut incoming).await?;
    let params = ChaincodeAdditionalParams {
        use_write_batch: true,
        max_size_write_batch: BATCH_SIZE,
        use_get_multiple_keys: true,
        max_size_get_multiple_keys: BATCH_SIZE,
    };
    let stream = Arc::new(Stream { id, outgoing, calls: Mutex::new(Some(HashMap::new())) });
    stream.send(ChaincodeMessage { r#type: Type::Registered.into(), ..Default::default() });
    stream.send(ChaincodeMessage {
        r#type: Type::Ready.into(),
        payload: params.encode_to_vec(),
        ..Default::default()
    });
    tokio::spawn(receive(Arc::clone(&stream), incoming, stopping));
    Ok(stream)
}

/// Waits for the registration and returns the id of the chaincode.
async fn registration(incoming: &mut Streaming<ChaincodeMessage>) -> Result<String, String> {
    loop {
        let message = incoming.message().await.map_err(|status| received_badly(&status))?;
        let message = message.ok_or("EOF")?;
        match message.r#type() {
            Type::Keepalive => {}
            Type::Register => {
                let id = ChaincodeId::decode(message.payload.as_slice())
                    .map_err(|error| format!("could NOT unmarshal registration info: {error}"))?;
                if id.name.is_empty() {
                    return Err("error in handling register chaincode, chaincodeID name is empty"
                        .to_owned());
                }
                return Ok(id.name);
            }
            other => {
                return Err(format!(
                    "error handling message, ending stream: [{}] Fabric side handler cannot handle \
                     message ({}) while in created state",
                    message.txid,
                    other.as_str_name()
                ));
            }
        }
    }
}

/// Passes every message to its transaction until the stream ends; then all waiting transactions
/// fail.
async fn receive(
    stream: Arc<Stream>,
    mut incoming: Streaming<ChaincodeMessage>,
    stopping: CancellationToken,
) {
    let id = &stream.id;
    loop {
        let message = tokio::select! {
            message = incoming.message() => message,
            () = stopping.cancelled() => break,
        };
        match message {
            Ok(Some(message)) => {
                if let Err(kind) = stream.route(message) {
                    tracing::warn!(chaincode = %id, message_type = kind,
                        "chaincode {id} sent a message of an unknown type; its stream is ended");
                    break;
                }
            }
            Ok(None) => {
                tracing::info!(chaincode = %id, "chaincode {id} has closed its stream");
                break;
            }
            Err(status) => {
                tracing::warn!(chaincode = %id, error = %status, "the stream to chaincode {id} has broken");
                break;
            }
        }
    }
    // The ends of their channels tell the waiting threads that the stream has ended.
    stream.calls().take();
}

impl Stream {
    /// Returns whether the stream can be used. If not, the next transaction opens another one.
    pub(super) fn is_open(&self) -> bool {
        self.calls().is_some()
    }

    /// Registers a transaction with the stream. The error is a peer's message: the stream has
    /// ended, or the transaction is already running.
    pub(super) fn begin(self: &Arc<Self>, of: &ChannelHeader) -> Result<TransactionStream, String> {
        let key = (of.channel_id.clone(), of.tx_id.clone());
        let (messages, incoming) = mpsc::channel();
        let is_busy = Arc::new(AtomicBool::new(false));
        let mut calls = self.calls();
        let calls = calls.as_mut().ok_or(STREAM_TERMINATED)?;
        if calls.contains_key(&key) {
            return Err(format!("txid: {}({}) exists", of.tx_id, of.channel_id));
        }
        calls.insert(key.clone(), TransactionChannel { messages, is_busy: Arc::clone(&is_busy) });
        Ok(TransactionStream { stream: Arc::clone(self), key, incoming, is_busy })
    }

    /// Passes a message to its transaction. The error is the type of a message on which a peer ends
    /// the stream.
    fn route(&self, message: ChaincodeMessage) -> Result<(), &'static str> {
        let is_answer = match message.r#type() {
            Type::Keepalive => return Ok(()),
            Type::Completed | Type::Error => true,
            kind if is_request(kind) => false,
            other => return Err(other.as_str_name()),
        };
        let key = (message.channel_id.clone(), message.txid.clone());
        let calls = self.calls();
        let Some(call) = calls.as_ref().and_then(|calls| calls.get(&key)) else {
            if !is_answer {
                let reason = match message.r#type() {
                    Type::InvokeChaincode => "could not get valid transaction",
                    _ => "no ledger context",
                };
                self.send(refusal(&message, reason));
            }
            return Ok(());
        };
        if !is_answer && call.is_busy.swap(true, Ordering::SeqCst) {
            tracing::error!(chaincode = %self.id, tx_id = %message.txid,
                "another request of transaction {} is pending, so the second one is dropped; correct \
                 the chaincode",
                message.txid);
            return Ok(());
        }
        // The transaction's thread may have given up; the message is not needed then.
        let _given_up = call.messages.send(message);
        Ok(())
    }

    fn send(&self, message: ChaincodeMessage) {
        // This fails only after the end of the stream, which the receiving side detects.
        let _ended = self.outgoing.send(message);
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().expect("no holder of this lock can panic")
    }
}

/// The error of a transaction whose stream has ended.
pub(super) const STREAM_TERMINATED: &str = "chaincode stream terminated";

impl TransactionStream {
    /// Sends the call.
    pub(super) fn call(&self, message: ChaincodeMessage) {
        self.stream.send(message);
    }

    /// Answers the current request.
    pub(super) fn reply(&self, message: ChaincodeMessage) {
        self.is_busy.store(false, Ordering::SeqCst);
        self.stream.send(message);
    }
}

impl Drop for TransactionStream {
    fn drop(&mut self) {
        if let Some(calls) = self.stream.calls().as_mut() {
            calls.remove(&self.key);
        }
    }
}

/// Returns the answer to a request that is refused, in a peer's form.
pub(super) fn refusal(request: &ChaincodeMessage, reason: &str) -> ChaincodeMessage {
    let kind = request.r#type().as_str_name();
    let text = format!("{kind} failed: transaction ID: {}: {reason}", request.txid);
    ChaincodeMessage {
        r#type: Type::Error.into(),
        payload: text.into_bytes(),
        txid: request.txid.clone(),
        channel_id: request.channel_id.clone(),
        ..Default::default()
    }
}

/// Returns whether a message asks the peer for something during a transaction.
fn is_request(kind: Type) -> bool {
    match kind {
        Type::GetState
        | Type::PutState
        | Type::DelState
        | Type::InvokeChaincode
        | Type::GetStateByRange
        | Type::GetQueryResult
        | Type::QueryStateNext
        | Type::QueryStateClose
        | Type::GetHistoryForKey
        | Type::GetStateMetadata
        | Type::PutStateMetadata
        | Type::GetPrivateDataHash
        | Type::PurgePrivateData
        | Type::WriteBatchState
        | Type::GetStateMultiple => true,
        Type::Undefined
        | Type::Register
        | Type::Registered
        | Type::Init
        | Type::Ready
        | Type::Transaction
        | Type::Completed
        | Type::Error
        | Type::Response
        | Type::Keepalive => false,
    }
}

/// Returns a peer's message for a stream that failed.
fn received_badly(status: &tonic::Status) -> String {
    format!(
        "receive from chaincode support stream failed: rpc error: code = {:?} desc = {}",
        status.code(),
        status.message()
    )
}
