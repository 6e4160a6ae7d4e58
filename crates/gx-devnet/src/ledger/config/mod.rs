//! The channel configuration in the genesis block. The committer writes it when it begins a chain;
//! a later start does not read it.

mod cutting;
mod groups;

use gx_fabric_proto::common::{
    ChannelHeader, Envelope, Header, HeaderType, Payload, SignatureHeader,
};
use gx_fabric_proto::transaction_id;
use prost::Message;
use prost_types::Timestamp;
use sha2::{Digest, Sha256};

use super::block::NONCE_BYTES;

pub use cutting::BlockCutting;

/// The settings with which a channel is created.
#[derive(Clone, Debug)]
pub(crate) struct ChannelConfig {
    pub(crate) channel: String,
    pub(crate) orderer: OrganizationConfig,
    /// The organisations that have peers.
    pub(crate) organizations: Vec<OrganizationConfig>,
    pub(crate) cutting: BlockCutting,
}

/// An organisation of the channel.
#[derive(Clone, Debug)]
pub(crate) struct OrganizationConfig {
    pub(crate) msp_id: &'static str,
    pub(crate) root_pem: String,
    pub(crate) tls_root_pem: String,
    /// `host:port` of its node when the channel was created; a later start may use another.
    pub(crate) address: String,
}

/// Returns the transaction of the genesis block.
pub(super) fn config_envelope(config: &ChannelConfig, timestamp: Timestamp) -> Envelope {
    let data = groups::encoded(config);
    // The roots differ between networks, and so does this nonce.
    let nonce = &Sha256::digest(&data)[..NONCE_BYTES];
    let channel_header = ChannelHeader {
        r#type: HeaderType::Config.into(),
        version: 1,
        timestamp: Some(timestamp),
        channel_id: config.channel.clone(),
        tx_id: transaction_id(nonce, &[]),
        ..ChannelHeader::default()
    };
    let signature_header = SignatureHeader { creator: Vec::new(), nonce: nonce.to_vec() };
    let payload = Payload {
        header: Some(Header {
            channel_header: channel_header.encode_to_vec(),
            signature_header: signature_header.encode_to_vec(),
        }),
        data,
    };
    Envelope { payload: payload.encode_to_vec(), signature: Vec::new() }
}
