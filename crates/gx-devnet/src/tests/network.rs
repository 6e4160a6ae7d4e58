//! The organisations, their policies, and the files for clients.

use gx_fabric_proto::common::{Block, Envelope, Payload};
use gx_fabric_proto::msp::SerializedIdentity;
use gx_fabric_proto::protos::{ChaincodeActionPayload, Transaction, TxValidationCode};
use gx_model::SignerRole;
use prost::Message;
use serde_json::Value;
use tonic::Code;

use super::client::{Client, Signed, said};
use super::{Ledger, bounded};
use crate::DevnetOptions;

const QUERY: &str = "AdminContract:GetSystemStatus";

impl Ledger {
    /// Returns a ledger whose contracts have this policy.
    async fn with_policy(policy: &str) -> Self {
        Self::with(|options| {
            let policies = [(options.chaincode.clone(), policy.parse().unwrap())].into();
            DevnetOptions { policies, ..options }
        })
        .await
    }
}

/// Returns the MSP ids of the endorsers.
pub(super) fn endorsers(transaction: &Signed) -> Vec<String> {
    let payload = Payload::decode(transaction.envelope.payload.as_slice()).unwrap();
    let transaction = Transaction::decode(payload.data.as_slice()).unwrap();
    let action = &transaction.actions[0];
    let action = ChaincodeActionPayload::decode(action.payload.as_slice()).unwrap().action.unwrap();
    let endorsers = action.endorsements.iter();
    endorsers
        .map(|endorsement| {
            SerializedIdentity::decode(endorsement.endorser.as_slice()).unwrap().mspid
        })
        .collect()
}

async fn endorsed_by(client: &Client, organizations: &[&str]) -> Signed {
    let draft = client.draft(QUERY, &[]);
    let proposal = draft.signed(|bytes| client.sign(bytes));
    client.endorse_by(draft.tx_id.clone(), proposal, organizations).await.unwrap()
}

