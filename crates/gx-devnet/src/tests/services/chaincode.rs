//! A chaincode service for tests, which speaks the shim protocol message by message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use gx_fabric_proto::protos::chaincode_message::Type;
use gx_fabric_proto::protos::chaincode_server::{Chaincode, ChaincodeServer};
use gx_fabric_proto::protos::{
    ChaincodeAdditionalParams, ChaincodeEvent, ChaincodeId, ChaincodeInput, ChaincodeMessage,
    ChaincodeProposalPayload, Proposal, Response as Answer,
};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use super::script;
use crate::tests::bounded;

/// A running service. It ends with [`Service::stop`] or with the test.
pub(in crate::tests) struct Service {
    pub(in crate::tests) address: String,
    stopping: CancellationToken,
    server: tokio::task::JoinHandle<()>,
    offered: Arc<Mutex<Option<ChaincodeAdditionalParams>>>,
    hanging: Arc<Notify>,
}

impl Service {
    pub(in crate::tests) async fn start() -> Self {
        Self::start_at("127.0.0.1:0", None).await
    }

    pub(in crate::tests) async fn start_at(address: &str, tls: Option<ServerTlsConfig>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stopping = CancellationToken::new();
        let offered = Arc::default();
        let hanging = Arc::new(Notify::new());
        let shim = Shim {
            offered: Arc::clone(&offered),
            hanging: Arc::clone(&hanging),
            stopping: stopping.clone(),
        };
        let mut builder = Server::builder();
        if let Some(tls) = tls {
            builder = builder.tls_config(tls).unwrap();
        }
        let serving = builder.add_service(ChaincodeServer::new(shim)).serve_with_incoming_shutdown(
            TcpListenerStream::new(listener),
            stopping.clone().cancelled_owned(),
        );
        let server = tokio::spawn(async move { serving.await.unwrap() });
        Self { address, stopping, server, offered, hanging }
    }

    /// Ends all streams and releases the port.
    pub(in crate::tests) async fn stop(self) {
        self.stopping.cancel();
        self.server.await.unwrap();
    }

    /// Waits until a call hangs.
    pub(in crate::tests) async fn hangs(&self) {
        bounded("a call that hangs", self.hanging.notified()).await;
    }

    /// Returns the features that the ledger has offered in READY.
    pub(in crate::tests) fn offered(&self) -> ChaincodeAdditionalParams {
        self.offered.lock().unwrap().expect("the chaincode was called once")
    }
}

struct Shim {
    offered: Arc<Mutex<Option<ChaincodeAdditionalParams>>>,
    hanging: Arc<Notify>,
    stopping: CancellationToken,
}

type Outgoing = UnboundedSender<Result<ChaincodeMessage, Status>>;

#[tonic::async_trait]
impl Chaincode for Shim {
    type ConnectStream = UnboundedReceiverStream<Result<ChaincodeMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<ChaincodeMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (outgoing, stream) = unbounded_channel();
        let id = ChaincodeId { name: "any:id".to_owned(), ..ChaincodeId::default() };
        let register = ChaincodeMessage {
            r#type: Type::Register.into(),
            payload: id.encode_to_vec(),
            ..ChaincodeMessage::default()
        };
        outgoing.send(Ok(register)).unwrap();
        let session = Session {
            outgoing,
            offered: Arc::clone(&self.offered),
            hanging: Arc::clone(&self.hanging),
            answers: HashMap::new(),
        };
        tokio::spawn(session.run(request.into_inner(), self.stopping.clone()));
        Ok(Response::new(UnboundedReceiverStream::new(stream)))
    }
}

/// One stream.
struct Session {
    outgoing: Outgoing,
    offered: Arc<Mutex<Option<ChaincodeAdditionalParams>>>,
    hanging: Arc<Notify>,
    /// The channels for answers to requests, by transaction.
    answers: HashMap<String, UnboundedSender<ChaincodeMessage>>,
}

