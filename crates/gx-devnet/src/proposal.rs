//! Decodes and validates signed proposals as an endorsing peer does. The gateway decodes each
//! proposal; the endorser then makes the other checks. Each error is a peer's message and refuses
//! the proposal.

use gx_fabric_proto::common::{ChannelHeader, Header, HeaderType, SignatureHeader};
use gx_fabric_proto::protos::{
    ChaincodeHeaderExtension, ChaincodeInvocationSpec, ChaincodeProposalPayload, Proposal,
    SignedProposal,
};
use gx_fabric_proto::transaction_id;
use prost::Message;
use sha2::{Digest, Sha256};

use crate::channel_policies::Policy;
use crate::msp::Identity;

/// The parts of a proposal that the endorser and the transaction need.
pub(crate) struct Unpacked {
    pub(crate) signed: SignedProposal,
    pub(crate) header: Header,
    pub(crate) channel: ChannelHeader,
    pub(crate) signature_header: SignatureHeader,
    /// The chaincode in the header's extension, which the client has signed.
    pub(crate) chaincode: String,
    pub(crate) args: Vec<Vec<u8>>,
    /// Whether the call initialises the chaincode.
    pub(crate) is_init: bool,
    /// Whether there are transient data, which only endorsing peers may see.
    pub(crate) has_transient: bool,
    /// The payload without transient data, as it is in the transaction.
    pub(crate) payload: Vec<u8>,
}

impl Unpacked {
    /// Decodes a proposal. The error says what is missing or contradictory.
    pub(crate) fn from_signed(signed: Option<SignedProposal>) -> Result<Self, String> {
        let signed = signed.filter(|signed| !signed.proposal_bytes.is_empty());
        let signed = signed.ok_or("a signed proposal is required")?;
        let proposal: Proposal = decode(&signed.proposal_bytes, "Proposal")?;
        let header: Header = decode(&proposal.header, "Header")?;
        let channel: ChannelHeader = decode(&header.channel_header, "ChannelHeader")?;
        let signature_header: SignatureHeader =
            decode(&header.signature_header, "SignatureHeader")?;
        let extension: ChaincodeHeaderExtension =
            decode(&channel.extension, "ChaincodeHeaderExtension")?;
        let payload: ChaincodeProposalPayload =
            decode(&proposal.payload, "ChaincodeProposalPayload")?;
        let invocation: ChaincodeInvocationSpec =
            decode(&payload.input, "ChaincodeInvocationSpec")?;
        if channel.channel_id.is_empty() {
            return Err("no channel id provided".to_owned());
        }
        let id = &channel.channel_id;
        let spec = invocation
            .chaincode_spec
            .ok_or_else(|| format!("no chaincode spec is provided, channel id [{id}]"))?;
        let name = spec
            .chaincode_id
            .map(|id| id.name)
            .filter(|name| !name.is_empty())
            .ok_or_else(|| format!("no chaincode name is provided, channel id [{id}]"))?;
        let named = extension.chaincode_id.map(|id| id.name).unwrap_or_default();
        if named != name {
            return Err(format!("the header names chaincode [{named}], the payload [{name}]"));
        }
        let input = spec.input.unwrap_or_default();
        let has_transient = !payload.transient_map.is_empty();
        let payload = ChaincodeProposalPayload {
            input: payload.input,
            ..ChaincodeProposalPayload::default()
        };
        Ok(Self {
            signed,
            header,
            channel,
            signature_header,
            chaincode: name,
            args: input.args,
            is_init: input.is_init,
            has_transient,
            payload: payload.encode_to_vec(),
        })
    }

    /// Returns the hash that an endorsement contains.
    pub(crate) fn hash(&self) -> Vec<u8> {
        Sha256::new()
            .chain_update(&self.header.channel_header)
            .chain_update(&self.header.signature_header)
            .chain_update(&self.payload)
            .finalize()
            .to_vec()
    }

    /// Checks that the creator may have transactions endorsed. The error is a peer's message.
    pub(crate) fn check_policy(&self, creator: &Identity) -> Result<(), String> {
        if Policy::Writers.admits(creator) {
            Ok(())
        } else {
            Err(Policy::Writers.refusal(&self.channel.channel_id))
        }
    }

    /// Checks the headers. The error is a peer's message.
    pub(crate) fn check_headers(&self) -> Result<(), String> {
        if self.channel.r#type != i32::from(HeaderType::EndorserTransaction) {
            return Err(format!("invalid header type {}", self.channel.r#type));
        }
        if self.channel.epoch != 0 {
            return Err("epoch is non-zero".to_owned());
        }
        if self.signature_header.nonce.is_empty() {
            return Err("nonce is empty".to_owned());
        }
        if self.signature_header.creator.is_empty() {
            return Err("creator is empty".to_owned());
        }
        let expected = transaction_id(&self.signature_header.nonce, &self.signature_header.creator);
        if self.channel.tx_id != expected {
            let given = &self.channel.tx_id;
            return Err(format!("incorrectly computed txid '{given}' -- expected '{expected}'"));
        }
        Ok(())
    }
}

/// Decodes a part of a proposal. The error names the part.
fn decode<M: Message + Default>(bytes: &[u8], what: &str) -> Result<M, String> {
    M::decode(bytes).map_err(|error| format!("error unmarshalling {what}: {error}"))
}
