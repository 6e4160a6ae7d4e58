//! The execution of one chaincode call: sends it, serves its requests, and returns its answer.
//! Called by `Service::invoke`, on a thread that may block.

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use gx_fabric_proto::protos::chaincode_message::Type;
use gx_fabric_proto::protos::{ChaincodeInput, ChaincodeMessage, Response};
use prost::Message;

use super::requests::Requests;
use super::stream::{STREAM_TERMINATED, Stream, refusal};
use super::{CallKind, Execution};
use crate::chaincode::{CallOutcome, ChaincodeAnswer};
use crate::ledger::Simulation;

/// The error of a transaction whose chaincode takes too long.
const EXECUTION_TIMEOUT: &str = "timeout expired while executing transaction";

impl Execution<'_> {
    /// Executes the call over this stream. The error is a peer's message: the stream has ended, the
    /// time limit has passed, or the answer is malformed.
    pub(super) fn run(
        &self,
        stream: &Arc<Stream>,
        simulation: &mut Simulation,
        input: &ChaincodeInput,
        timeout: Duration,
    ) -> Result<CallOutcome, String> {
        let deadline = Instant::now() + timeout;
        let proposal = self.call.proposal;
        let transaction = stream.begin(&proposal.channel)?;
        let kind = match self.kind {
            CallKind::Init => Type::Init,
            CallKind::Transaction => Type::Transaction,
        };
        transaction.call(ChaincodeMessage {
            r#type: kind.into(),
            payload: input.encode_to_vec(),
            txid: proposal.channel.tx_id.clone(),
            channel_id: proposal.channel.channel_id.clone(),
            proposal: Some(proposal.signed.clone()),
            ..Default::default()
        });
        let mut requests = Requests::new(self, simulation);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let message = transaction.incoming.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => EXECUTION_TIMEOUT,
                RecvTimeoutError::Disconnected => STREAM_TERMINATED,
            })?;
            match message.r#type() {
                Type::Completed => return completed(message),
                Type::Error => return Ok(CallOutcome::Failed(message.payload)),
                _ => transaction.reply(match requests.serve(&message) {
                    Ok(payload) => response(&message, payload),
                    Err(reason) => refusal(&message, &reason),
                }),
            }
        }
    }
}

fn completed(message: ChaincodeMessage) -> Result<CallOutcome, String> {
    let response = Response::decode(message.payload.as_slice()).map_err(|error| {
        format!("failed to unmarshal response for transaction {}: {error}", message.txid)
    })?;
    Ok(CallOutcome::Completed(ChaincodeAnswer {
        status: response.status,
        message: response.message,
        payload: response.payload,
        event: message.chaincode_event.map(|event| (event.event_name, event.payload)),
    }))
}

fn response(request: &ChaincodeMessage, payload: Vec<u8>) -> ChaincodeMessage {
    ChaincodeMessage {
        r#type: Type::Response.into(),
        payload,
        txid: request.txid.clone(),
        channel_id: request.channel_id.clone(),
        ..Default::default()
    }
}
