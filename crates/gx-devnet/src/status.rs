//! Refusals as gRPC statuses, with the details that a gateway attaches.

use gx_fabric_proto::gateway::ErrorDetail;
use gx_fabric_proto::google::rpc;
use gx_fabric_proto::{ERROR_DETAIL_TYPE_URL, protos};
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

use crate::node::{DELIVER_STREAMS, GATEWAY_CALLS};

/// What one node said.
pub(crate) fn error_detail(address: &str, msp_id: &str, said: &str) -> ErrorDetail {
    ErrorDetail { address: address.to_owned(), msp_id: msp_id.to_owned(), message: said.to_owned() }
}

/// A status that carries what several nodes said.
pub(crate) fn detailed(code: Code, message: &str, details: &[ErrorDetail]) -> Status {
    let details = details.iter().map(|detail| Any {
        type_url: ERROR_DETAIL_TYPE_URL.to_owned(),
        value: detail.encode_to_vec(),
    });
    let status = rpc::Status {
        code: i32::from(code),
        message: message.to_owned(),
        details: details.collect(),
    };
    Status::with_details(code, message, status.encode_to_vec().into())
}

/// What one node's connection to another says of one that does not listen.
pub(crate) fn connection_refused(address: &str) -> String {
    format!(
        "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while \
         dialing: dial tcp {address}: connect: connection refused\""
    )
}

/// What one node's client says of another node that takes too long.
pub(crate) const DEADLINE_EXCEEDED: &str =
    "rpc error: code = DeadlineExceeded desc = context deadline exceeded";

/// What a gateway says above its limit of calls. A retry does help.
pub(crate) fn too_many_gateway_calls() -> Status {
    Status::unknown(format!(
        "too many requests for /gateway.Gateway, exceeding concurrency limit ({GATEWAY_CALLS})"
    ))
}

/// What a peer says above its limit of block streams.
pub(crate) fn too_many_deliver_streams() -> Status {
    Status::unknown(format!(
        "too many requests for /protos.Deliver, exceeding concurrency limit ({DELIVER_STREAMS})"
    ))
}

/// What a client sees of a connection that was lost.
pub(crate) fn connection_dropped() -> Status {
    Status::unavailable("Connection dropped")
}

/// The store has failed: nothing can be answered from it.
pub(crate) fn store_failed(error: &impl ToString) -> Status {
    Status::internal(error.to_string())
}

/// A validation code by its number in the block.
pub(crate) fn validation_code(code: u8) -> protos::TxValidationCode {
    protos::TxValidationCode::try_from(i32::from(code))
        .unwrap_or(protos::TxValidationCode::InvalidOtherReason)
}
