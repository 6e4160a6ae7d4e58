//! Errors as gRPC statuses, with the details that a gateway adds. The services return them to their
//! callers.

use gx_fabric_proto::gateway::ErrorDetail;
use gx_fabric_proto::google::rpc;
use gx_fabric_proto::{ERROR_DETAIL_TYPE_URL, protos};
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

use crate::node::{DELIVER_STREAMS, GATEWAY_CALLS};

/// Returns the error of one node for the details of a status.
pub(crate) fn error_detail(address: &str, msp_id: &str, text: &str) -> ErrorDetail {
    ErrorDetail { address: address.to_owned(), msp_id: msp_id.to_owned(), message: text.to_owned() }
}

/// Returns a status with the errors of several nodes.
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

/// Returns the error of one node whose call to another is refused.
pub(crate) fn connection_refused(address: &str) -> String {
    format!(
        "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while \
         dialing: dial tcp {address}: connect: connection refused\""
    )
}

/// The error of one node whose call to another takes too long.
pub(crate) const DEADLINE_EXCEEDED: &str =
    "rpc error: code = DeadlineExceeded desc = context deadline exceeded";

/// Returns the status of a gateway that is above its limit of calls; a retry may succeed.
pub(crate) fn too_many_gateway_calls() -> Status {
    Status::unknown(format!(
        "too many requests for /gateway.Gateway, exceeding concurrency limit ({GATEWAY_CALLS})"
    ))
}

/// Returns the status of a peer that is above its limit of block streams.
pub(crate) fn too_many_deliver_streams() -> Status {
    Status::unknown(format!(
        "too many requests for /protos.Deliver, exceeding concurrency limit ({DELIVER_STREAMS})"
    ))
}

/// Returns the status that a client sees if its connection is lost.
pub(crate) fn connection_dropped() -> Status {
    Status::unavailable("Connection dropped")
}

/// Returns the status for a failure of the store.
pub(crate) fn store_failed(error: &impl ToString) -> Status {
    Status::internal(error.to_string())
}

/// Returns the validation code with this number; an unknown number is `INVALID_OTHER_REASON`.
pub(crate) fn validation_code(code: u8) -> protos::TxValidationCode {
    protos::TxValidationCode::try_from(i32::from(code))
        .unwrap_or(protos::TxValidationCode::InvalidOtherReason)
}
