//! Follows a chain through ended streams, silent streams and wrong chains.

use std::time::Duration;

use gx_fabric_client::{ChainError, PeerConfig, PeerHeight, StreamError, WrongPeer};
use gx_fabric_proto::common::Metadata;
use gx_fabric_proto::orderer::seek_info::SeekBehavior;
use gx_model::SignerRole;
use prost::Message as _;

use crate::contracts::{EXECUTE, batch, bootstrap, create, person};
use crate::proxy::Proxy;
use crate::scripted::{End, Script, ScriptedPeer, block, block_of, chain, client, client_with, id};
use crate::world::{BOUND, World, config, genesis, next_within_bound};

/// PRJ-11: the stream ends without an error, then a new stream is silent while the peer's height
/// grows. Both times the next block arrives, and each stream requests blocks from the last known
/// one without an end.
#[tokio::test]
async fn prj_11_an_ended_and_a_silent_stream_are_opened_again_from_the_known_block() {
    let blocks = chain("ours", 4);
    // No peer reports a height above the next block before the test says so.
    let peer = ScriptedPeer::start(
        0,
        vec![
            Script { blocks: blocks[..2].to_vec(), end: End::Clean },
            Script { blocks: blocks[1..3].to_vec(), end: End::Silent },
            Script { blocks: blocks[2..].to_vec(), end: End::Silent },
        ],
    )
    .await;
    let mut follower = client(&[&peer]).follow(id(&blocks[0]));

    assert_eq!(next_within_bound(&mut follower).await.id(), id(&blocks[1]));
    assert_eq!(next_within_bound(&mut follower).await.id(), id(&blocks[2]), "after a clean end");
    peer.set_tip(3);
    assert_eq!(next_within_bound(&mut follower).await.id(), id(&blocks[3]), "after a silence");
    let wait = i32::from(SeekBehavior::BlockUntilReady);
    assert_eq!(peer.seeks(), [(0, u64::MAX, wait), (1, u64::MAX, wait), (2, u64::MAX, wait)]);
    let state = follower.state().borrow().clone();
    assert_eq!((state.reconnects, state.next_block), (2, 4));
}

/// PRJ-11: the same over the wire: a stream that ends, then a connection that stays open and
/// transports nothing. Both times the new block arrives.
#[tokio::test]
async fn prj_11_new_blocks_arrive_after_a_clean_end_and_through_a_black_hole() {
    let world = World::start().await;
    let proxy = Proxy::start(world.port()).await;
    let ledger = world.ledger_at(&proxy.endpoint());
    let mut follower = ledger.follow(genesis(&ledger).await);
    let mut state = follower.state();
    let connected = state.wait_for(|state| state.peer.is_some());
    tokio::time::timeout(BOUND, connected).await.expect("it connects").unwrap();

    world.devnet().faults().end_streams();
    let direct = world.ledger();
    bootstrap(&world, &direct).await;
    assert_eq!(next_within_bound(&mut follower).await.number, 1);

    proxy.freeze();
    let person = batch(&[create(&person(1))]);
    world.transact(&direct, SignerRole::Admin, EXECUTE, &person).await;
    assert_eq!(next_within_bound(&mut follower).await.number, 2);
}

/// A peer serves a limited number of streams at once, so a stream that is no longer read must not
/// count.
#[tokio::test]
async fn each_stream_is_closed_while_its_connection_stays_open() {
    let world = World::start().await;
    let ledger = world.ledger();
    let known = genesis(&ledger).await;
    let follower = ledger.follow(known);
    let mut state = follower.state();
    let connected = state.wait_for(|state| state.peer.is_some());
    tokio::time::timeout(BOUND, connected).await.expect("it connects").unwrap();
    assert!(world.devnet().open_block_streams() > 0);

    drop(follower);
    for _ in 0..10 {
        PeerHeight::tip(&ledger.heights().await).unwrap();
    }
    let given_back = async {
        while world.devnet().open_block_streams() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, given_back).await.expect("no stream stays open");
}

#[tokio::test]
async fn a_quiet_chain_is_not_mistaken_for_a_silent_stream() {
    let peer = ScriptedPeer::serving(&chain("ours", 2)).await;
    let mut settings = config(vec![peer.config()]);
    settings.limits.silence_deadline = Duration::from_millis(100);
    let mut follower = client_with(settings).follow(id(&chain("ours", 1)[0]));
    assert_eq!(next_within_bound(&mut follower).await.number, 1);
    // A slow machine may have delayed the first blocks.
    let before = follower.state().borrow().reconnects;
    // Ten requests of heights take longer than the silence that ends a stream.
    let mut heights = follower.heights();
    for _ in 0..10 {
        tokio::time::timeout(BOUND, heights.changed()).await.unwrap().unwrap();
    }
    assert_eq!(follower.state().borrow().reconnects, before);
    assert!(follower.try_next().unwrap().is_none());
}

#[tokio::test]
async fn a_block_far_above_the_usual_4_mb_arrives() {
    let first = chain("ours", 1).remove(0);
    let large = block_of(vec![vec![0xff; 3_000_000]; 8], 1, id(&first).hash.to_vec());
    let script = Script { blocks: vec![first.clone(), large], end: End::Silent };
    let peer = ScriptedPeer::start(1, vec![script]).await;
    let mut follower = client(&[&peer]).follow(id(&first));
    assert!(next_within_bound(&mut follower).await.bytes > 24_000_000);
}

