//! Private data: who may read and write them, which peers hold them, and when they are deleted. The
//! messages are those of a real peer for the same requests.

use gx_fabric_proto::kvrwset::KvrwSet;
use gx_fabric_proto::protos::deliver_response::Type as Answer;
use gx_fabric_proto::protos::{BlockAndPrivateData, TxValidationCode};
use prost::Message;
use tonic::Code;

use super::chaincode::Service;
use super::{PATIENCE, caller, detail, evaluated, request_refused};
use crate::tests::client::{Client, next, said};
use crate::tests::network::endorsers;
use crate::tests::{BlockCutting, Ledger};
use crate::{ChaincodeService, Collections, DevnetOptions};

const EITHER: &str = "OR('Org1MSP.peer','Org2MSP.peer')";
const BOTH: &str = "AND('Org1MSP.peer','Org2MSP.peer')";
const COLLECTIONS: &str = r#"[
    {"name": "both", "policy": "OR('Org1MSP.member','Org2MSP.member')", "requiredPeerCount": 1,
     "memberOnlyRead": true, "memberOnlyWrite": true},
    {"name": "one", "policy": "OR('Org1MSP.member')", "blockToLive": 2, "memberOnlyRead": true,
     "memberOnlyWrite": true},
    {"name": "open", "policy": "OR('Org1MSP.member')"},
    {"name": "two", "policy": "OR('Org2MSP.member')", "memberOnlyRead": true,
     "endorsementPolicy": {"signaturePolicy": "OR('Org2MSP.peer')"}},
    {"name": "lonely", "policy": "OR('Org1MSP.member')", "requiredPeerCount": 1}]"#;

async fn ledger(service: &Service, policy: &str, cutting: BlockCutting) -> Ledger {
    let collections = Collections::from_json(COLLECTIONS).unwrap();
    Ledger::with(|options| DevnetOptions {
        services: vec![ChaincodeService::new("basic", &service.address)],
        execute_timeout: PATIENCE,
        policies: [("basic".to_owned(), policy.parse().unwrap())].into(),
        collections: [("basic".to_owned(), collections)].into(),
        cutting,
        ..options
    })
    .await
}

fn second(ledger: &Ledger) -> Client {
    let mut client = ledger.second();
    client.chaincode = "basic".to_owned();
    client
}

