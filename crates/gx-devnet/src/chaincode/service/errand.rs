//! One call of a chaincode: sent, served request by request, and answered.

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use gx_fabric_proto::protos::chaincode_message::Type;
use gx_fabric_proto::protos::{ChaincodeInput, ChaincodeMessage, Response};
use prost::Message;

use super::Kind;
use super::requests::Requests;
use super::stream::{STREAM_TERMINATED, Stream, refusal};
use crate::chaincode::{Answer, Call, Chaincodes, Outcome};
use crate::ledger::Simulation;

/// What a transaction is told when the chaincode takes too long.
const EXECUTION_TIMEOUT: &str = "timeout expired while executing transaction";

/// A call that is to be carried out.
pub(super) struct Errand<'a> {
    pub(super) chaincodes: &'a Chaincodes,
    pub(super) call: &'a Call<'a>,
    /// The name of the chaincode that is called.
    pub(super) namespace: &'a str,
    pub(super) kind: Kind,
}

impl Errand<'_> {
    /// Carries it out over this stream. The error is a peer's.
    pub(super) fn run(
        &self,
        stream: &Arc<Stream>,
        simulation: &mut Simulation,
        input: &ChaincodeInput,
        timeout: Duration,
    ) -> Result<Outcome, String> {
        let deadline = Instant::now() + timeout;
        let proposal = self.call.proposal;
        let talk = stream.begin(&proposal.channel.channel_id, &proposal.channel.tx_id)?;
        let kind = match self.kind {
            Kind::Init => Type::Init,
            Kind::Transaction => Type::Transaction,
        };
        talk.call(ChaincodeMessage {
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
            let message = talk.incoming.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => EXECUTION_TIMEOUT,
                RecvTimeoutError::Disconnected => STREAM_TERMINATED,
            })?;
            match message.r#type() {
                Type::Completed => return completed(message),
                Type::Error => return Ok(Outcome::Failed(message.payload)),
                _ => talk.reply(match requests.serve(&message) {
                    Ok(payload) => response(&message, payload),
                    Err(reason) => refusal(&message, &reason),
                }),
            }
        }
    }
}

fn completed(message: ChaincodeMessage) -> Result<Outcome, String> {
    let response = Response::decode(message.payload.as_slice()).map_err(|error| {
        format!("failed to unmarshal response for transaction {}: {error}", message.txid)
    })?;
    Ok(Outcome::Completed(Answer {
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
