//! The requests of a transaction to the peer, and its results.

use gx_fabric_proto::protos::chaincode_message::Type;

use crate::peer::{Peer, message, transaction};
use crate::service::{NAME, Service, signer};

const BOOTSTRAP: [&str; 2] =
    ["AdminContract:BootstrapSystem", "00000000-0000-4000-8000-000000000001"];

#[tokio::test]
async fn a_new_peer_gets_all_keys_and_all_writes_in_one_request_each() {
    let service = Service::start().await;
    let mut peer = Peer::offering(&service, 1_000).await;

    let outcome = peer.invoke("tx1", &BOOTSTRAP).await;

    assert_eq!(outcome.response.status, 200, "{outcome:?}");
    assert_eq!(peer.asked, [Type::GetStateMultiple, Type::WriteBatchState]);
    let event = outcome.event.unwrap();
    assert_eq!((event.chaincode_id.as_str(), event.tx_id.as_str()), (NAME, "tx1"));
    assert_eq!(event.event_name, "GxBatch");
}

#[tokio::test]
async fn an_old_peer_gets_key_by_key_and_ends_in_the_same_state() {
    let service = Service::start().await;
    let mut new = Peer::offering(&service, 1_000).await;
    let mut old = Peer::old(&service).await;

    let (with_new, with_old) =
        (new.invoke("tx1", &BOOTSTRAP).await, old.invoke("tx1", &BOOTSTRAP).await);

    let only =
        |peer: &Peer| peer.asked.iter().all(|k| matches!(k, Type::GetState | Type::PutState));
    assert!(only(&old), "{:?}", old.asked);
    assert_eq!(with_new.response, with_old.response);
    assert_eq!(with_new.event, with_old.event);
    assert_eq!(new.state, old.state);
    assert!(!old.state.is_empty());
}

#[tokio::test]
async fn requests_do_not_exceed_the_limits_of_the_peer() {
    let service = Service::start().await;
    let mut peer = Peer::offering(&service, 2).await;

    peer.invoke("tx1", &BOOTSTRAP).await;

    // There are two keys to read and more than two writes.
    let writes = peer.asked.iter().filter(|kind| **kind == Type::WriteBatchState).count();
    assert_eq!(writes, peer.state.len().div_ceil(2));
}

#[tokio::test]
async fn a_range_is_read_page_by_page() {
    let service = Service::start().await;
    let mut peer = Peer::offering(&service, 1_000).await;
    peer.invoke("tx1", &BOOTSTRAP).await;
    for number in 0..2_500 {
        peer.state.insert(format!("fee~{number:064}"), b"\"1\"".to_vec());
    }
    peer.asked.clear();

    let outcome = peer.invoke("tx2", &["TokenomicsContract:GetPoolStatus"]).await;

    let answer = String::from_utf8(outcome.response.payload).unwrap();
    assert!(answer.contains(r#""unfolded":"2500""#), "{answer}");
    let pages = peer.asked.iter().filter(|kind| **kind == Type::GetStateByRange).count();
    assert!(pages >= 3, "{:?}", peer.asked);
}

#[tokio::test]
async fn many_transactions_run_at_once_and_end_in_any_order() {
    const AT_ONCE: usize = 50;
    let service = Service::start().await;
    let mut peer = Peer::offering(&service, 1_000).await;
    let admin = signer("admin", None);
    for number in 0..AT_ONCE {
        let query = ["AdminContract:GetSystemStatus"];
        peer.send(transaction(&format!("tx{number}"), NAME, &admin, &query)).await;
    }

    // Every transaction has sent its request before any is answered.
    let mut questions = vec![];
    while questions.len() < AT_ONCE {
        questions.push(peer.receive().await.unwrap());
    }
    for question in questions.iter().rev() {
        peer.answer(question).await;
    }
    for _ in 0..AT_ONCE {
        assert_eq!(peer.complete().await.response.status, 200);
    }
}

#[tokio::test]
async fn a_refusal_writes_nothing_and_names_its_code() {
    let service = Service::start().await;
    let mut peer = Peer::offering(&service, 1_000).await;

    peer.send(transaction("tx1", NAME, &signer("client", None), &BOOTSTRAP)).await;
    let outcome = peer.complete().await;

    assert_eq!(outcome.response.status, 403);
    assert!(outcome.response.message.starts_with("ROLE_REQUIRED"), "{outcome:?}");
    assert!(peer.state.is_empty());
}

#[tokio::test]
async fn the_attribute_of_the_certificate_is_the_role() {
    let service = Service::start().await;
    let mut peer = Peer::offering(&service, 1_000).await;
    for (role, status) in [("gx_super_admin", 200), ("gx_partner_api", 403)] {
        let certificate = signer("client", Some(role));
        peer.send(transaction(role, NAME, &certificate, &BOOTSTRAP)).await;
        assert_eq!(peer.complete().await.response.status, status, "{role}");
    }
}

#[tokio::test]
async fn a_change_through_another_chaincode_is_refused() {
    let service = Service::start().await;
    let mut peer = Peer::offering(&service, 1_000).await;

    peer.send(transaction("tx1", "other", &signer("admin", None), &BOOTSTRAP)).await;
    let outcome = peer.complete().await;

    assert_eq!(outcome.response.status, 400);
    assert!(outcome.response.message.starts_with("WRONG_CHAINCODE"), "{outcome:?}");
}

#[tokio::test]
async fn a_state_that_the_peer_cannot_read_fails_only_the_transaction() {
    let service = Service::start().await;
    let mut peer = Peer::offering(&service, 1_000).await;
    peer.send(transaction("tx1", NAME, &signer("admin", None), &BOOTSTRAP)).await;
    let question = peer.receive().await.unwrap();
    peer.send(message(Type::Error, &question.txid, b"no ledger context".to_vec())).await;

    let last = peer.receive().await.unwrap();
    assert_eq!((last.r#type(), last.txid.as_str()), (Type::Error, "tx1"));
    assert!(String::from_utf8(last.payload).unwrap().ends_with("no ledger context"));
    assert_eq!(peer.invoke("tx2", &BOOTSTRAP).await.response.status, 200);
}

#[tokio::test]
async fn a_malformed_transaction_is_answered_by_an_error() {
    let service = Service::start().await;
    let mut peer = Peer::offering(&service, 1_000).await;
    peer.send(message(Type::Transaction, "tx1", vec![])).await;

    let last = peer.receive().await.unwrap();
    assert_eq!(last.r#type(), Type::Error);
    assert_eq!(last.payload, b"the transaction has no proposal");
}
