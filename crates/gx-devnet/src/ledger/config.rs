//! The channel's configuration as the genesis block carries it: organisations and roots.
//!
//! Only what a reader of a configuration block needs of Fabric's `ConfigEnvelope` is
//! declared here. Maps are ordered, so that the same configuration has the same bytes.

use std::collections::BTreeMap;

use gx_fabric_proto::common::{
    ChannelHeader, Envelope, Header, HeaderType, Payload, SignatureHeader,
};
use gx_fabric_proto::transaction_id;
use prost::Message;
use prost_types::Timestamp;
use sha2::{Digest, Sha256};

use super::block::NONCE_BYTES;

/// The configuration group of organisations that hold peers.
const APPLICATION: &str = "Application";
/// The configuration group of organisations that order.
const ORDERER: &str = "Orderer";

#[derive(Clone, PartialEq, Message)]
struct ConfigEnvelope {
    #[prost(message, optional, tag = "1")]
    config: Option<Config>,
}

#[derive(Clone, PartialEq, Message)]
struct Config {
    #[prost(uint64, tag = "1")]
    sequence: u64,
    #[prost(message, optional, tag = "2")]
    channel_group: Option<ConfigGroup>,
}

#[derive(Clone, PartialEq, Message)]
struct ConfigGroup {
    #[prost(uint64, tag = "1")]
    version: u64,
    #[prost(btree_map = "string, message", tag = "2")]
    groups: BTreeMap<String, ConfigGroup>,
    #[prost(btree_map = "string, message", tag = "3")]
    values: BTreeMap<String, ConfigValue>,
    #[prost(string, tag = "5")]
    mod_policy: String,
}

#[derive(Clone, PartialEq, Message)]
struct ConfigValue {
    #[prost(uint64, tag = "1")]
    version: u64,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
    #[prost(string, tag = "3")]
    mod_policy: String,
}

#[derive(Clone, PartialEq, Message)]
struct MspConfig {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    config: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct FabricMspConfig {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", repeated, tag = "2")]
    root_certs: Vec<Vec<u8>>,
}

/// One organisation of the channel.
pub(crate) struct Organization<'a> {
    pub(crate) msp_id: &'a str,
    pub(crate) root_pem: &'a str,
    pub(crate) orders: bool,
}

/// The transaction of the genesis block.
pub(super) fn config_envelope(
    channel: &str,
    organizations: &[Organization<'_>],
    timestamp: Timestamp,
) -> Envelope {
    let config = ConfigEnvelope {
        config: Some(Config { sequence: 0, channel_group: Some(channel_group(organizations)) }),
    }
    .encode_to_vec();
    // The roots differ from network to network, and with them this.
    let nonce = &Sha256::digest(&config)[..NONCE_BYTES];
    let channel_header = ChannelHeader {
        r#type: HeaderType::Config.into(),
        version: 1,
        timestamp: Some(timestamp),
        channel_id: channel.to_owned(),
        tx_id: transaction_id(nonce, &[]),
        ..ChannelHeader::default()
    };
    let signature_header = SignatureHeader { creator: Vec::new(), nonce: nonce.to_vec() };
    let payload = Payload {
        header: Some(Header {
            channel_header: channel_header.encode_to_vec(),
            signature_header: signature_header.encode_to_vec(),
        }),
        data: config,
    };
    Envelope { payload: payload.encode_to_vec(), signature: Vec::new() }
}

fn channel_group(organizations: &[Organization<'_>]) -> ConfigGroup {
    let mut channel = admins_group();
    for name in [APPLICATION, ORDERER] {
        channel.groups.insert(name.to_owned(), admins_group());
    }
    for organization in organizations {
        let name = if organization.orders { ORDERER } else { APPLICATION };
        let group = channel.groups.entry(name.to_owned()).or_insert_with(admins_group);
        group.groups.insert(organization.msp_id.to_owned(), organization_group(organization));
    }
    channel
}

fn organization_group(organization: &Organization<'_>) -> ConfigGroup {
    let fabric = FabricMspConfig {
        name: organization.msp_id.to_owned(),
        root_certs: vec![organization.root_pem.as_bytes().to_vec()],
    };
    let msp = MspConfig { kind: 0, config: fabric.encode_to_vec() };
    let value =
        ConfigValue { version: 0, value: msp.encode_to_vec(), mod_policy: "Admins".to_owned() };
    let mut group = admins_group();
    group.values.insert("MSP".to_owned(), value);
    group
}

fn admins_group() -> ConfigGroup {
    ConfigGroup { mod_policy: "Admins".to_owned(), ..ConfigGroup::default() }
}
