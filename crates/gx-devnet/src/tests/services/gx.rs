//! The GX contracts as a service give the same results as the built-in ones.

use gx_chaincode::{ChaincodeOptions, ChaincodeServer};
use gx_fabric_proto::common::{Block, ChannelHeader, Envelope, Payload};
use gx_fabric_proto::kvrwset::KvrwSet;
use gx_fabric_proto::protos::{
    ChaincodeAction, ChaincodeActionPayload, ProposalResponsePayload, Transaction,
};
use gx_fabric_proto::rwset::TxReadWriteSet;
use gx_model::FabricUserId;
use prost::Message;
use tokio_util::sync::CancellationToken;

use super::{PATIENCE, evaluated, ledger};
use crate::ChaincodeService;
use crate::tests::Ledger;
use crate::tests::client::Client;
use crate::tests::contracts::{ALI, SARAH, bootstrap, create_person, grant, transfer};

#[tokio::test(flavor = "multi_thread")]
async fn the_contracts_read_and_write_the_same_built_in_and_as_a_service() {
    let options = ChaincodeOptions {
        package_id: "gxtv3_1.0:any".to_owned(),
        name: "gxtv3".to_owned(),
        tls: None,
    };
    let server = ChaincodeServer::bind("127.0.0.1:0", options).await.unwrap();
    let service = ChaincodeService::new("gxtv3", server.address().to_string());
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.serve(stop.clone()));

    let built_in = Ledger::start().await;
    let served = ledger(vec![service], PATIENCE).await;
    let (one, two) = (built_in.admin(), served.admin());
    journey(&one).await;
    journey(&two).await;
    for (function, args) in [
        ("AdminContract:GetSystemStatus", vec![]),
        ("TokenomicsContract:GetSupplyStatus", vec![]),
        ("TokenomicsContract:GetPoolStatus", vec![]),
        ("TokenomicsContract:GetBalance", vec![SARAH]),
        ("TokenomicsContract:GetBalance", vec![ALI]),
        ("AdminContract:GetCountryStats", vec!["MY"]),
    ] {
        let answers =
            (evaluated(&one, function, &args).await, evaluated(&two, function, &args).await);
        assert_eq!(answers.0, answers.1, "{function}");
    }
    let (one, two) = (one.chain().await, two.chain().await);
    assert_eq!(one.len(), two.len());
    for (one, two) in one.iter().zip(&two).skip(1) {
        assert_eq!(keys(one), keys(two));
    }

    drop(served);
    stop.cancel();
    serving.await.unwrap().unwrap();
}

async fn journey(client: &Client) {
    let [sarah, ali]: [FabricUserId; 2] = [SARAH, ALI].map(|id| id.parse().unwrap());
    bootstrap(client).await;
    for person in [&sarah, &ali] {
        create_person(client, person).await;
        client.carry_out(&grant(person)).await.unwrap();
    }
    client.carry_out(&transfer(&sarah, &ali)).await.unwrap();
}

/// Returns the reads and the written keys of a block's one transaction. Values and some keys
/// contain the transaction's id, so they are left out.
fn keys(block: &Block) -> Vec<(String, KvrwSet)> {
    let envelope = Envelope::decode(block.data.as_ref().unwrap().data[0].as_slice()).unwrap();
    let payload = Payload::decode(envelope.payload.as_slice()).unwrap();
    let header = payload.header.unwrap().channel_header;
    let tx_id = ChannelHeader::decode(header.as_slice()).unwrap().tx_id;
    let transaction = Transaction::decode(payload.data.as_slice()).unwrap();
    let action = ChaincodeActionPayload::decode(transaction.actions[0].payload.as_slice()).unwrap();
    let response = action.action.unwrap().proposal_response_payload;
    let response = ProposalResponsePayload::decode(response.as_slice()).unwrap();
    let action = ChaincodeAction::decode(response.extension.as_slice()).unwrap();
    let sets = TxReadWriteSet::decode(action.results.as_slice()).unwrap().ns_rwset.into_iter();
    sets.map(|set| {
        let mut keys = KvrwSet::decode(set.rwset.as_slice()).unwrap();
        for write in &mut keys.writes {
            write.value.clear();
            write.key = write.key.replace(&tx_id, "<txid>");
        }
        (set.namespace, keys)
    })
    .collect()
}
