//! The policy in a key's metadata, which replaces that of its chaincode. Read for each written key
//! by the simulation, to choose the endorsers, and at commit, to check them.

use gx_fabric_proto::common::SignaturePolicyEnvelope;
use prost::Message;

use super::Metadata;
use crate::policy::SignaturePolicy;

/// The name of the metadata entry that has a key's policy.
const VALIDATION_PARAMETER: &str = "VALIDATION_PARAMETER";

/// Returns the policy in a key's metadata, or `None` if the chaincode's policy applies. The error
/// is a policy that cannot be read, which nobody can satisfy.
pub(crate) fn key_policy(metadata: &Metadata) -> Option<Result<SignaturePolicy, BadPolicy>> {
    let bytes = metadata.get(VALIDATION_PARAMETER).filter(|bytes| !bytes.is_empty())?;
    let envelope = SignaturePolicyEnvelope::decode(bytes.as_slice()).ok();
    Some(envelope.and_then(|it| SignaturePolicy::from_envelope(&it)).ok_or(BadPolicy))
}

/// Error: the policy cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadPolicy;
