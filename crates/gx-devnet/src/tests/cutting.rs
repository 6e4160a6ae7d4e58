//! The rules by which blocks are cut.

use std::time::Duration;

use gx_model::CommandId;

use super::client::{Client, Signed, next_block};
use super::{Ledger, bounded};
use crate::BlockCutting;

const QUERY: &str = "AdminContract:GetSystemStatus";

async fn submit(client: &Client, count: usize) -> Vec<Signed> {
    let mut transactions = Vec::new();
    for _ in 0..count {
        let transaction = client.endorse(QUERY, &[]).await.unwrap();
        client.submit(&transaction).await.unwrap();
        transactions.push(transaction);
    }
    transactions
}

async fn block_sizes(client: &Client, blocks: u64) -> Vec<usize> {
    let mut stream = client.follow(1).await;
    let mut sizes = Vec::new();
    for _ in 0..blocks {
        sizes.push(next_block(&mut stream).await.data.unwrap().data.len());
    }
    sizes
}

#[tokio::test(flavor = "multi_thread")]
async fn with_at_once_every_transaction_has_a_block() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    submit(&admin, 3).await;
    assert_eq!(block_sizes(&admin, 3).await, [1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_count_makes_a_block_without_waiting() {
    let ledger = Ledger::cutting(BlockCutting::Batch {
        max_count: 3,
        max_bytes: usize::MAX,
        max_wait: Duration::from_hours(1),
    })
    .await;
    let admin = ledger.admin();
    submit(&admin, 7).await;
    assert_eq!(block_sizes(&admin, 2).await, [3, 3]);
    ledger.devnet.faults().cut_block();
    assert_eq!(block_sizes(&admin, 3).await, [3, 3, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_limit_cuts_a_block_of_the_pending_envelopes() {
    let ledger = Ledger::cutting(BlockCutting::Batch {
        max_count: 1_000,
        max_bytes: usize::MAX,
        max_wait: Duration::from_millis(50),
    })
    .await;
    let admin = ledger.admin();
    let transactions = submit(&admin, 1).await;
    let status = admin.commit_status(&transactions[0].tx_id).await.unwrap();
    assert_eq!(status.block_number, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_size_makes_a_block_and_a_larger_envelope_has_its_own() {
    let size = {
        let ledger = Ledger::start().await;
        let envelope = ledger.admin().endorse(QUERY, &[]).await.unwrap().envelope;
        envelope.payload.len()
    };
    let ledger = Ledger::cutting(BlockCutting::Batch {
        max_count: 1_000,
        max_bytes: 3 * size,
        max_wait: Duration::from_hours(1),
    })
    .await;
    let admin = ledger.admin();
    submit(&admin, 5).await;
    assert_eq!(block_sizes(&admin, 2).await, [2, 2]);

    let ledger = Ledger::cutting(BlockCutting::Batch {
        max_count: 1_000,
        max_bytes: 1,
        max_wait: Duration::from_hours(1),
    })
    .await;
    let admin = ledger.admin();
    submit(&admin, 2).await;
    assert_eq!(block_sizes(&admin, 2).await, [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_cut_by_hand_has_everything_submitted_before() {
    let ledger = Ledger::cutting(BlockCutting::Manual).await;
    let admin = ledger.admin();
    submit(&admin, 4).await;
    ledger.devnet.faults().cut_block();
    assert_eq!(block_sizes(&admin, 1).await, [4]);
    submit(&admin, 2).await;
    ledger.devnet.faults().cut_block();
    assert_eq!(block_sizes(&admin, 2).await, [4, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn submitted_envelopes_are_committed_at_an_orderly_stop() {
    let folder = tempfile::tempdir().unwrap();
    let clock = gx_model::Clock::system();
    let options = crate::DevnetOptions {
        cutting: BlockCutting::Manual,
        fsync: false,
        ..crate::DevnetOptions::new(folder.path(), clock.clone(), gx_contract::Contracts)
    };
    let devnet = crate::Devnet::start(options.clone()).await.unwrap();
    let identity = devnet.identity(gx_model::SignerRole::SuperAdmin);
    let admin = Client::new(&devnet, &identity, &clock);
    let id = CommandId::derive(&["bootstrap"]).to_string();
    let transaction = admin.endorse("AdminContract:BootstrapSystem", &[&id]).await.unwrap();
    admin.submit(&transaction).await.unwrap();
    bounded("stop", devnet.stop()).await;
    let devnet = crate::Devnet::start(options).await.unwrap();
    let admin = Client::new(&devnet, &identity, &clock);
    let status = admin.commit_status(&transaction.tx_id).await.unwrap();
    assert_eq!(status.block_number, 1);
}

#[test]
fn a_rule_is_read_from_its_text() {
    let batch = BlockCutting::Batch {
        max_count: 500,
        max_bytes: 2_097_152,
        max_wait: Duration::from_millis(50),
    };
    assert_eq!("batch:500:2097152:50".parse(), Ok(batch));
    assert_eq!("at-once".parse(), Ok(BlockCutting::Immediate));
    assert_eq!("by-hand".parse(), Ok(BlockCutting::Manual));
    for wrong in ["", "batch", "batch:1:2", "batch:0:1:1", "batch:1:1:1:1", "batch:1:-1:1"] {
        assert!(wrong.parse::<BlockCutting>().is_err(), "{wrong}");
    }
}
