//! The configuration tree of groups, values and policies, for [`super::config_envelope`]. Its maps
//! are ordered, unlike those of the generated messages, so that the same configuration always has
//! the same bytes.

use std::collections::BTreeMap;

use gx_fabric_proto::common::implicit_meta_policy::Rule;
use gx_fabric_proto::common::policy::PolicyType;
use gx_fabric_proto::common::{
    BlockDataHashingStructure, Capabilities, Capability, ConfigPolicy, ConfigValue,
    HashingAlgorithm, ImplicitMetaPolicy, OrdererAddresses, Policy,
};
use gx_fabric_proto::msp::{
    FabricCryptoConfig, FabricMspConfig, FabricNodeOUs, FabricOuIdentifier, MspConfig,
};
use gx_fabric_proto::orderer::{BatchSize, BatchTimeout, ChannelRestrictions, ConsensusType};
use gx_fabric_proto::protos::{AnchorPeer, AnchorPeers};
use prost::Message;

use super::{BlockCutting, ChannelConfig, OrganizationConfig};
use crate::policy::{Principal, PrincipalRole, SignaturePolicy};

/// The policy for changes of the configuration. Nobody can change it here, but readers expect a
/// name.
const ADMINS: &str = "Admins";
/// `AbsoluteMaxBytes`, and the preferred maximum if no size is set.
const MAX_BYTES: u32 = 10 * 1024 * 1024;
/// Limit of transactions in a block if no count is set.
const MAX_COUNT: u32 = 10_000;

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
    channel_group: Option<Group>,
}

#[derive(Clone, PartialEq, Message)]
struct Group {
    #[prost(uint64, tag = "1")]
    version: u64,
    #[prost(btree_map = "string, message", tag = "2")]
    groups: BTreeMap<String, Group>,
    #[prost(btree_map = "string, message", tag = "3")]
    values: BTreeMap<String, ConfigValue>,
    #[prost(btree_map = "string, message", tag = "4")]
    policies: BTreeMap<String, ConfigPolicy>,
    #[prost(string, tag = "5")]
    mod_policy: String,
}

/// Returns the encoded `ConfigEnvelope`.
pub(super) fn encoded(config: &ChannelConfig) -> Vec<u8> {
    let channel = Group::default()
        .value("BlockDataHashingStructure", &BlockDataHashingStructure { width: u32::MAX })
        .value("HashingAlgorithm", &HashingAlgorithm { name: "SHA256".to_owned() })
        .capability("V3_0")
        .implicit("Readers", Rule::Any, "Readers")
        .implicit("Writers", Rule::Any, "Writers")
        .implicit(ADMINS, Rule::Majority, ADMINS)
        .group("Application", application(config))
        .group("Orderer", orderer(config));
    let config = Config { sequence: 0, channel_group: Some(channel) };
    ConfigEnvelope { config: Some(config) }.encode_to_vec()
}

fn application(config: &ChannelConfig) -> Group {
    use PrincipalRole::{Admin, Client, Peer};
    let group = Group::default()
        .capability("V2_5")
        .implicit("Readers", Rule::Any, "Readers")
        .implicit("Writers", Rule::Any, "Writers")
        .implicit(ADMINS, Rule::Majority, ADMINS)
        .implicit("Endorsement", Rule::Majority, "Endorsement")
        .implicit("LifecycleEndorsement", Rule::Majority, "Endorsement");
    config.organizations.iter().fold(group, |group, organization| {
        let anchors = anchor(&organization.address).into_iter().collect();
        let own = Group::default()
            .value("MSP", &msp(organization))
            .value("AnchorPeers", &AnchorPeers { anchor_peers: anchors })
            .signed_by("Readers", organization, &[Admin, Peer, Client])
            .signed_by("Writers", organization, &[Admin, Client])
            .signed_by(ADMINS, organization, &[Admin])
            .signed_by("Endorsement", organization, &[Peer]);
        group.group(organization.msp_id, own)
    })
}

