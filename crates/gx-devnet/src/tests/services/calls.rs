//! Calls: events, transient data, initialisation, errors, and chaincodes that call chaincodes.

use gx_contract::SystemView;
use gx_fabric_proto::protos::TxValidationCode;
use tonic::Code;

use super::chaincode::Service;
use super::{PATIENCE, caller, detail, evaluated, ledger, ledger_with, request_refused};
use crate::ChaincodeService;
use crate::tests::bounded;
use crate::tests::client::{number, said};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_delivered_under_the_chaincodes_name() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    let mut events = client.events(Some(number(0)), "").await.unwrap();
    let set = client.invoke("event", &["made", "payload"]).await.unwrap();
    let answer = bounded("the event", events.message()).await.unwrap().unwrap();
    let [event] = answer.events.as_slice() else { panic!("one event: {answer:?}") };
    assert_eq!((&event.tx_id, event.chaincode_id.as_str()), (&set.tx_id, "basic"));
    assert_eq!((event.event_name.as_str(), event.payload.as_slice()), ("made", &b"payload"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn transient_data_reach_the_chaincode_and_no_block() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    let secret = b"told to nobody else";
    let mut draft = client.draft("transient", &["secret"]);
    draft.transient("secret", secret);
    let signed = draft.signed(|bytes| client.sign(bytes));
    assert_eq!(client.evaluate_proposal(signed.clone()).await.unwrap(), secret);
    let put = client.invoke("put", &["key", "value"]).await.unwrap();
    assert_eq!(put.code, TxValidationCode::Valid);
    let blocks = format!("{:?}", client.chain().await);
    assert!(!blocks.contains(&format!("{secret:?}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_chaincode_is_reported_with_its_message() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    let refused = client.evaluate("refuse", &["no"]).await.unwrap_err();
    let (code, message, detail) = said(&refused);
    assert_eq!(code, Code::Unknown);
    assert_eq!(message, "evaluate call to endorser returned error: chaincode response 500, no");
    assert_eq!(detail.unwrap(), "chaincode response 500, no");
    let failed = request_refused(&client, "fail", &["broken"]).await;
    assert_eq!(failed, "error in simulation: transaction returned with failure: broken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chaincode_calls_another_one_in_the_same_transaction() {
    let (one, two) = (Service::start().await, Service::start().await);
    let services = vec![
        ChaincodeService::new("basic", &one.address),
        ChaincodeService::new("other", &two.address),
    ];
    let ledger = ledger(services, PATIENCE).await;
    let client = caller(&ledger);
    let mut other = caller(&ledger);
    other.chaincode = "other".to_owned();
    let mut events = other.events(Some(number(0)), "").await.unwrap();
    client.invoke("put", &["key", "of basic"]).await.unwrap();
    other.invoke("event", &["control", ""]).await.unwrap();
    let wrote = client.invoke("call", &["other:1.0/gxchannel", "put", "key", "of other"]).await;
    assert_eq!(wrote.unwrap().code, TxValidationCode::Valid);
    assert_eq!(evaluated(&other, "get", &["key"]).await, "of other");
    assert_eq!(evaluated(&client, "get", &["key"]).await, "of basic");
    assert_eq!(evaluated(&client, "call", &["other", "get", "key"]).await, "200 \"\" of other");
    assert_eq!(evaluated(&client, "call", &["other", "refuse", "no"]).await, "500 \"no\" ");
    client.invoke("call", &["other", "event", "lost", ""]).await.unwrap();
    other.invoke("event", &["last", ""]).await.unwrap();
    for expected in ["control", "last"] {
        let answer = bounded("the event", events.message()).await.unwrap().unwrap();
        assert_eq!(answer.events[0].event_name, expected, "an inner event is lost");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_in_the_called_chaincodes_state_invalidates_the_transaction() {
    let (one, two) = (Service::start().await, Service::start().await);
    let services = vec![
        ChaincodeService::new("basic", &one.address),
        ChaincodeService::new("other", &two.address),
    ];
    let ledger = ledger(services, PATIENCE).await;
    let client = caller(&ledger);
    let mut other = caller(&ledger);
    other.chaincode = "other".to_owned();
    let late = client.endorse("call", &["other", "get", "key"]).await.unwrap();
    other.invoke("put", &["key", "changed"]).await.unwrap();
    client.submit(&late).await.unwrap();
    let status = client.commit_status(&late.tx_id).await.unwrap();
    assert_eq!(status.result(), TxValidationCode::MvccReadConflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gx_contracts_answer_another_chaincodes_queries_and_refuse_its_changes() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    let answer = evaluated(&client, "call", &["gxtv3", "AdminContract:GetSystemStatus"]).await;
    let status: SystemView =
        serde_json::from_str(answer.strip_prefix("200 \"\" ").unwrap()).unwrap();
    assert!(!status.bootstrapped);
    let id = gx_model::CommandId::derive(&["bootstrap"]).to_string();
    let answer = evaluated(&client, "call", &["gxtv3", "AdminContract:BootstrapSystem", &id]).await;
    assert!(answer.starts_with("400 \"WRONG_CHAINCODE: "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_cannot_be_made_fail_the_caller_as_on_a_peer() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    for (callee, reason) in [
        ("basic", "execute failed: error sending: txid: <txid>(gxchannel) exists"),
        (
            "nosuch",
            "execute failed: invalid invocation: [channel gxchannel] failed to get chaincode \
             container info for nosuch: chaincode nosuch not found",
        ),
        ("basic/nochannel", "Failed to get policy manager for channel [nochannel]"),
    ] {
        assert_eq!(
            request_refused(&client, "call", &[callee, "get", "key"]).await,
            format!(
                "chaincode response 500, INVOKE_CHAINCODE failed: transaction ID: <txid>: {reason}"
            )
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chaincode_that_must_be_initialised_is_initialised_first_and_once() {
    let service = Service::start().await;
    let basic = ChaincodeService {
        init_required: true,
        ..ChaincodeService::new("basic", &service.address)
    };
    let ledger = ledger(vec![basic], PATIENCE).await;
    let client = caller(&ledger);
    let init = async || {
        let mut draft = client.draft("kind", &[]);
        draft.is_init();
        let tx_id = draft.tx_id.clone();
        let signed = draft.signed(|bytes| client.sign(bytes));
        client.endorse_proposal(tx_id, signed).await
    };
    let early = detail(&client.evaluate("kind", &[]).await.unwrap_err());
    let reason =
        "chaincode 'basic' has not been initialized for this version, must call as init first";
    assert!(early.ends_with(&format!("invalid invocation: {reason}")), "{early}");
    let first = init().await.unwrap();
    client.submit(&first).await.unwrap();
    let status = client.commit_status(&first.tx_id).await.unwrap();
    assert_eq!(status.result(), TxValidationCode::Valid);
    assert_eq!(evaluated(&client, "kind", &[]).await, "TRANSACTION");
    let again = detail(&init().await.unwrap_err());
    assert!(again.ends_with("chaincode 'basic' is already initialized but called as init"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chaincode_without_initialisation_is_not_called_as_init() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    let mut draft = client.draft("kind", &[]);
    draft.is_init();
    let signed = draft.signed(|bytes| client.sign(bytes));
    let refused = detail(&client.evaluate_proposal(signed).await.unwrap_err());
    let reason = "chaincode 'basic' does not require initialization but called as init";
    assert!(refused.ends_with(&format!("invalid invocation: {reason}")), "{refused}");
}