#[tokio::test]
async fn a_peer_that_lacks_the_block_is_left_for_another() {
    let blocks = chain("ours", 2);
    let not_found = vec![Script { blocks: vec![], end: End::Status(404) }];
    let behind = ScriptedPeer::start(0, not_found).await;
    let whole =
        ScriptedPeer::start(1, vec![Script { blocks: blocks.clone(), end: End::Silent }]).await;
    let mut follower = client(&[&behind, &whole]).follow(id(&blocks[0]));
    assert_eq!(next_within_bound(&mut follower).await.number, 1);
    assert_eq!(behind.seeks().len(), 1);
}

#[tokio::test]
async fn a_chain_that_is_wrong_stops_the_follower_by_name() {
    let (ours, other) = (chain("ours", 4), chain("other", 4));
    let mut forged = ours[1].clone();
    forged.data.as_mut().unwrap().data.push(b"more".to_vec());
    let fork = block("fork", 1, vec![9; 32]);
    let (known, other_known) = (id(&ours[0]), id(&other[0]));
    let cases = [
        (vec![ours[0].clone(), ours[2].clone()], ChainError::Gap { expected: 1, found: 2 }),
        (
            vec![ours[0].clone(), fork],
            ChainError::BrokenChain { number: 1, expected: known.hash, found: vec![9; 32] },
        ),
        (vec![ours[0].clone(), forged], ChainError::DataHash { number: 1 }),
        (
            vec![other[0].clone()],
            ChainError::OtherChain { number: 0, expected: known.hash, found: other_known.hash },
        ),
    ];
    for (blocks, expected) in cases {
        let peer = ScriptedPeer::start(0, vec![Script { blocks, end: End::Silent }]).await;
        let mut follower = client(&[&peer]).follow(known);
        for _ in 0..2 {
            let error = tokio::time::timeout(BOUND, follower.next()).await.unwrap().unwrap_err();
            let wrong =
                WrongPeer { peer: peer.config().endpoint, error: Box::new(expected.clone()) };
            assert_eq!(error, ChainError::Everywhere(vec![wrong]));
        }
    }
}

#[tokio::test]
async fn another_ledger_behind_the_same_address_is_found_by_its_genesis() {
    let (ours, other) = (World::start().await, World::start().await);
    let known = genesis(&ours.ledger()).await;
    ours.ledger().confirm(&[known]).await.unwrap();

    let StreamError::Chain(error) = other.ledger().confirm(&[known]).await.unwrap_err() else {
        panic!("another chain is an error of the chain")
    };
    assert!(error.is_another_chain_everywhere(), "{error}");
    let mut follower = other.ledger().follow(known);
    let error = tokio::time::timeout(BOUND, follower.next()).await.unwrap().unwrap_err();
    assert!(error.is_another_chain_everywhere(), "{error}");
    let endpoint = other.devnet().endpoint();
    assert!(error.to_string().contains(&format!("at peer {endpoint}")), "{error}");
}

#[tokio::test]
async fn a_stream_from_one_peer_reports_its_end() {
    let world = World::start().await;
    let ledger = world.ledger();
    let mut stream = ledger.blocks(0);
    assert_eq!(stream.next().await.unwrap().unwrap().number, 0);
    world.devnet().faults().end_streams();
    let end = tokio::time::timeout(BOUND, stream.next()).await.expect("it ends");
    assert!(end.unwrap().is_none());
    world.devnet().faults().unavailable(true);
    assert!(matches!(ledger.blocks(0).next().await, Err(StreamError::Ledger(_))));
}

/// A peer of another organisation with another state is found by its commit hash. A peer that keeps
/// no hash or is away is not reported.
#[tokio::test]
async fn another_state_at_another_organisations_peer_is_found() {
    let known = chain("ours", 1).remove(0);
    let with_hash = |hash: &[u8]| {
        let mut block = known.clone();
        let value = Metadata { value: hash.to_vec(), ..Metadata::default() }.encode_to_vec();
        block.metadata.as_mut().unwrap().metadata.extend([vec![], value]);
        vec![Script { blocks: vec![block], end: End::Clean }]
    };
    let without_hash = vec![Script { blocks: vec![known.clone()], end: End::Clean }];
    let ours = ScriptedPeer::start(0, with_hash(b"one state")).await;
    let same = ScriptedPeer::start(0, with_hash(b"one state")).await;
    let other = ScriptedPeer::start(0, with_hash(b"another state")).await;
    let silent = ScriptedPeer::start(0, without_hash).await;
    let away = ScriptedPeer::start(0, vec![Script { blocks: vec![], end: End::Clean }]).await;
    let foreign =
        |peer: &ScriptedPeer| PeerConfig { msp_id: "Org2MSP".to_owned(), ..peer.config() };
    let peers =
        vec![ours.config(), foreign(&same), foreign(&other), foreign(&silent), foreign(&away)];
    let hashes = client_with(config(peers)).compare_commit_hashes(0).await;
    let differing: Vec<_> = hashes.differing().iter().map(|peer| peer.peer.clone()).collect();
    assert_eq!(differing, [other.config().endpoint]);
    assert_eq!(hashes.others(), 2);
}
