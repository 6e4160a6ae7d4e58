//! The beginning and the end of streams.

use gx_fabric_proto::protos::chaincode_message::Type;
use tonic::Code;

use crate::peer::{Peer, message, transaction};
use crate::service::{NAME, Service, signer};

const QUERY: [&str; 1] = ["AdminContract:GetSystemStatus"];

#[tokio::test]
async fn a_keepalive_is_sent_back() {
    let service = Service::start().await;
    let mut peer = Peer::old(&service).await;
    peer.send(message(Type::Keepalive, "", vec![])).await;
    assert_eq!(peer.receive().await.unwrap().r#type(), Type::Keepalive);
}

#[tokio::test]
async fn after_a_stop_running_transactions_end_and_new_ones_are_refused() {
    let service = Service::start().await;
    let mut peer = Peer::offering(&service, 1_000).await;
    let admin = signer("admin", None);
    peer.send(transaction("tx1", NAME, &admin, &QUERY)).await;
    let question = peer.receive().await.unwrap();

    service.stop.cancel();
    peer.send(transaction("tx2", NAME, &admin, &QUERY)).await;
    let refusal = peer.receive().await.unwrap();
    assert_eq!((refusal.r#type(), refusal.txid.as_str()), (Type::Error, "tx2"));
    peer.answer(&question).await;
    assert_eq!(peer.complete().await.response.status, 200);

    assert!(peer.receive().await.is_err(), "the stream ends");
    service.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_loses_its_stream() {
    let service = Service::start().await;
    let mut early = Peer::old(&service).await;
    early.send(message(Type::Register, "", vec![])).await;
    assert_eq!(early.receive().await.unwrap_err().code(), Code::FailedPrecondition);

    let mut another = Peer::offering(&service, 1_000).await;
    assert_eq!(another.invoke("tx1", &QUERY).await.response.status, 200);
}

#[tokio::test]
async fn a_peer_that_disconnects_in_a_transaction_can_reconnect() {
    let service = Service::start().await;
    let mut peer = Peer::offering(&service, 1_000).await;
    peer.send(transaction("tx1", NAME, &signer("admin", None), &QUERY)).await;
    peer.receive().await.unwrap();
    drop(peer);

    let mut peer = Peer::offering(&service, 1_000).await;
    assert_eq!(peer.invoke("tx1", &QUERY).await.response.status, 200);
}

#[tokio::test]
async fn messages_above_the_default_limit_of_grpc_are_accepted() {
    const MORE_THAN_4_MIB: usize = 5 * 1024 * 1024;
    let service = Service::start().await;
    let mut peer = Peer::offering(&service, 1_000).await;
    peer.state.insert("system".to_owned(), vec![b'x'; MORE_THAN_4_MIB]);

    let outcome = peer.invoke("tx1", &QUERY).await;

    assert_eq!(outcome.response.status, 500);
    assert!(outcome.response.message.starts_with("STATE_DAMAGED"), "{outcome:?}");
}
