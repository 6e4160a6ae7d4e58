//! Chaincode events, and the limits of concurrent calls.

use gx_fabric_proto::gateway::ChaincodeEventsResponse;
use gx_fabric_proto::protos::TxValidationCode;
use gx_model::{BatchEvent, CommandId};
use tonic::{Code, Streaming};

use super::client::number;
use super::{Ledger, bounded};
use crate::node::GATEWAY_CALLS;

const QUERY: &str = "AdminContract:GetSystemStatus";
const BOOTSTRAP: &str = "AdminContract:BootstrapSystem";

async fn next(stream: &mut Streaming<ChaincodeEventsResponse>) -> ChaincodeEventsResponse {
    bounded("the next event", stream.message()).await.unwrap().expect("the stream goes on")
}

fn id(name: &str) -> String {
    CommandId::derive(&[name]).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_from_valid_transactions_that_set_one() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let mut live = admin.events(None, "").await.unwrap();
    admin.invoke(QUERY, &[]).await.unwrap();
    ledger.devnet.faults().force_validation_code(1, TxValidationCode::InvalidOtherReason);
    admin.invoke(BOOTSTRAP, &[&id("invalid")]).await.unwrap();
    let first = admin.invoke(BOOTSTRAP, &[&id("first")]).await.unwrap();
    let second = admin.invoke("AdminContract:PauseSystem", &["TEST", &id("pause")]).await.unwrap();
    for expected in [&first, &second] {
        let answer = next(&mut live).await;
        assert_eq!(answer.block_number, expected.block);
        assert_eq!(answer.events[0].tx_id, expected.tx_id);
        assert_eq!(answer.events[0].event_name, BatchEvent::NAME);
    }
    let mut replay = admin.events(Some(number(0)), "").await.unwrap();
    assert_eq!(next(&mut replay).await.events[0].tx_id, first.tx_id);
    let mut resumed = admin.events(Some(number(0)), &first.tx_id).await.unwrap();
    assert_eq!(next(&mut resumed).await.events[0].tx_id, second.tx_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_transaction_without_an_event_no_event_is_sent_as_on_a_peer() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let silent = admin.invoke(QUERY, &[]).await.unwrap();
    let mut stalled = admin.events(Some(number(0)), &silent.tx_id).await.unwrap();
    let mut control = admin.events(Some(number(0)), "").await.unwrap();
    admin.invoke(BOOTSTRAP, &[&id("bootstrap")]).await.unwrap();
    next(&mut control).await;
    ledger.devnet.faults().end_streams();
    let answer = bounded("the end", stalled.message()).await.unwrap();
    assert_eq!(answer, None, "the stream was silent until it ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_above_the_limit_are_refused_until_one_ends() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let mut open = Vec::new();
    for _ in 0..GATEWAY_CALLS {
        open.push(admin.events(None, "").await.unwrap());
    }
    let refused = admin.evaluate(QUERY, &[]).await.unwrap_err();
    let words = "too many requests for /gateway.Gateway, exceeding concurrency limit (500)";
    assert_eq!((refused.code(), refused.message()), (Code::Unknown, words));
    assert_eq!(admin.chain().await.len(), 1, "Deliver has a limit of its own");
    drop(open);
    bounded("room for a call", async {
        while admin.evaluate(QUERY, &[]).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
