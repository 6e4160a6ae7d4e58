//! Each fault does what its comment says, and nothing else.

use std::time::Duration;

use gx_fabric_proto::orderer::SeekNewest;
use gx_fabric_proto::orderer::seek_info::SeekBehavior;
use gx_fabric_proto::orderer::seek_position::Type as Position;
use gx_fabric_proto::protos::TxValidationCode;
use gx_model::CommandId;
use tonic::Code;

use super::client::{next_block, number, said};
use super::{Ledger, bounded};

const QUERY: &str = "AdminContract:GetSystemStatus";

#[tokio::test(flavor = "multi_thread")]
async fn held_commits_are_made_after_their_release() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    ledger.devnet.faults().hold_commits();
    let transaction = admin.endorse(QUERY, &[]).await.unwrap();
    admin.submit(&transaction).await.unwrap();
    let evaluated = admin.evaluate(QUERY, &[]).await;
    assert!(evaluated.is_ok(), "only commits wait");
    assert_eq!(admin.chain().await.len(), 1);
    ledger.devnet.faults().release_commits();
    let status = admin.commit_status(&transaction.tx_id).await.unwrap();
    assert_eq!(status.block_number, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_hides_a_transaction_that_commits() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    ledger.devnet.faults().drop_submit_replies(1);
    let transaction = admin.endorse(QUERY, &[]).await.unwrap();
    let lost = admin.submit(&transaction).await.unwrap_err();
    assert_eq!(lost.code(), Code::Unavailable);
    admin.submit(&transaction).await.unwrap();
    let status = admin.commit_status(&transaction.tx_id).await.unwrap();
    assert_eq!((status.result(), status.block_number), (TxValidationCode::Valid, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_submit_can_be_lost_and_sent_again() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    ledger.devnet.faults().discard_submits(1);
    let lost = admin.endorse(QUERY, &[]).await.unwrap();
    admin.submit(&lost).await.unwrap();
    let other = admin.invoke(QUERY, &[]).await.unwrap();
    assert_eq!(other.block, 1, "the first one was acknowledged and forgotten");
    admin.submit(&lost).await.unwrap();
    assert_eq!(admin.commit_status(&lost.tx_id).await.unwrap().block_number, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn endorsements_fail_the_given_number_of_times() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    ledger.devnet.faults().fail_endorsements(2, 500, "nope");
    for _ in 0..2 {
        let refused = admin.endorse(QUERY, &[]).await.err().unwrap();
        let (code, _, detail) = said(&refused);
        assert_eq!(
            (code, detail.as_deref()),
            (Code::Aborted, Some("chaincode response 500, nope"))
        );
    }
    assert!(admin.endorse(QUERY, &[]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_code_is_committed_without_effect() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let faults = ledger.devnet.faults();
    faults.force_validation_code(1, TxValidationCode::EndorsementPolicyFailure);
    let id = CommandId::derive(&["bootstrap"]).to_string();
    let committed = admin.invoke("AdminContract:BootstrapSystem", &[&id]).await.unwrap();
    assert_eq!(committed.code, TxValidationCode::EndorsementPolicyFailure);
    let status = admin.evaluate(QUERY, &[]).await.unwrap();
    let status: gx_contract::SystemView = serde_json::from_slice(&status).unwrap();
    assert!(!status.bootstrapped);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_event_can_be_any_bytes() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    ledger.devnet.faults().replace_next_event("Poison", b"\xff{");
    let mut events = admin.events(Some(number(0)), "").await.unwrap();
    let id = CommandId::derive(&["bootstrap"]).to_string();
    admin.invoke("AdminContract:BootstrapSystem", &[&id]).await.unwrap();
    let answer = bounded("the event", events.message()).await.unwrap().unwrap();
    assert_eq!(answer.events[0].event_name, "Poison");
    assert_eq!(answer.events[0].payload, b"\xff{");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_without_an_error_and_can_be_opened_again() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let mut stream = admin.follow(0).await;
    next_block(&mut stream).await;
    ledger.devnet.faults().end_streams();
    assert_eq!(bounded("the end", stream.message()).await.unwrap(), None);
    let mut stream = admin.follow(0).await;
    next_block(&mut stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_muted_stream_is_silent_while_the_height_can_be_asked() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let faults = ledger.devnet.faults();
    let mut stream = admin.follow(0).await;
    next_block(&mut stream).await;
    faults.mute_streams(true);
    admin.invoke(QUERY, &[]).await.unwrap();
    let newest = || Position::Newest(SeekNewest {});
    let mut asked = admin.deliver(newest(), newest(), SeekBehavior::FailIfNotReady).await.unwrap();
    assert_eq!(next_block(&mut asked).await.header.unwrap().number, 1);
    let silent = tokio::time::timeout(Duration::from_millis(100), stream.message()).await;
    assert!(silent.is_err(), "a muted stream sends nothing: {silent:?}");
    faults.mute_streams(false);
    assert_eq!(next_block(&mut stream).await.header.unwrap().number, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_unavailable_every_call_is_refused_and_streams_end() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let mut stream = admin.follow(0).await;
    next_block(&mut stream).await;
    ledger.devnet.faults().unavailable(true);
    assert_eq!(admin.evaluate(QUERY, &[]).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(admin.endorse(QUERY, &[]).await.err().unwrap().code(), Code::Unavailable);
    let ended = bounded("the end", stream.message()).await.unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable);
    ledger.devnet.faults().unavailable(false);
    admin.evaluate(QUERY, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_gateway_and_orderer_are_those_of_a_peer() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let faults = ledger.devnet.faults();
    faults.too_many_requests(true);
    assert_eq!(admin.evaluate(QUERY, &[]).await.unwrap_err().code(), Code::Unknown);
    faults.too_many_requests(false);
    let transaction = admin.endorse(QUERY, &[]).await.unwrap();
    faults.orderer_down(true);
    let (code, message, detail) = said(&admin.submit(&transaction).await.unwrap_err());
    let words = "no orderers could successfully process transaction";
    assert_eq!((code, message.as_str()), (Code::Unavailable, words));
    assert!(detail.unwrap().contains("connection refused"));
    faults.orderer_down(false);
    admin.submit(&transaction).await.unwrap();
    admin.commit_status(&transaction.tx_id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_dropped_and_refused() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let mut stream = admin.follow(0).await;
    next_block(&mut stream).await;
    ledger.devnet.faults().refuse_connections(true);
    assert!(bounded("the reset", stream.message()).await.is_err());
    assert!(admin.evaluate(QUERY, &[]).await.is_err());
    ledger.devnet.faults().refuse_connections(false);
    admin.evaluate(QUERY, &[]).await.unwrap();
    ledger.devnet.faults().reset_connections();
    bounded("a new connection", async {
        while admin.evaluate(QUERY, &[]).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_endorsements_are_delayed() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    ledger.devnet.faults().delay_endorsements(Duration::from_hours(1));
    let slow = tokio::time::timeout(Duration::from_millis(100), admin.endorse(QUERY, &[])).await;
    assert!(slow.is_err());
    ledger.devnet.faults().delay_endorsements(Duration::ZERO);
    assert!(admin.endorse(QUERY, &[]).await.is_ok());
}