fn orderer(config: &ChannelConfig) -> Group {
    use PrincipalRole::{Admin, Member};
    let (size, timeout) = batches(&config.cutting);
    let organization = &config.orderer;
    let endpoints = OrdererAddresses { addresses: vec![organization.address.clone()] };
    let own = Group::default()
        .value("MSP", &msp(organization))
        .value("Endpoints", &endpoints)
        .signed_by("Readers", organization, &[Member])
        .signed_by("Writers", organization, &[Member])
        .signed_by(ADMINS, organization, &[Admin]);
    let consensus = ConsensusType { r#type: "solo".to_owned(), ..ConsensusType::default() };
    Group::default()
        .value("ConsensusType", &consensus)
        .value("BatchSize", &size)
        .value("BatchTimeout", &timeout)
        .value("ChannelRestrictions", &ChannelRestrictions::default())
        .capability("V2_0")
        .implicit("Readers", Rule::Any, "Readers")
        .implicit("Writers", Rule::Any, "Writers")
        .implicit(ADMINS, Rule::Majority, ADMINS)
        .implicit("BlockValidation", Rule::Any, "Writers")
        .group("OrdererOrg", own)
}

/// Returns the cutting rule in the form of the configuration.
fn batches(cutting: &BlockCutting) -> (BatchSize, BatchTimeout) {
    let (count, bytes, timeout) = match cutting {
        BlockCutting::Immediate => (1, MAX_BYTES, "0s".to_owned()),
        BlockCutting::Manual => (MAX_COUNT, MAX_BYTES, "0s".to_owned()),
        BlockCutting::Batch { max_count, max_bytes, max_wait } => (
            u32::try_from(*max_count).unwrap_or(u32::MAX),
            u32::try_from(*max_bytes).unwrap_or(u32::MAX),
            format!("{}ms", max_wait.as_millis()),
        ),
    };
    let size = BatchSize {
        max_message_count: count,
        absolute_max_bytes: MAX_BYTES,
        preferred_max_bytes: bytes.min(MAX_BYTES),
    };
    (size, BatchTimeout { timeout })
}

/// Returns the anchor peer at `host:port`, or `None` if the address is another text.
fn anchor(address: &str) -> Option<AnchorPeer> {
    let (host, port) = address.rsplit_once(':')?;
    Some(AnchorPeer { host: host.to_owned(), port: port.parse().ok()? })
}

/// Returns the definition of an organisation.
fn msp(organization: &OrganizationConfig) -> MspConfig {
    let root = organization.root_pem.clone().into_bytes();
    let unit = |unit: &str| {
        let organizational_unit_identifier = unit.to_owned();
        Some(FabricOuIdentifier { certificate: root.clone(), organizational_unit_identifier })
    };
    let fabric = FabricMspConfig {
        name: organization.msp_id.to_owned(),
        root_certs: vec![root.clone()],
        tls_root_certs: vec![organization.tls_root_pem.clone().into_bytes()],
        crypto_config: Some(FabricCryptoConfig {
            signature_hash_family: "SHA2".to_owned(),
            identity_identifier_hash_function: "SHA256".to_owned(),
        }),
        fabric_node_ous: Some(FabricNodeOUs {
            enable: true,
            client_ou_identifier: unit("client"),
            peer_ou_identifier: unit("peer"),
            admin_ou_identifier: unit("admin"),
            orderer_ou_identifier: unit("orderer"),
        }),
        ..FabricMspConfig::default()
    };
    MspConfig { r#type: 0, config: fabric.encode_to_vec() }
}

impl Group {
    fn group(mut self, name: &str, group: Self) -> Self {
        self.mod_policy = ADMINS.to_owned();
        let group = Self { mod_policy: ADMINS.to_owned(), ..group };
        self.groups.insert(name.to_owned(), group);
        self
    }

    fn value(mut self, name: &str, value: &impl Message) -> Self {
        let value = value.encode_to_vec();
        let value = ConfigValue { version: 0, value, mod_policy: ADMINS.to_owned() };
        self.values.insert(name.to_owned(), value);
        self
    }

    fn capability(self, name: &str) -> Self {
        let capabilities = [(name.to_owned(), Capability {})].into();
        self.value("Capabilities", &Capabilities { capabilities })
    }

    /// Adds a policy that is satisfied if `sub_policy` is, in any or in most of the groups below.
    fn implicit(self, name: &str, rule: Rule, sub_policy: &str) -> Self {
        let value = ImplicitMetaPolicy { sub_policy: sub_policy.to_owned(), rule: rule.into() };
        self.policy(name, PolicyType::ImplicitMeta, &value)
    }

    /// Adds a policy that requires one signature of the organisation with one of these roles.
    fn signed_by(
        self,
        name: &str,
        organization: &OrganizationConfig,
        roles: &[PrincipalRole],
    ) -> Self {
        let rules = roles.iter().map(|role| {
            let msp_id = organization.msp_id.to_owned();
            SignaturePolicy::SignedBy(Principal { msp_id, role: *role })
        });
        let policy = SignaturePolicy::OutOf(1, rules.collect());
        self.policy(name, PolicyType::Signature, &policy.to_envelope())
    }

    fn policy(mut self, name: &str, kind: PolicyType, value: &impl Message) -> Self {
        let policy = Policy { r#type: kind.into(), value: value.encode_to_vec() };
        let policy =
            ConfigPolicy { version: 0, policy: Some(policy), mod_policy: ADMINS.to_owned() };
        self.policies.insert(name.to_owned(), policy);
        self
    }
}
