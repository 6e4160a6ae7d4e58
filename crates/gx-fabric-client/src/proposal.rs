//! Signed proposals, transaction envelopes and seek requests, which `Ledger` makes for each call
//! and stream.

use gx_fabric_proto::common::{
    ChannelHeader, Envelope, Header, HeaderType, Payload, SignatureHeader,
};
use gx_fabric_proto::orderer::seek_info::SeekBehavior;
use gx_fabric_proto::orderer::{SeekInfo, SeekPosition};
use gx_fabric_proto::protos::{
    ChaincodeAction, ChaincodeActionPayload, ChaincodeHeaderExtension, ChaincodeId, ChaincodeInput,
    ChaincodeInvocationSpec, ChaincodeProposalPayload, ChaincodeSpec, Proposal,
    ProposalResponsePayload, Response, SignedProposal, Transaction, chaincode_spec,
};
use gx_fabric_proto::transaction_id;
use prost::{DecodeError, Message};
use prost_types::Timestamp;
use time::OffsetDateTime;

use crate::identity::Identity;

/// Number of bytes of the random nonce that makes a transaction id unique.
pub(crate) const NONCE_BYTES: usize = 24;

/// The channel, time and nonce for signing.
pub(crate) struct SigningContext<'a> {
    pub(crate) channel: &'a str,
    pub(crate) now: OffsetDateTime,
    pub(crate) nonce: [u8; NONCE_BYTES],
    /// SHA-256 of the TLS client certificate; empty if there is none.
    pub(crate) tls_cert_hash: &'a [u8],
}

/// A signed proposal to run a function.
pub(crate) struct SignedCall {
    pub(crate) tx_id: String,
    pub(crate) proposal: SignedProposal,
    header: Header,
}

impl SignedCall {
    pub(crate) fn new(
        signer: &Identity,
        context: &SigningContext<'_>,
        chaincode: &str,
        function: &str,
        args: &[String],
    ) -> Self {
        let tx_id = transaction_id(&context.nonce, signer.creator());
        let chaincode_id = ChaincodeId { name: chaincode.to_owned(), ..Default::default() };
        let extension = ChaincodeHeaderExtension { chaincode_id: Some(chaincode_id.clone()) };
        let channel_header = ChannelHeader {
            tx_id: tx_id.clone(),
            extension: extension.encode_to_vec(),
            ..channel_header(context, HeaderType::EndorserTransaction)
        };
        let header = header(signer, context, &channel_header);

        let words = std::iter::once(function).chain(args.iter().map(String::as_str));
        let invocation = ChaincodeInvocationSpec {
            chaincode_spec: Some(ChaincodeSpec {
                r#type: chaincode_spec::Type::Node.into(),
                chaincode_id: Some(chaincode_id),
                input: Some(ChaincodeInput {
                    args: words.map(|word| word.as_bytes().to_vec()).collect(),
                    ..Default::default()
                }),
                timeout: 0,
            }),
        };
        let payload =
            ChaincodeProposalPayload { input: invocation.encode_to_vec(), ..Default::default() };
        let proposal_bytes = Proposal {
            header: header.encode_to_vec(),
            payload: payload.encode_to_vec(),
            extension: Vec::new(),
        }
        .encode_to_vec();
        let signature = signer.sign(&proposal_bytes);
        Self { tx_id, proposal: SignedProposal { proposal_bytes, signature }, header }
    }

    /// Signs the transaction that a gateway prepared. Refuses a transaction that was not proposed;
    /// the endorsement then fails, and no transaction exists.
    pub(crate) fn seal(
        &self,
        signer: &Identity,
        prepared: Envelope,
    ) -> Result<(Vec<u8>, Response), UnexpectedTransaction> {
        let payload = Payload::decode(prepared.payload.as_slice())?;
        if payload.header.as_ref() != Some(&self.header) {
            return Err(UnexpectedTransaction::OtherHeader);
        }
        let response = chaincode_response(&payload.data)?;
        let signature = signer.sign(&prepared.payload);
        let envelope = Envelope { payload: prepared.payload, signature };
        Ok((envelope.encode_to_vec(), response))
    }
}

/// Why a prepared transaction is not signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnexpectedTransaction {
    #[error("the gateway prepared a transaction that cannot be read: {0}")]
    Unreadable(#[from] DecodeError),
    #[error("the gateway prepared another transaction than the one proposed")]
    OtherHeader,
    #[error("the gateway prepared a transaction with {0} actions, not one")]
    Actions(usize),
    #[error("the gateway prepared a transaction without {0}")]
    Missing(&'static str),
}

/// Returns the chaincode's response in a prepared transaction.
fn chaincode_response(transaction: &[u8]) -> Result<Response, UnexpectedTransaction> {
    let transaction = Transaction::decode(transaction)?;
    let [action] = transaction.actions.as_slice() else {
        return Err(UnexpectedTransaction::Actions(transaction.actions.len()));
    };
    let endorsed = ChaincodeActionPayload::decode(action.payload.as_slice())?
        .action
        .ok_or(UnexpectedTransaction::Missing("endorsed action"))?;
    let response = ProposalResponsePayload::decode(endorsed.proposal_response_payload.as_slice())?;
    ChaincodeAction::decode(response.extension.as_slice())?
        .response
        .ok_or(UnexpectedTransaction::Missing("chaincode response"))
}

/// Returns a signed request for the blocks from `start` to `stop`.
pub(crate) fn seek_envelope(
    signer: &Identity,
    context: &SigningContext<'_>,
    start: SeekPosition,
    stop: SeekPosition,
    behavior: SeekBehavior,
) -> Envelope {
    let seek = SeekInfo {
        start: Some(start),
        stop: Some(stop),
        behavior: behavior.into(),
        ..Default::default()
    };
    let channel_header = channel_header(context, HeaderType::DeliverSeekInfo);
    let payload = Payload {
        header: Some(header(signer, context, &channel_header)),
        data: seek.encode_to_vec(),
    }
    .encode_to_vec();
    let signature = signer.sign(&payload);
    Envelope { payload, signature }
}

fn channel_header(context: &SigningContext<'_>, kind: HeaderType) -> ChannelHeader {
    ChannelHeader {
        r#type: kind.into(),
        timestamp: Some(Timestamp {
            seconds: context.now.unix_timestamp(),
            nanos: i32::try_from(context.now.nanosecond())
                .expect("a second has fewer nanoseconds than i32 holds"),
        }),
        channel_id: context.channel.to_owned(),
        tls_cert_hash: context.tls_cert_hash.to_vec(),
        ..Default::default()
    }
}

fn header(signer: &Identity, context: &SigningContext<'_>, channel: &ChannelHeader) -> Header {
    let signature_header =
        SignatureHeader { creator: signer.creator().to_vec(), nonce: context.nonce.to_vec() };
    Header {
        channel_header: channel.encode_to_vec(),
        signature_header: signature_header.encode_to_vec(),
    }
}
