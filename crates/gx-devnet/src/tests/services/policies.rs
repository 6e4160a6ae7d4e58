//! Policies of single keys, and of every chaincode that takes part in a transaction.

use gx_fabric_proto::protos::TxValidationCode;

use super::chaincode::Service;
use super::{caller, ledger_with};
use crate::tests::client::{Client, Signed};
use crate::tests::network::{code, endorsers};
use crate::tests::{BlockCutting, Ledger};
use crate::{ChaincodeService, DevnetOptions};

async fn endorsed_by(
    client: &Client,
    organizations: &[&str],
    function: &str,
    args: &[&str],
) -> Signed {
    let draft = client.draft(function, args);
    let proposal = draft.signed(|bytes| client.sign(bytes));
    client.endorse_by(draft.tx_id.clone(), proposal, organizations).await.unwrap()
}

async fn endorsed(client: &Client, function: &str, args: &[&str]) -> (Signed, Vec<String>) {
    let transaction = client.endorse(function, args).await.unwrap();
    let mut endorsers = endorsers(&transaction);
    endorsers.sort_unstable();
    (transaction, endorsers)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keys_policy_replaces_that_of_its_chaincode() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    client.invoke("put", &["key", "one"]).await.unwrap();
    client.invoke("require", &["key", "OR('Org2MSP.peer')"]).await.unwrap();
    let (change, by) = endorsed(&client, "put", &["key", "two"]).await;
    assert_eq!(by, ["Org2MSP"], "the gateway asks whom the key wants");
    assert_eq!(code(&client, &change).await, TxValidationCode::Valid);
    let change = endorsed_by(&client, &["Org1MSP"], "put", &["key", "three"]).await;
    assert_eq!(code(&client, &change).await, TxValidationCode::EndorsementPolicyFailure);
    let (_, by) = endorsed(&client, "put", &["another key", "one"]).await;
    assert_eq!(by, ["Org1MSP", "Org2MSP"], "other keys have the chaincode's");
    let (_, by) = endorsed(&client, "get", &["key"]).await;
    assert_eq!(by, ["Org1MSP", "Org2MSP"], "reading needs the chaincode's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_keys_policy_must_satisfy_the_old_one() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    client.invoke("put", &["key", "one"]).await.unwrap();
    client.invoke("require", &["key", "OR('Org2MSP.peer')"]).await.unwrap();
    let taken = endorsed_by(&client, &["Org1MSP"], "require", &["key", "OR('Org1MSP.peer')"]).await;
    assert_eq!(code(&client, &taken).await, TxValidationCode::EndorsementPolicyFailure);
    let given = endorsed_by(&client, &["Org2MSP"], "require", &["key", "OR('Org1MSP.peer')"]).await;
    assert_eq!(code(&client, &given).await, TxValidationCode::Valid);
    let change = endorsed_by(&client, &["Org1MSP"], "put", &["key", "two"]).await;
    assert_eq!(code(&client, &change).await, TxValidationCode::Valid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_policy_changes_in_the_block_cannot_be_written() {
    let service = Service::start().await;
    let services = vec![ChaincodeService::new("basic", &service.address)];
    let ledger = Ledger::with(|options| DevnetOptions {
        services,
        cutting: BlockCutting::Manual,
        ..options
    })
    .await;
    let client = caller(&ledger);
    let commit = async |transactions: Vec<Signed>| {
        for transaction in &transactions {
            client.submit(transaction).await.unwrap();
        }
        ledger.devnet.faults().cut_block();
        let mut codes = Vec::new();
        for transaction in &transactions {
            codes.push(client.commit_status(&transaction.tx_id).await.unwrap().result());
        }
        codes
    };
    let put = client.endorse("put", &["key", "one"]).await.unwrap();
    assert_eq!(commit(vec![put]).await, [TxValidationCode::Valid]);
    let require = client.endorse("require", &["key", "OR('Org1MSP.peer')"]).await.unwrap();
    let put = client.endorse("put", &["key", "two"]).await.unwrap();
    assert_eq!(
        commit(vec![require, put]).await,
        [TxValidationCode::Valid, TxValidationCode::EndorsementPolicyFailure]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_of_every_chaincode_that_takes_part_applies() {
    let service = Service::start().await;
    let other = Service::start().await;
    let ledger = Ledger::with(|options| DevnetOptions {
        services: vec![
            ChaincodeService::new("basic", &service.address),
            ChaincodeService::new("other", &other.address),
        ],
        policies: [("basic".to_owned(), "OR('Org1MSP.peer','Org2MSP.peer')".parse().unwrap())]
            .into(),
        ..options
    })
    .await;
    let client = caller(&ledger);
    let (own, by) = endorsed(&client, "put", &["key", "value"]).await;
    assert_eq!(by, ["Org1MSP"]);
    assert_eq!(code(&client, &own).await, TxValidationCode::Valid);
    let args = ["other", "put", "key", "value"];
    let (both, by) = endorsed(&client, "call", &args).await;
    assert_eq!(by, ["Org1MSP", "Org2MSP"]);
    assert_eq!(code(&client, &both).await, TxValidationCode::Valid);
    let short = endorsed_by(&client, &["Org1MSP"], "call", &args).await;
    assert_eq!(code(&client, &short).await, TxValidationCode::EndorsementPolicyFailure);
}