async fn valid(client: &Client, args: &[&str]) {
    let committed = client.invoke("private", args).await.unwrap();
    assert_eq!(committed.code, TxValidationCode::Valid, "{args:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_read_values_and_all_peers_have_hashes() {
    let service = Service::start().await;
    let ledger = ledger(&service, EITHER, BlockCutting::Immediate).await;
    let (first, second) = (caller(&ledger), second(&ledger));
    valid(&first, &["put", "both", "key", "value"]).await;
    for client in [&first, &second] {
        assert_eq!(evaluated(client, "private", &["get", "both", "key"]).await, "value");
        assert_eq!(evaluated(client, "private", &["get", "both", "none"]).await, "");
        assert_eq!(evaluated(client, "private", &["range", "both"]).await, "key=value");
    }
    valid(&first, &["put", "one", "key", "value"]).await;
    assert_eq!(evaluated(&first, "private", &["get", "one", "key"]).await, "value");
    let hash = evaluated(&second, "private", &["hash", "one", "key"]).await;
    let sha256_of_value = "cd42404d52ad55ccfa9aca4adc828aa5800ad9d385a0671fbcbf724118320619";
    assert_eq!(hash, sha256_of_value);
    valid(&first, &["put", "_implicit_org_Org1MSP", "key", "own"]).await;
    let own = evaluated(&first, "private", &["get", "_implicit_org_Org1MSP", "key"]).await;
    assert_eq!(own, "own");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_the_right_are_refused_in_a_peers_words() {
    let service = Service::start().await;
    let ledger = ledger(&service, EITHER, BlockCutting::Immediate).await;
    let (first, second) = (caller(&ledger), second(&ledger));
    valid(&first, &["put", "open", "key", "value"]).await;
    for (args, words) in [
        (
            ["get", "one", "key"].as_slice(),
            "GET_STATE failed: transaction ID: <txid>: tx creator does not have read access \
             permission on privatedata in chaincodeName:basic collectionName: one",
        ),
        (
            &["put", "one", "key", "x"],
            "PUT_STATE failed: transaction ID: <txid>: tx creator does not have write access \
             permission on privatedata in chaincodeName:basic collectionName: one",
        ),
        (
            &["get", "open", "key"],
            "GET_STATE failed: transaction ID: <txid>: private data matching public hash version \
             is not available. Public hash version = {BlockNum: 1, TxNum: 0}, Private data \
             version = <nil>",
        ),
        (
            &["get", "none", "key"],
            "GET_STATE failed: transaction ID: <txid>: collection gxchannel/basic/none could not \
             be found",
        ),
        (
            &["hash", "none", "key"],
            "GET_PRIVATE_DATA_HASH failed: transaction ID: <txid>: collection [none] not defined \
             in the collection config for chaincode [basic]",
        ),
        (
            &["put", "_implicit_org_Org3MSP", "key", "x"],
            "PUT_STATE failed: transaction ID: <txid>: collection [_implicit_org_Org3MSP] not \
             defined in the collection config for chaincode [basic]",
        ),
        (
            &["range then put", "both", "key"],
            "PUT_STATE failed: transaction ID: <txid>: txid [<txid>]: unsuppored transaction. \
             Transaction has already performed queries on pvt data. Writes are not allowed",
        ),
        (
            &["put then range", "both", "key"],
            "GET_STATE_BY_RANGE failed: transaction ID: <txid>: txid [<txid>]: unsuppored \
             transaction. Queries on pvt data is supported only in a read-only transaction",
        ),
    ] {
        let refused = request_refused(&second, "private", args).await;
        assert_eq!(refused, format!("chaincode response 500, {words}"), "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_not_part_of_the_block() {
    let service = Service::start().await;
    let ledger = ledger(&service, EITHER, BlockCutting::Immediate).await;
    let client = caller(&ledger);
    let secret = b"nobody else shall see this";
    let mut draft = client.draft("private", &["put transient", "both", "key", "name"]);
    draft.transient("name", secret);
    let (tx_id, signed) = (draft.tx_id.clone(), draft.signed(|bytes| client.sign(bytes)));
    let endorsed = client.endorse_proposal(tx_id, signed).await.unwrap();
    client.submit(&endorsed).await.unwrap();
    client.commit_status(&endorsed.tx_id).await.unwrap();
    let got = evaluated(&client, "private", &["get", "both", "key"]).await;
    assert_eq!(got.as_bytes(), secret);
    let block = client.block(1).await.encode_to_vec();
    assert!(!block.windows(secret.len()).any(|bytes| bytes == secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_read_of_an_old_version_conflicts() {
    let service = Service::start().await;
    let ledger = ledger(&service, EITHER, BlockCutting::Immediate).await;
    let client = caller(&ledger);
    valid(&client, &["put", "both", "key", "one"]).await;
    let late = client.endorse("private", &["put what was got", "both", "key", "late"]).await;
    let late = late.unwrap();
    valid(&client, &["put what was got", "both", "key", "early"]).await;
    client.submit(&late).await.unwrap();
    let status = client.commit_status(&late.tx_id).await.unwrap();
    assert_eq!(status.result(), TxValidationCode::MvccReadConflict);
    assert_eq!(evaluated(&client, "private", &["get", "both", "key"]).await, "early");
}

#[tokio::test(flavor = "multi_thread")]
async fn private_data_end_when_they_are_deleted_purged_or_expired() {
    let service = Service::start().await;
    let ledger = ledger(&service, EITHER, BlockCutting::Immediate).await;
    let client = caller(&ledger);
    valid(&client, &["put", "both", "deleted", "value"]).await;
    valid(&client, &["delete", "both", "deleted"]).await;
    valid(&client, &["put", "both", "purged", "value"]).await;
    valid(&client, &["purge", "both", "purged"]).await;
    for key in ["deleted", "purged"] {
        assert_eq!(evaluated(&client, "private", &["get", "both", key]).await, "");
        assert_eq!(evaluated(&client, "private", &["hash", "both", key]).await, "");
    }
    valid(&client, &["put", "one", "key", "value"]).await;
    for _ in 0..2 {
        client.invoke("put", &["other", "value"]).await.unwrap();
        assert_eq!(evaluated(&client, "private", &["get", "one", "key"]).await, "value");
    }
    client.invoke("put", &["other", "value"]).await.unwrap();
    assert_eq!(evaluated(&client, "private", &["get", "one", "key"]).await, "");
    assert_eq!(evaluated(&client, "private", &["hash", "one", "key"]).await, "");
    let shown: Vec<String> = followed(&client, 8).await.iter().flat_map(shown).collect();
    let expected = ["both deleted=value", "both deleted=", "both", "both"];
    assert_eq!(shown, expected, "neither what was purged nor what is too old");
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_have_the_private_data_that_the_peer_holds_and_the_reader_may_read() {
    let service = Service::start().await;
    let ledger = ledger(&service, EITHER, BlockCutting::Manual).await;
    let (first, second) = (caller(&ledger), second(&ledger));
    for collection in ["both", "one", "open", "two"] {
        let args = ["put", collection, "key", "value"];
        let transaction = first.endorse("private", &args).await.unwrap();
        first.submit(&transaction).await.unwrap();
    }
    ledger.devnet.faults().cut_block();
    let of_first = followed(&first, 2).await.iter().flat_map(shown).collect::<Vec<_>>();
    assert_eq!(of_first, ["both key=value", "one key=value", "open key=value"]);
    let of_second = followed(&second, 2).await.iter().flat_map(shown).collect::<Vec<_>>();
    assert_eq!(of_second, ["both key=value", "two key=value"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_decide_who_endorses() {
    let service = Service::start().await;
    let ledger = ledger(&service, BOTH, BlockCutting::Immediate).await;
    let client = caller(&ledger);
    for (args, by) in [
        (["put", "both", "key", "value"].as_slice(), ["Org1MSP", "Org2MSP"].as_slice()),
        (&["put", "one", "key", "value"], &["Org1MSP", "Org2MSP"]),
        (&["put", "two", "key", "value"], &["Org2MSP"]),
        (&["put", "_implicit_org_Org1MSP", "key", "value"], &["Org1MSP"]),
        (&["hash", "one", "key"], &["Org1MSP", "Org2MSP"]),
    ] {
        let transaction = client.endorse("private", args).await.unwrap();
        assert_eq!(endorsers(&transaction), by, "{args:?}");
        client.submit(&transaction).await.unwrap();
        let status = client.commit_status(&transaction.tx_id).await.unwrap();
        assert_eq!(status.result(), TxValidationCode::Valid, "{args:?}");
    }
    let refused = client.endorse("private", &["get", "one", "key"]).await.unwrap_err();
    let words = "no combination of peers can be derived which satisfy the endorsement policy: no \
                 peer combination can satisfy the endorsement policy";
    assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, words));

    let mut draft = client.draft("private", &["put transient", "one", "key", "name"]);
    draft.transient("name", b"secret");
    let (tx_id, signed) = (draft.tx_id.clone(), draft.signed(|bytes| client.sign(bytes)));
    let refused = client.endorse_proposal(tx_id, signed).await.unwrap_err();
    let words = "requires endorsement from organisation(s) that are not in the distribution \
                 policy of the private data collection(s): [one]; retry specifying trusted \
                 endorsing organizations to protect transient data";
    assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, words));
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_too_few_peers_can_hold_are_not_endorsed() {
    let service = Service::start().await;
    let ledger = ledger(&service, EITHER, BlockCutting::Immediate).await;
    let client = caller(&ledger);
    let refused = client.endorse("private", &["put", "lonely", "key", "value"]).await.unwrap_err();
    let (code, ..) = said(&refused);
    assert_eq!(code, Code::Aborted);
    let words = "could not build private data dissemination plan for chaincode basic and \
                 collection lonely: required to disseminate to at least 1 peers, but know of only \
                 0 eligible peers";
    assert!(detail(&refused).ends_with(words), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keys_history_has_the_newest_write_first() {
    let service = Service::start().await;
    let ledger = ledger(&service, EITHER, BlockCutting::Immediate).await;
    let client = caller(&ledger);
    assert_eq!(evaluated(&client, "history", &["key"]).await, "");
    client.invoke("put", &["key", "one"]).await.unwrap();
    client.invoke("put", &["key2", "other"]).await.unwrap();
    client.invoke("delete", &["key"]).await.unwrap();
    client.invoke("delete", &["key"]).await.unwrap();
    assert_eq!(evaluated(&client, "history", &["key"]).await, "deleted,deleted,one");
    client.invoke("put", &["key", "two"]).await.unwrap();
    client.invoke("label", &["key", "colour", "red"]).await.unwrap();
    client.invoke("put", &["key", "three"]).await.unwrap();
    let told = "three,two,deleted,deleted,one";
    assert_eq!(evaluated(&client, "history", &["key"]).await, told, "metadata is no value");
}

/// Returns the first `count` blocks with private data.
async fn followed(client: &Client, count: usize) -> Vec<BlockAndPrivateData> {
    let mut stream = client.deliver_private().await;
    let mut blocks = Vec::with_capacity(count);
    for _ in 0..count {
        let Answer::BlockAndPrivateData(block) = next(&mut stream).await else {
            panic!("a block with private data")
        };
        blocks.push(block);
    }
    blocks
}

/// Returns the collections and their writes, transaction by transaction.
fn shown(block: &BlockAndPrivateData) -> Vec<String> {
    let mut transactions: Vec<_> = block.private_data_map.iter().collect();
    transactions.sort_by_key(|(place, _)| **place);
    let sets = transactions.into_iter().flat_map(|(_, set)| &set.ns_pvt_rwset);
    let collections = sets.flat_map(|set| {
        assert_eq!(set.namespace, "basic");
        &set.collection_pvt_rwset
    });
    collections
        .map(|set| {
            let writes = KvrwSet::decode(set.rwset.as_slice()).unwrap().writes;
            let writes = writes
                .into_iter()
                .map(|write| format!(" {}={}", write.key, String::from_utf8(write.value).unwrap()));
            format!("{}{}", set.collection_name, writes.collect::<String>())
        })
        .collect()
}
