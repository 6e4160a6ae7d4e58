//! One transaction: from the peer's message to the chaincode's last word on it.

use std::time::Instant;

use gx_contract::{Invocation, Response, StateError};
use gx_fabric_proto::common::{ChannelHeader, Header, SignatureHeader};
use gx_fabric_proto::protos::chaincode_message::Type;
use gx_fabric_proto::protos::{
    self, ChaincodeEvent, ChaincodeHeaderExtension, ChaincodeInput, ChaincodeMessage, Proposal,
};
use prost::{DecodeError, Message};
use time::OffsetDateTime;

use crate::caller;
use crate::peer::PeerState;

/// What the peer has sent cannot be a transaction.
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

/// What the signed proposal says.
struct Signed {
    timestamp: OffsetDateTime,
    creator: Vec<u8>,
    chaincode: String,
}

/// Runs the transaction against the peer's state. `own_name` is the name under which the
/// chaincode is deployed.
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
                status = response.status,
                "transaction completed"
            );
            completed(&peer, own_name, response)
        }
        Err(reason) => {
            tracing::warn!(tx_id, round_trips, elapsed_ms, reason, "transaction failed");
            peer.key.message(Type::Error, reason.into_bytes())
        }
    }
}

fn invoke(
    message: &ChaincodeMessage,
    own_name: &str,
    peer: &mut PeerState,
) -> Result<Result<Response, StateError>, Malformed> {
    let input = ChaincodeInput::decode(&message.payload[..])?;
    let signed = signed(message)?;
    let caller = caller::from_creator(&signed.creator).ok_or(Malformed::Creator)?;
    let args: Result<Vec<String>, _> = input.args.into_iter().map(String::from_utf8).collect();
    let Ok(args) = args else {
        return Ok(Ok(refused("the arguments must be UTF-8 texts")));
    };
    let Some((function, args)) = args.split_first() else {
        return Ok(Ok(refused("the first argument must name the function")));
    };
    let invocation = Invocation {
        function,
        args,
        tx_id: &message.txid,
        timestamp: signed.timestamp,
        caller,
        chaincode_named_in_proposal: &signed.chaincode,
        own_name,
    };
    Ok(gx_contract::invoke(peer, &invocation).and_then(|mut response| {
        peer.write(std::mem::take(&mut response.writes))?;
        Ok(response)
    }))
}

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

fn refused(message: &str) -> Response {
    Response {
        status: Response::REFUSED,
        message: message.to_owned(),
        payload: vec![],
        writes: vec![],
        event: None,
    }
}
