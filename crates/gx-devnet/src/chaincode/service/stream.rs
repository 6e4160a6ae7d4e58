//! The stream to one chaincode: registration, then the messages of many transactions.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use gx_fabric_proto::protos::chaincode_client::ChaincodeClient;
use gx_fabric_proto::protos::chaincode_message::Type;
use gx_fabric_proto::protos::{ChaincodeAdditionalParams, ChaincodeId, ChaincodeMessage};
use prost::Message;
use tokio::sync::mpsc as queue;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::Channel;

/// Writes in a batch, and keys in one request, at most: a peer's own settings.
const BATCH_SIZE: u32 = 1_000;

/// A registered chaincode.
#[derive(Debug)]
pub(super) struct Stream {
    /// What it registered with.
    pub(super) id: String,
    outgoing: queue::UnboundedSender<ChaincodeMessage>,
    /// The transactions that it is carrying out; none once the stream has ended.
    errands: Mutex<Option<HashMap<TransactionKey, Incoming>>>,
}

/// Channel and transaction id.
type TransactionKey = (String, String);

/// What connects a transaction's thread to the stream.
#[derive(Debug)]
struct Incoming {
    messages: mpsc::Sender<ChaincodeMessage>,
    is_busy: Arc<AtomicBool>,
}

/// One transaction's place on a stream; it ends when this is dropped.
pub(super) struct Talk {
    stream: Arc<Stream>,
    key: TransactionKey,
    pub(super) incoming: mpsc::Receiver<ChaincodeMessage>,
    /// Set while a request is being served: a second one is dropped then.
    is_busy: Arc<AtomicBool>,
}

/// Waits for the chaincode to register, and tells it what we can do.
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
    let stream = Arc::new(Stream { id, outgoing, errands: Mutex::new(Some(HashMap::new())) });
    stream.send(ChaincodeMessage { r#type: Type::Registered.into(), ..Default::default() });
    stream.send(ChaincodeMessage {
        r#type: Type::Ready.into(),
        payload: params.encode_to_vec(),
        ..Default::default()
    });
    tokio::spawn(receive(Arc::clone(&stream), incoming, stopping));
    Ok(stream)
}

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

/// Hands every message to its transaction until the stream ends.
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
                    tracing::warn!(chaincode = %id, kind, "unknown message, ending the stream");
                    break;
                }
            }
            Ok(None) => {
                tracing::info!(chaincode = %id, "the chaincode has closed its stream");
                break;
            }
            Err(status) => {
                tracing::warn!(chaincode = %id, %status, "the stream to the chaincode has broken");
                break;
            }
        }
    }
    // Whoever waits for a message is told by the end of its channel.
    stream.errands().take();
}

impl Stream {
    pub(super) fn is_open(&self) -> bool {
        self.errands().is_some()
    }

    /// A place for one transaction. The error is a peer's.
    pub(super) fn begin(self: &Arc<Self>, channel: &str, tx_id: &str) -> Result<Talk, String> {
        let key = (channel.to_owned(), tx_id.to_owned());
        let (messages, incoming) = mpsc::channel();
        let is_busy = Arc::new(AtomicBool::new(false));
        let mut errands = self.errands();
        let errands = errands.as_mut().ok_or(STREAM_TERMINATED)?;
        if errands.contains_key(&key) {
            return Err(format!("txid: {tx_id}({channel}) exists"));
        }
        errands.insert(key.clone(), Incoming { messages, is_busy: Arc::clone(&is_busy) });
        Ok(Talk { stream: Arc::clone(self), key, incoming, is_busy })
    }

    /// The error is the kind of a message that a peer ends the stream on.
    fn route(&self, message: ChaincodeMessage) -> Result<(), &'static str> {
        let is_answer = match message.r#type() {
            Type::Keepalive => return Ok(()),
            Type::Completed | Type::Error => true,
            kind if is_request(kind) => false,
            other => return Err(other.as_str_name()),
        };
        let key = (message.channel_id.clone(), message.txid.clone());
        let errands = self.errands();
        let Some(errand) = errands.as_ref().and_then(|errands| errands.get(&key)) else {
            if !is_answer {
                let reason = match message.r#type() {
                    Type::InvokeChaincode => "could not get valid transaction",
                    _ => "no ledger context",
                };
                self.send(refusal(&message, reason));
            }
            return Ok(());
        };
        if !is_answer && errand.is_busy.swap(true, Ordering::SeqCst) {
            tracing::error!(chaincode = %self.id, tx_id = %message.txid,
                "another request is pending for this transaction; the second one is dropped");
            return Ok(());
        }
        // Its thread may have given up in this moment; then nobody wants the message.
        let _given_up = errand.messages.send(message);
        Ok(())
    }

    fn send(&self, message: ChaincodeMessage) {
        // Fails only after the stream's end, which the receiving side notices by itself.
        let _ended = self.outgoing.send(message);
    }

    fn errands(&self) -> std::sync::MutexGuard<'_, Option<HashMap<TransactionKey, Incoming>>> {
        self.errands.lock().expect("no holder of this lock can panic")
    }
}

/// What a transaction is told when its stream ends.
pub(super) const STREAM_TERMINATED: &str = "chaincode stream terminated";

impl Talk {
    /// Sends the call itself.
    pub(super) fn call(&self, message: ChaincodeMessage) {
        self.stream.send(message);
    }

    /// Answers the request that is being served.
    pub(super) fn reply(&self, message: ChaincodeMessage) {
        self.is_busy.store(false, Ordering::SeqCst);
        self.stream.send(message);
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        if let Some(errands) = self.stream.errands().as_mut() {
            errands.remove(&self.key);
        }
    }
}

/// An answer that is a refusal, in a peer's form.
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

fn received_badly(status: &tonic::Status) -> String {
    format!(
        "receive from chaincode support stream failed: rpc error: code = {:?} desc = {}",
        status.code(),
        status.message()
    )
}
