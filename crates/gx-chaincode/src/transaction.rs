//! Runs one transaction: from the peer's message to the message that ends it. Called by the session
//! on a thread of the transaction's own.

use std::time::Instant;

use gx_contract::{Contracts, Response, StateError};
use gx_fabric_proto::common::{ChannelHeader, Header, SignatureHeader};
use gx_fabric_proto::protos::chaincode_message::Type;
use gx_fabric_proto::protos::{
    self, ChaincodeEvent, ChaincodeHeaderExtension, ChaincodeInput, ChaincodeMessage, Proposal,
};
use gx_ledger_api::{Contract, ContractCall};
use prost::{DecodeError, Message};
use time::OffsetDateTime;

use crate::caller;
use crate::peer::PeerState;

/// Why the peer's message is not a valid transaction. The transaction ends with this error.
#[derive(Debug, thiserror::Error)]
enum Malformed {
    #[error("the transaction cannot be read: {0}")]
    Encoding(#[from] DecodeError),
    #[error("the transaction has no {0}")]
    Absent(&'static str),
    #[error("the transaction's time is out of range")]
    Time,
    #[error("the creator's certificate, or an attribute of it, cannot be read")]
    Creator,
}

/// The content of the signed proposal that the contracts need.
struct Signed {
    timestamp: OffsetDateTime,
    creator: Vec<u8>,
    chaincode: String,
}

/// Runs the transaction with the peer's state and returns the message that ends it. `own_name` is
/// the name under which the chaincode is deployed. A rejection of the contracts completes the
/// transaction with its status; a malformed message or a state that cannot be read fails it.
pub(crate) fn run(
    message: &ChaincodeMessage,
    own_name: &str,
    mut peer: PeerState,
) -> ChaincodeMessage {
    let start = Instant::now();
    let outcome = invoke(message, own_name, &mut peer)
        .map_err(|why| why.to_string())
        .and_then(|answer| answer.map_err(|why| why.to_string()));
    let (tx_id, round_trips) = (&message.txid, peer.round_trips);
    let elapsed_ms = start.elapsed().as_millis();
    match outcome {
        Ok(response) => {
            tracing::debug!(
                tx_id,
                round_trips,
                elapsed_ms,
                response_status = response.status,
                "transaction {tx_id} completed"
            );
            completed(&peer, own_name, response)
        }
        Err(error) => {
            tracing::warn!(tx_id, round_trips, elapsed_ms, error, "transaction {tx_id} failed");
            peer.key.message(Type::Error, error.into_bytes())
        }
    }
}

/// Calls the contracts and sends their writes to the peer.
fn invoke(
    message: &ChaincodeMessage,
    own_name: &str,
    peer: &mut PeerState,
) -> Result<Result<Response, StateError>, Malformed> {
    let input = ChaincodeInput::decode(&message.payload[..])?;
    let signed = signed(message)?;
    let caller = caller::from_creator(&signed.creator).ok_or(Malformed::Creator)?;
    let call = ContractCall {
        args: &input.args,
        tx_id: &message.txid,
        timestamp: signed.timestamp,
        gxc_role: caller.gxc_role.as_deref(),
        units: &caller.units,
        chaincode_named_in_proposal: &signed.chaincode,
        own_name,
    };
    Ok(Contracts.invoke(peer, &call).and_then(|mut response| {
        peer.write(std::mem::take(&mut response.writes))?;
        Ok(response)
    }))
}

/// Reads the signed proposal.
fn signed(message: &ChaincodeMessage) -> Result<Signed, Malformed> {
    let proposal = message.proposal.as_ref().ok_or(Malformed::Absent("proposal"))?;
    let proposal = Proposal::decode(&proposal.proposal_bytes[..])?;
    let header = Header::decode(&proposal.header[..])?;
    let channel = ChannelHeader::decode(&header.channel_header[..])?;
    let signature = SignatureHeader::decode(&header.signature_header[..])?;
    let extension = ChaincodeHeaderExtension::decode(&channel.extension[..])?;
    let chaincode = extension.chaincode_id.ok_or(Malformed::Absent("chaincode id"))?.name;
    let time = channel.timestamp.ok_or(Malformed::Absent("timestamp"))?;
    let timestamp = OffsetDateTime::from_unix_timestamp(time.seconds)
        .ok()
        .and_then(|second| second.checked_add(time::Duration::nanoseconds(i64::from(time.nanos))))
        .ok_or(Malformed::Time)?;
    Ok(Signed { timestamp, creator: signature.creator, chaincode })
}

/// Returns the message with the contracts' answer and event.
fn completed(peer: &PeerState, own_name: &str, response: Response) -> ChaincodeMessage {
    let event = response.event.map(|(event_name, payload)| ChaincodeEvent {
        chaincode_id: own_name.to_owned(),
        tx_id: peer.key.tx_id.clone(),
        event_name,
        payload,
    });
    let answer = protos::Response {
        status: response.status,
        message: response.message,
        payload: response.payload,
    };
    let message = peer.key.message(Type::Completed, answer.encode_to_vec());
    ChaincodeMessage { chaincode_event: event, ..message }
}
