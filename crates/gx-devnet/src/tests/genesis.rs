//! The configuration in the genesis block, decoded with Fabric's own messages.

use gx_fabric_proto::common::policy::PolicyType;
use gx_fabric_proto::common::{
    ConfigEnvelope, ConfigGroup, Envelope, ImplicitMetaPolicy, OrdererAddresses, Payload,
    SignaturePolicyEnvelope,
};
use gx_fabric_proto::msp::{FabricMspConfig, MspConfig};
use gx_fabric_proto::orderer::{BatchSize, BatchTimeout};
use prost::Message;

use super::Ledger;
use crate::{BlockCutting, SignaturePolicy};

async fn channel(ledger: &Ledger) -> ConfigGroup {
    let block = ledger.admin().block(0).await;
    let envelope = Envelope::decode(block.data.unwrap().data[0].as_slice()).unwrap();
    let payload = Payload::decode(envelope.payload.as_slice()).unwrap();
    let config = ConfigEnvelope::decode(payload.data.as_slice()).unwrap().config.unwrap();
    config.channel_group.unwrap()
}

fn value<M: Message + Default>(group: &ConfigGroup, name: &str) -> M {
    M::decode(group.values[name].value.as_slice()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_has_the_organisations_with_their_roots_and_policies() {
    let ledger = Ledger::start().await;
    let channel = channel(&ledger).await;
    let application = &channel.groups["Application"];
    let mut names: Vec<_> = application.groups.keys().cloned().collect();
    names.sort_unstable();
    assert_eq!(names, ["Org1MSP", "Org2MSP"]);
    for peer in ledger.devnet.peers() {
        let group = &application.groups[&peer.msp_id];
        let msp: MspConfig = value(group, "MSP");
        let msp = FabricMspConfig::decode(msp.config.as_slice()).unwrap();
        assert_eq!(msp.name, peer.msp_id);
        assert_eq!(msp.tls_root_certs, [peer.tls_root_pem.clone().into_bytes()]);
        let units = msp.fabric_node_ous.unwrap();
        let admin = units.admin_ou_identifier.unwrap();
        assert_eq!((units.enable, admin.organizational_unit_identifier.as_str()), (true, "admin"));
        assert_eq!(admin.certificate, msp.root_certs[0]);
        let endorsement = group.policies["Endorsement"].policy.as_ref().unwrap();
        assert_eq!(endorsement.r#type, i32::from(PolicyType::Signature));
        let rule = SignaturePolicyEnvelope::decode(endorsement.value.as_slice()).unwrap();
        let rule = SignaturePolicy::from_envelope(&rule).unwrap();
        assert_eq!(rule.to_string(), format!("OutOf(1, '{}.peer')", peer.msp_id));
    }
    let endorsement = application.policies["Endorsement"].policy.as_ref().unwrap();
    assert_eq!(endorsement.r#type, i32::from(PolicyType::ImplicitMeta));
    let majority = ImplicitMetaPolicy::decode(endorsement.value.as_slice()).unwrap();
    assert_eq!(
        (majority.sub_policy.as_str(), majority.rule().as_str_name()),
        ("Endorsement", "MAJORITY")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_has_the_orderer_with_its_address_and_batches() {
    let max_wait = std::time::Duration::from_millis(250);
    let cutting = BlockCutting::Batch { max_count: 7, max_bytes: 1_000, max_wait };
    let ledger = Ledger::cutting(cutting).await;
    let orderer = &channel(&ledger).await.groups["Orderer"];
    let size: BatchSize = value(orderer, "BatchSize");
    assert_eq!((size.max_message_count, size.preferred_max_bytes), (7, 1_000));
    assert_eq!(value::<BatchTimeout>(orderer, "BatchTimeout").timeout, "250ms");
    let endpoints: OrdererAddresses = value(&orderer.groups["OrdererOrg"], "Endpoints");
    assert_eq!(endpoints.addresses, [ledger.devnet.orderer_endpoint()]);
}