pub(super) async fn code(client: &Client, transaction: &Signed) -> TxValidationCode {
    client.submit(transaction).await.unwrap();
    client.commit_status(&transaction.tx_id).await.unwrap().result()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_organisations_endorse_unless_a_policy_says_otherwise() {
    let ledger = Ledger::start().await;
    for client in [ledger.admin(), ledger.second()] {
        let transaction = client.endorse(QUERY, &[]).await.unwrap();
        let mut endorsers = endorsers(&transaction);
        endorsers.sort_unstable();
        assert_eq!(endorsers, ["Org1MSP", "Org2MSP"]);
        assert_eq!(code(&client, &transaction).await, TxValidationCode::Valid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_own_peer_endorses_alone_if_one_is_enough() {
    let ledger = Ledger::with_policy("OR('Org1MSP.peer', 'Org2MSP.peer')").await;
    for (client, own) in [(ledger.admin(), "Org1MSP"), (ledger.second(), "Org2MSP")] {
        let transaction = client.endorse(QUERY, &[]).await.unwrap();
        assert_eq!(endorsers(&transaction), [own]);
        assert_eq!(code(&client, &transaction).await, TxValidationCode::Valid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organisation_endorses_alone_if_the_policy_requires_it() {
    let ledger = Ledger::with_policy("'Org2MSP.peer'").await;
    let transaction = ledger.admin().endorse(QUERY, &[]).await.unwrap();
    assert_eq!(endorsers(&transaction), ["Org2MSP"]);
    assert_eq!(code(&ledger.admin(), &transaction).await, TxValidationCode::Valid);
}

/// FAB-07: a policy that is not satisfied is detected at the commit.
#[tokio::test(flavor = "multi_thread")]
async fn fab_07_too_few_endorsements_make_a_transaction_invalid() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let transaction = endorsed_by(&admin, &["Org1MSP", "Org1MSP"]).await;
    assert_eq!(
        endorsers(&transaction),
        ["Org1MSP"],
        "an organisation that is listed twice endorses once"
    );
    assert_eq!(code(&admin, &transaction).await, TxValidationCode::EndorsementPolicyFailure);
    let transaction = endorsed_by(&admin, &["Org2MSP", "Org1MSP"]).await;
    assert_eq!(code(&admin, &transaction).await, TxValidationCode::Valid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_nobody_can_satisfy_is_reported() {
    let ledger = Ledger::with_policy("AND('Org1MSP.peer', 'Org3MSP.peer')").await;
    let refused = ledger.admin().endorse(QUERY, &[]).await.err().unwrap();
    let words = "no combination of peers can be derived which satisfy the endorsement policy: no \
                 peer combination can satisfy the endorsement policy";
    assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, words));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_without_a_peer_cannot_endorse_or_evaluate() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let draft = admin.draft(QUERY, &[]);
    let proposal = draft.signed(|bytes| admin.sign(bytes));
    let asked = ["Org1MSP", "Org9MSP", "Org3MSP"];
    let refused = admin.endorse_by(draft.tx_id.clone(), proposal, &asked).await.err().unwrap();
    let words = "failed to find any endorsing peers for org(s): Org9MSP, Org3MSP";
    assert_eq!((refused.code(), refused.message()), (Code::Unavailable, words));
    let refused = admin.evaluate_at(QUERY, &["Org9MSP"]).await.unwrap_err();
    let words = "no peers available to evaluate chaincode gxtv3 in channel gxchannel";
    assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, words));
    assert!(admin.evaluate_at(QUERY, &["Org2MSP"]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_organisation_outside_the_channel_is_refused() {
    let ledger = Ledger::start().await;
    let identity = ledger.devnet.user("Org3MSP", "Admin").unwrap();
    let stranger = Client::new(&ledger.devnet, &identity, &ledger.clock);
    let refused = stranger.evaluate(QUERY, &[]).await.unwrap_err();
    let words = "error validating proposal: access denied: channel [gxchannel] creator org \
                 unknown, creator is malformed";
    assert_eq!(
        (refused.code(), said(&refused).2.as_deref()),
        (Code::FailedPrecondition, Some(words))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn both_peers_deliver_the_same_chain() {
    let ledger = Ledger::start().await;
    ledger.admin().invoke(QUERY, &[]).await.unwrap();
    let chain: Vec<Block> = ledger.admin().chain().await;
    assert_eq!(chain.len(), 2);
    assert_eq!(ledger.second().chain().await, chain);
}

#[tokio::test(flavor = "multi_thread")]
async fn network_json_is_enough_to_use_the_ledger() {
    let ledger = Ledger::start().await;
    let text = std::fs::read_to_string(ledger.folder().join("network.json")).unwrap();
    let network: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(network["channel"], "gxchannel");
    assert_eq!(network["batchTimeout"], "0ms");
    assert_eq!(network["orderer"]["address"], ledger.devnet.orderer_endpoint());
    let orgs = network["orgs"].as_array().unwrap();
    let ids: Vec<_> = orgs.iter().map(|org| org["mspId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["Org1MSP", "Org2MSP", "Org3MSP"]);
    for (org, place) in orgs.iter().zip(0..) {
        let file = |name: &str| std::fs::read_to_string(org[name].as_str().unwrap()).unwrap();
        for (certificate, key) in [("cert", "key"), ("adminCert", "adminKey")] {
            let identity = crate::PemIdentity {
                msp_id: org["mspId"].as_str().unwrap().to_owned(),
                certificate_pem: file(certificate),
                private_key_pem: file(key),
            };
            let at = org["peer"].as_str().unwrap();
            let client = Client::at(at, &file("tlsCa"), &identity, &ledger.clock);
            let answer = client.evaluate(QUERY, &[]).await;
            assert_eq!(answer.is_ok(), place < 2, "{org}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_profile_names_existing_files() {
    let ledger = Ledger::start().await;
    let read = |name: &str| std::fs::read_to_string(ledger.folder().join(name)).unwrap();
    let profile: Value = serde_json::from_str(&read("connection-profile.json")).unwrap();
    let admin = &profile["x-gx"]["signers"]["admin"];
    let identity = ledger.devnet.identity(SignerRole::Admin);
    assert_eq!(read(admin["certificate"]["path"].as_str().unwrap()), identity.certificate_pem);
    assert_eq!(read(admin["privateKey"]["path"].as_str().unwrap()), identity.private_key_pem);
    let peer = &profile["peers"]["peer0.org2.devnet.gx"];
    let second = &ledger.devnet.peers()[1];
    assert_eq!(peer["url"], format!("grpcs://{}", second.endpoint));
    assert_eq!(read(peer["tlsCACerts"]["path"].as_str().unwrap()), second.tls_root_pem);
    let lines = read("connection-profile.yaml");
    assert!(lines.contains(&format!("    url: \"grpcs://{}\"\n", second.endpoint)), "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_signature_does_not_count() {
    let ledger = Ledger::with_policy("OR('Org1MSP.peer', 'Org2MSP.peer')").await;
    let admin = ledger.admin();
    let transaction = endorsed_by(&admin, &["Org2MSP"]).await;
    let mut payload = Payload::decode(transaction.envelope.payload.as_slice()).unwrap();
    let mut inner = Transaction::decode(payload.data.as_slice()).unwrap();
    let mut action = ChaincodeActionPayload::decode(inner.actions[0].payload.as_slice()).unwrap();
    let endorsement = &mut action.action.as_mut().unwrap().endorsements[0];
    endorsement.signature = admin.sign(b"something else");
    inner.actions[0].payload = action.encode_to_vec();
    payload.data = inner.encode_to_vec();
    let payload = payload.encode_to_vec();
    let envelope = Envelope { signature: admin.sign(&payload), payload };
    let forged = Signed { envelope, ..transaction };
    let found = bounded("the code", code(&admin, &forged)).await;
    assert_eq!(found, TxValidationCode::EndorsementPolicyFailure);
}

/// Dropping a ledger stops it: the ports of its peers and of its orderer refuse connections.
#[tokio::test]
async fn a_ledger_that_is_dropped_closes_its_ports() {
    let Ledger { devnet, folder: _folder, .. } = Ledger::start().await;
    let mut endpoints: Vec<String> =
        devnet.peers().iter().map(|peer| peer.endpoint.clone()).collect();
    endpoints.push(devnet.orderer_endpoint());
    drop(devnet);
    for endpoint in endpoints {
        let closed = async {
            while tokio::net::TcpStream::connect(&endpoint).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        bounded("a port closes", closed).await;
    }
}
