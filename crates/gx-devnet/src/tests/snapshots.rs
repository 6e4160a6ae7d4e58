//! Returning to a snapshot, and moving a whole ledger.

use std::path::Path;

use gx_fabric_proto::common::Block;
use gx_fabric_proto::protos::TxValidationCode;
use gx_model::{Clock, CommandId, SignerRole};
use tempfile::TempDir;

use super::client::{Client, next_block};
use super::{Ledger, bounded};
use crate::{BlockCutting, Devnet, DevnetOptions, DumpError, SnapshotError, load};

fn id(n: u32) -> String {
    CommandId::derive(&["snapshot", &n.to_string()]).to_string()
}

async fn bootstrap(admin: &Client) {
    let done = admin.invoke("AdminContract:BootstrapSystem", &[&id(0)]).await.unwrap();
    assert_eq!(done.code, TxValidationCode::Valid);
}

async fn is_paused(admin: &Client) -> bool {
    let status = admin.evaluate("AdminContract:GetSystemStatus", &[]).await.unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
    status["paused"].as_bool().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_restores_state_chain_and_history_and_can_be_repeated() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    bootstrap(&admin).await;
    let snapshot = ledger.devnet.take_snapshot().await.unwrap();
    assert_eq!(snapshot.height, 2);
    let before = admin.chain().await;
    for n in 1..3 {
        let pause = admin.endorse("AdminContract:PauseSystem", &["TEST", &id(n)]).await.unwrap();
        admin.submit(&pause).await.unwrap();
        assert_eq!(admin.commit_status(&pause.tx_id).await.unwrap().block_number, 2);
        assert!(is_paused(&admin).await);
        let mut stream = admin.follow(2).await;
        next_block(&mut stream).await;

        assert_eq!(ledger.devnet.revert(snapshot.id).await.unwrap(), snapshot);
        assert!(bounded("the stream's end", stream.message()).await.unwrap().is_none());
        assert!(!is_paused(&admin).await);
        assert_eq!(admin.chain().await, before);
        // The reverted blocks no longer exist, so the same envelope is not a duplicate.
        admin.submit(&pause).await.unwrap();
        let again = admin.commit_status(&pause.tx_id).await.unwrap();
        assert_eq!((again.block_number, again.result()), (2, TxValidationCode::Valid));
        ledger.devnet.revert(snapshot.id).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_deletes_later_snapshots_and_drops_pending_envelopes() {
    let ledger = Ledger::cutting(BlockCutting::Manual).await;
    let admin = ledger.admin();
    let first = ledger.devnet.take_snapshot().await.unwrap();
    let waiting = admin.endorse("AdminContract:BootstrapSystem", &[&id(0)]).await.unwrap();
    admin.submit(&waiting).await.unwrap();
    let later = ledger.devnet.take_snapshot().await.unwrap();
    assert_eq!((first.height, later.height), (1, 1));
    ledger.devnet.revert(first.id).await.unwrap();
    assert_eq!(ledger.devnet.cut_block().await, Some(1));
    let refused = ledger.devnet.revert(later.id).await.unwrap_err();
    assert!(matches!(refused, SnapshotError::Unknown(id) if id == later.id), "{refused}");
    admin.submit(&waiting).await.unwrap();
    assert_eq!(ledger.devnet.cut_block().await, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_does_not_restore_deleted_snapshots() {
    let ledger = Ledger::start().await;
    let controls = &ledger.devnet.controls;
    let deleted = ledger.devnet.take_snapshot().await.unwrap();
    let kept = ledger.devnet.take_snapshot().await.unwrap();
    controls.delete_snapshot(deleted.id).await.unwrap();
    ledger.devnet.revert(kept.id).await.unwrap();
    assert_eq!(controls.store.snapshots().unwrap(), [kept]);
    let refused = ledger.devnet.revert(deleted.id).await.unwrap_err();
    assert!(matches!(refused, SnapshotError::Unknown(id) if id == deleted.id), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let options = || DevnetOptions::new(folder.path(), Clock::system(), gx_contract::Contracts);
    let devnet = Devnet::start(options()).await.unwrap();
    let snapshot = devnet.take_snapshot().await.unwrap();
    bootstrap(&admin_of(&devnet)).await;
    bounded("stop", devnet.stop()).await;
    let devnet = Devnet::start(options()).await.unwrap();
    assert_eq!(admin_of(&devnet).chain().await.len(), 2);
    devnet.revert(snapshot.id).await.unwrap();
    assert_eq!(admin_of(&devnet).chain().await.len(), 1);
}

fn admin_of(devnet: &Devnet) -> Client {
    Client::new(devnet, &devnet.identity(SignerRole::SuperAdmin), &Clock::system())
}

/// Loads a dump into a new folder and starts the ledger there.
async fn elsewhere(dump: &Path, clock: &Clock) -> (Devnet, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    load(dump, folder.path()).unwrap();
    let options = DevnetOptions {
        fsync: false,
        ..DevnetOptions::new(folder.path(), clock.clone(), gx_contract::Contracts)
    };
    (Devnet::start(options).await.unwrap(), folder)
}

/// Returns a block without the orderer's signature, which differs each time it is made.
fn unsigned(block: &Block) -> Block {
    let mut block = block.clone();
    block.metadata.as_mut().unwrap().metadata[0].clear();
    block
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loaded_dump_is_the_same_ledger_and_goes_on_with_the_same_hashes() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    bootstrap(&admin).await;
    // A validation code that cannot be derived from the block.
    ledger.devnet.faults().force_validation_code(1, TxValidationCode::Valid);
    admin.invoke("AdminContract:PauseSystem", &["TEST", &id(1)]).await.unwrap();
    let dump = ledger.folder().join("ledger.dump");
    let summary = ledger.devnet.dump(&dump).await.unwrap();
    assert_eq!((summary.channel.as_str(), summary.height), ("gxchannel", 3));

    let (copy, _folder) = elsewhere(&dump, &ledger.clock).await;
    let copy_admin = Client::new(&copy, &copy.identity(SignerRole::SuperAdmin), &ledger.clock);
    assert_eq!(copy.tls_root_pem(), ledger.devnet.tls_root_pem());
    assert_eq!(copy_admin.chain().await, admin.chain().await);
    assert!(!is_paused(&copy_admin).await);

    let pause = admin.endorse("AdminContract:PauseSystem", &["TEST", &id(2)]).await.unwrap();
    let mut next = Vec::new();
    for client in [&admin, &copy_admin] {
        client.submit(&pause).await.unwrap();
        next.push(unsigned(&next_block(&mut client.follow(3).await).await));
    }
    assert_eq!(next[0], next[1]);
    assert!(is_paused(&copy_admin).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_a_stopped_ledger_loads_and_a_damaged_one_leaves_nothing() {
    let Ledger { devnet, folder, clock } = Ledger::start().await;
    bounded("stop", devnet.stop()).await;
    let dump = folder.path().join("ledger.dump");
    let summary = crate::dump(folder.path(), &dump).unwrap();
    assert_eq!(summary.height, 1);
    let refused = load(&dump, folder.path()).unwrap_err();
    assert!(matches!(refused, DumpError::Occupied { .. }), "{refused}");
    let (copy, _folder) = elsewhere(&dump, &clock).await;
    bounded("stop", copy.stop()).await;

    let whole = std::fs::read(&dump).unwrap();
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    let of_another_version = [b"gx-devnet dump 1\n", &whole[17..]].concat();
    let cut = &whole[..whole.len() - 1];
    for damaged in [cut, &altered, &of_another_version, b"something else", b""] {
        let target = tempfile::tempdir().unwrap();
        std::fs::write(&dump, damaged).unwrap();
        let refused = load(&dump, target.path()).unwrap_err();
        assert!(matches!(refused, DumpError::Damaged(_)), "{refused}");
        assert_eq!(std::fs::read_dir(target.path()).unwrap().count(), 0);
    }
}
