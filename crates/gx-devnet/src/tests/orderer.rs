//! The orderer, used directly without a gateway.

use gx_fabric_proto::common::{Block, Envelope, Status as OrdererStatus};
use gx_fabric_proto::orderer::DeliverResponse;
use gx_fabric_proto::orderer::deliver_response::Type as Answer;
use gx_fabric_proto::orderer::seek_info::SeekBehavior;
use gx_fabric_proto::protos::TxValidationCode;
use tokio_stream::StreamExt;
use tonic::{Code, Streaming};

use super::client::{Client, number, said};
use super::{Ledger, bounded};

const QUERY: &str = "AdminContract:GetSystemStatus";

impl Ledger {
    fn orderer(&self) -> Client {
        let identity = self.devnet.user("Org2MSP", "Admin").unwrap();
        let root =
            std::fs::read_to_string(self.folder().join(
                "organizations/ordererOrganizations/devnet.gx/tlsca/tlsca.devnet.gx-cert.pem",
            ));
        Client::at(&self.devnet.orderer_endpoint(), &root.unwrap(), &identity, &self.clock)
    }
}

async fn broadcast(client: &Client, envelopes: Vec<Envelope>) -> Vec<(OrdererStatus, String)> {
    let answers = client.orderer().broadcast(tokio_stream::iter(envelopes)).await.unwrap();
    let answers = answers.into_inner().map(|answer| {
        let answer = answer.unwrap();
        (answer.status(), answer.info)
    });
    bounded("the answers", answers.collect()).await
}

async fn follow(client: &Client, from: u64, to: u64) -> Streaming<DeliverResponse> {
    let seek = client.seek(number(from), number(to), SeekBehavior::BlockUntilReady);
    let requests = tokio_stream::once(seek).chain(tokio_stream::pending());
    client.orderer().deliver(requests).await.unwrap().into_inner()
}

async fn blocks(client: &Client, from: u64, to: u64) -> Vec<Block> {
    let mut answers = follow(client, from, to).await;
    let mut blocks = Vec::new();
    loop {
        match bounded("a block", answers.message()).await.unwrap().unwrap().r#type.unwrap() {
            Answer::Block(block) => blocks.push(block),
            Answer::Status(status) => {
                assert_eq!(status, i32::from(OrdererStatus::Success));
                return blocks;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envelopes_are_ordered_one_by_one() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let good = admin.endorse(QUERY, &[]).await.unwrap();
    let mut bad = good.clone();
    bad.envelope.signature = admin.sign(b"something else");
    let answers = broadcast(&ledger.orderer(), vec![bad.envelope, good.envelope.clone()]).await;
    let forbidden = "implicit policy evaluation failed - 0 sub-policies were satisfied, but this \
                     policy requires 1 of the 'Writers' sub-policies to be satisfied: permission \
                     denied";
    let expected =
        [(OrdererStatus::Forbidden, forbidden.to_owned()), (OrdererStatus::Success, String::new())];
    assert_eq!(answers, expected);
    let status = admin.commit_status(&good.tx_id).await.unwrap();
    assert_eq!((status.result(), status.block_number), (TxValidationCode::Valid, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_orderers_blocks_have_no_validation_codes() {
    let ledger = Ledger::start().await;
    ledger.admin().invoke(QUERY, &[]).await.unwrap();
    let ordered = blocks(&ledger.orderer(), 0, 1).await;
    let judged = ledger.admin().chain().await;
    assert_eq!(ordered.len(), judged.len());
    for (ordered, judged) in ordered.iter().zip(&judged) {
        assert_eq!((&ordered.header, &ordered.data), (&judged.header, &judged.data));
        let slots = |block: &Block| block.metadata.clone().unwrap().metadata;
        let (ordered, judged) = (slots(ordered), slots(judged));
        assert_eq!(ordered[0], judged[0], "the orderer's signature");
        assert!(ordered[2].is_empty());
        assert!(ordered[4].is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_ends_the_orderers_streams_too() {
    let ledger = Ledger::start().await;
    let snapshot = ledger.devnet.take_snapshot().await.unwrap();
    ledger.admin().invoke(QUERY, &[]).await.unwrap();
    let mut stream = follow(&ledger.orderer(), 1, u64::MAX).await;
    assert!(bounded("a block", stream.message()).await.unwrap().is_some());
    ledger.devnet.revert(snapshot.id).await.unwrap();
    assert!(bounded("the stream's end", stream.message()).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_orderer_refuses_connections_and_every_gateway_says_so() {
    let ledger = Ledger::start().await;
    let transaction = ledger.admin().endorse(QUERY, &[]).await.unwrap();
    let faults = ledger.devnet.faults().orderer();
    faults.down(true);
    assert!(ledger.orderer().orderer().broadcast(tokio_stream::iter([])).await.is_err());
    for client in [ledger.admin(), ledger.second()] {
        let (code, _, detail) = said(&client.submit(&transaction).await.unwrap_err());
        assert_eq!(code, Code::Unavailable);
        assert!(
            detail.unwrap().contains(&format!("dial tcp {}", ledger.devnet.orderer_endpoint()))
        );
    }
    faults.down(false);
    ledger.second().submit(&transaction).await.unwrap();
    ledger.admin().commit_status(&transaction.tx_id).await.unwrap();
}