impl Session {
    async fn run(mut self, mut incoming: Streaming<ChaincodeMessage>, stopping: CancellationToken) {
        loop {
            let message = tokio::select! {
                message = incoming.message() => message,
                () = stopping.cancelled() => return self.end(),
            };
            let Ok(Some(message)) = message else { return };
            match message.r#type() {
                Type::Ready => {
                    let params = ChaincodeAdditionalParams::decode(message.payload.as_slice());
                    *self.offered.lock().unwrap() = Some(params.unwrap());
                }
                Type::Init | Type::Transaction => self.begin(message),
                Type::Response | Type::Error => {
                    if let Some(answers) = self.answers.get(&message.txid) {
                        let _done = answers.send(message);
                    }
                }
                _ => {}
            }
        }
    }

    fn begin(&mut self, call: ChaincodeMessage) {
        let (answers, answered) = unbounded_channel();
        self.answers.insert(call.txid.clone(), answers);
        let stub = Stub {
            call,
            outgoing: self.outgoing.clone(),
            answered,
            hanging: Arc::clone(&self.hanging),
            event: None,
        };
        tokio::spawn(stub.run());
    }

    fn end(self) {
        let _gone = self.outgoing.send(Err(Status::unavailable("the chaincode has ended")));
    }
}

/// The script's side of one transaction.
pub(super) struct Stub {
    call: ChaincodeMessage,
    outgoing: Outgoing,
    answered: UnboundedReceiver<ChaincodeMessage>,
    hanging: Arc<Notify>,
    pub(super) event: Option<(String, Vec<u8>)>,
}

impl Stub {
    async fn run(mut self) {
        let input = ChaincodeInput::decode(self.call.payload.as_slice()).unwrap();
        let args = input.args.into_iter().map(|arg| String::from_utf8(arg).unwrap());
        let is_init = self.call.r#type() == Type::Init;
        let answer = match script::run(&mut self, is_init, &args.collect::<Vec<_>>()).await {
            Ok(payload) => Answer { status: 200, message: String::new(), payload },
            Err(message) => Answer { status: 500, message, payload: Vec::new() },
        };
        let event = self.event.take().map(|(event_name, payload)| ChaincodeEvent {
            event_name,
            payload,
            ..ChaincodeEvent::default()
        });
        self.send(ChaincodeMessage {
            r#type: Type::Completed.into(),
            payload: answer.encode_to_vec(),
            chaincode_event: event,
            ..ChaincodeMessage::default()
        });
    }

    /// Sends a message of this transaction.
    pub(super) fn send(&self, message: ChaincodeMessage) {
        let message = ChaincodeMessage {
            txid: self.call.txid.clone(),
            channel_id: self.call.channel_id.clone(),
            ..message
        };
        let _gone = self.outgoing.send(Ok(message));
    }

    /// Sends a request to the peer and returns the answer. The error is the peer's message.
    pub(super) async fn ask(
        &mut self,
        kind: Type,
        request: &impl Message,
    ) -> Result<Vec<u8>, String> {
        self.send(ChaincodeMessage {
            r#type: kind.into(),
            payload: request.encode_to_vec(),
            ..ChaincodeMessage::default()
        });
        let answer = self.answered.recv().await.ok_or("the stream has ended")?;
        match answer.r#type() {
            Type::Response => Ok(answer.payload),
            _ => Err(String::from_utf8(answer.payload).unwrap()),
        }
    }

    /// Sends a request and decodes the answer.
    pub(super) async fn query<M: Message + Default>(
        &mut self,
        kind: Type,
        request: &impl Message,
    ) -> Result<M, String> {
        let answer = self.ask(kind, request).await?;
        Ok(M::decode(answer.as_slice()).unwrap())
    }

    /// Tells the test that this call will not be answered.
    pub(super) fn tell_hanging(&self) {
        self.hanging.notify_one();
    }

    /// Breaks the stream.
    pub(super) fn break_stream(&self) {
        let _gone = self.outgoing.send(Err(Status::internal("crashed")));
    }

    /// Waits until the peer has closed the stream.
    pub(super) async fn stream_ended(&self) {
        self.outgoing.closed().await;
    }

    pub(super) fn transient(&self, name: &str) -> Vec<u8> {
        let signed = self.call.proposal.clone().unwrap();
        let proposal = Proposal::decode(signed.proposal_bytes.as_slice()).unwrap();
        let payload = ChaincodeProposalPayload::decode(proposal.payload.as_slice()).unwrap();
        payload.transient_map[name].clone()
    }
}
