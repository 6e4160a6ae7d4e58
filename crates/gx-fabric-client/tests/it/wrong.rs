//! PRJ-17: only the peer that shows a wrong chain is set aside for it.

use std::time::Duration;

use gx_fabric_client::{
    BlockId, ChainError, Follower, Ledger, LedgerConfig, PeerHeight, StreamError,
};
use gx_fabric_proto::common::Block;
use gx_model::SignerRole;

use crate::scripted::{ScriptedPeer, block, chain, client, client_with, id};
use crate::world::{BOUND, World, config, next_within_bound, succeeds};

const STATUS: &str = "AdminContract:GetSystemStatus";

/// Returns chains that are wrong at block 2, each in another way, with the expected error.
fn forged(ours: &[Block]) -> Vec<(Vec<Block>, &'static str)> {
    let with_second = |second: Block| vec![ours[0].clone(), ours[1].clone(), second];
    let mut other_data = ours[2].clone();
    other_data.data.as_mut().unwrap().data.push(b"more".to_vec());
    let mut headless = ours[2].clone();
    headless.metadata = None;
    vec![
        (with_second(block("fork", 2, vec![9; 32])), "broken chain: block 2"),
        (with_second(other_data), "forged block: the data of block 2"),
        (with_second(ours[3].clone()), "gap in the chain: block 3"),
        (with_second(headless), "malformed block 2"),
    ]
}

async fn failure(follower: &mut Follower) -> ChainError {
    tokio::time::timeout(BOUND, follower.next()).await.expect("an end").unwrap_err()
}

/// Returns the error of each peer's chain, in the order of the configuration.
fn wrong(ledger: &Ledger) -> Vec<Option<String>> {
    let peers = ledger.peers().into_iter();
    peers.map(|peer| peer.wrong_chain.map(|wrong| wrong.to_string())).collect()
}

fn chain_error(answer: Result<(), StreamError>) -> ChainError {
    match answer.unwrap_err() {
        StreamError::Chain(error) => error,
        StreamError::Ledger(error) => panic!("not an error of the chain: {error}"),
    }
}

/// Returns a client configuration in which peers are set aside for longer than any test, or not at
/// all.
fn patient(peers: &[&ScriptedPeer]) -> LedgerConfig {
    let mut settings = config(peers.iter().map(|peer| peer.config()).collect());
    // The timeout is long enough for every peer to answer.
    settings.limits.height_timeout = BOUND;
    settings.limits.set_aside_first = BOUND * 10;
    settings.limits.set_aside_cap = BOUND * 10;
    settings
}

/// PRJ-17: the first peer's chain is forged, in each possible way. Every block comes from the
/// second peer, and the error names the first.
#[tokio::test]
async fn prj_17_the_next_peer_serves_where_the_first_shows_a_wrong_chain() {
    let ours = chain("ours", 5);
    for (forged, words) in forged(&ours) {
        let (first, second) =
            (ScriptedPeer::serving(&forged).await, ScriptedPeer::serving(&ours).await);
        let ledger = client_with(patient(&[&first, &second]));
        let mut follower = ledger.follow(id(&ours[0]));
        for expected in &ours[1..] {
            assert_eq!(next_within_bound(&mut follower).await.id(), id(expected), "{words}");
        }
        let [Some(said), None] = &wrong(&ledger)[..] else { panic!("{:?}", wrong(&ledger)) };
        assert!(said.starts_with(words), "{said}");
        let named = PeerHeight::unhealthy_peers(&ledger.heights().await);
        assert_eq!(named.len(), 1, "{named:?}");
        assert!(named[0].contains(&first.config().endpoint), "{named:?}");
        assert!(named[0].contains(words), "{named:?}");
    }
}

/// PRJ-17: the first peer serves another chain from the beginning. The second peer serves both a
/// caller that follows at once and one that compares first.
#[tokio::test]
async fn prj_17_another_chain_at_the_first_peer_does_not_stop_the_second() {
    let (ours, other) = (chain("ours", 3), chain("other", 9));
    let (first, second) = (ScriptedPeer::serving(&other).await, ScriptedPeer::serving(&ours).await);
    let (genesis, last) = (id(&ours[0]), id(&ours[1]));
    for compares in [false, true] {
        let ledger = client_with(patient(&[&first, &second]));
        if compares {
            ledger.confirm(&[genesis, last]).await.unwrap();
        }
        let mut follower = ledger.follow(last);
        assert_eq!(next_within_bound(&mut follower).await.id(), id(&ours[2]));
        let [Some(said), None] = &wrong(&ledger)[..] else { panic!("{:?}", wrong(&ledger)) };
        assert!(said.starts_with("another chain: block "), "{said}");
        // The higher chain is not ours, so its height does not count.
        assert_eq!(PeerHeight::tip(&ledger.heights().await).unwrap(), 3);
        assert_eq!(ledger.known_block(last).await.unwrap().id(), last);
    }
}

/// PRJ-17: if every peer's chain is forged, the follower ends and names each peer.
#[tokio::test]
async fn prj_17_every_peer_is_named_where_all_show_a_wrong_chain() {
    let (ours, other) = (chain("ours", 5), chain("other", 5));
    let forgeries = forged(&ours);
    let [first, second, third] = [
        ScriptedPeer::serving(&forgeries[0].0).await,
        ScriptedPeer::serving(&forgeries[1].0).await,
        ScriptedPeer::serving(&forgeries[2].0).await,
    ];
    let ledger = client_with(patient(&[&first, &second, &third]));
    let mut follower = ledger.follow(id(&ours[0]));
    assert_eq!(next_within_bound(&mut follower).await.id(), id(&ours[1]));
    let error = failure(&mut follower).await;
    let said = error.to_string();
    for (peer, (_, words)) in [&first, &second, &third].into_iter().zip(&forgeries) {
        assert!(said.contains(&peer.config().endpoint), "{said}");
        assert!(said.contains(words), "{said}");
    }
    assert!(!error.is_another_chain_everywhere(), "broken blocks may be mended: {said}");
    assert_eq!(failure(&mut follower).await, error, "it is for good");

    first.serve(&other);
    second.serve(&other);
    let ledger = client_with(patient(&[&first, &second]));
    let error = chain_error(ledger.confirm(&[id(&ours[0]), id(&ours[1])]).await);
    assert!(error.is_another_chain_everywhere(), "{error}");
    assert!(matches!(&error, ChainError::Everywhere(peers) if peers.len() == 2), "{error}");
}

/// PRJ-17: if one peer's chain is forged and the other is silent, following ends with an error that
/// names both. It succeeds after the silent peer is back with the right chain.
#[tokio::test]
async fn prj_17_a_silent_peer_is_waited_for_where_the_other_is_wrong() {
    let ours = chain("ours", 5);
    for (forged, words) in forged(&ours) {
        let (first, second) =
            (ScriptedPeer::serving(&forged).await, ScriptedPeer::serving(&ours).await);
        second.set_away(true);
        let ledger = client_with(patient(&[&first, &second]));
        let mut follower = ledger.follow(id(&ours[0]));
        assert_eq!(next_within_bound(&mut follower).await.id(), id(&ours[1]));
        let error = failure(&mut follower).await;
        assert!(matches!(error, ChainError::NobodyRight { .. }), "{error}");
        assert!(!error.is_another_chain_everywhere());
        let said = error.to_string();
        for part in [words, &first.config().endpoint, &second.config().endpoint, "away"] {
            assert!(said.contains(part), "{part} is missing in: {said}");
        }
        // A second follower gets the same error, until a peer is right.
        let again = chain_error(ledger.confirm(&[id(&ours[1])]).await);
        assert!(matches!(again, ChainError::NobodyRight { .. }), "{again}");

        second.set_away(false);
        ledger.confirm(&[id(&ours[1])]).await.unwrap();
        let mut follower = ledger.follow(id(&ours[1]));
        for expected in &ours[2..] {
            assert_eq!(next_within_bound(&mut follower).await.id(), id(expected));
        }
    }
}

/// PRJ-17: if two of three peers contradict the known block, the third is not followed although it
/// agrees. If as many agree as contradict, one that agrees is followed.
#[tokio::test]
async fn prj_17_the_one_that_agrees_is_not_followed_against_the_others() {
    let (ours, other) = (chain("ours", 4), chain("other", 4));
    let [right, one, two] = [
        ScriptedPeer::serving(&ours).await,
        ScriptedPeer::serving(&other).await,
        ScriptedPeer::serving(&other).await,
    ];
    let known = id(&ours[1]);
    for peers in [[&right, &one, &two], [&one, &right, &two], [&one, &two, &right]] {
        let ledger = client_with(patient(&peers));
        let error = chain_error(ledger.confirm(&[id(&ours[0]), known]).await);
        let ChainError::Outvoted(named) = &error else { panic!("{error}") };
        let named: Vec<_> = named.iter().map(|wrong| wrong.peer.clone()).collect();
        assert_eq!(named.len(), 2, "{error}");
        assert!(!named.contains(&right.config().endpoint), "{error}");
        assert!(!error.is_another_chain_everywhere(), "it may be theirs to mend");
    }
    // A follower that has not compared notices it at the first peer that contradicts.
    let ledger = client_with(patient(&[&one, &right, &two]));
    let error = failure(&mut ledger.follow(known)).await;
    assert!(matches!(error, ChainError::Outvoted(_)), "{error}");

    let ledger = client_with(patient(&[&one, &right]));
    ledger.confirm(&[known]).await.unwrap();
    assert_eq!(next_within_bound(&mut ledger.follow(known)).await.id(), id(&ours[2]));
}

/// PRJ-17: a follower that reads from the only peer that agrees compares at an interval, and ends
/// when most of the others contradict the last block.
#[tokio::test]
async fn prj_17_a_follower_ends_once_most_peers_contradict_it() {
    let (ours, other) = (chain("ours", 4), chain("other", 4));
    let [right, one, two] = [
        ScriptedPeer::serving(&ours).await,
        ScriptedPeer::serving(&ours).await,
        ScriptedPeer::serving(&ours).await,
    ];
    let mut settings = patient(&[&right, &one, &two]);
    settings.limits.compare_interval = Duration::from_millis(20);
    let mut follower = client_with(settings).follow(id(&ours[0]));
    for expected in &ours[1..] {
        assert_eq!(next_within_bound(&mut follower).await.id(), id(expected));
    }
    one.serve(&other);
    two.serve(&other);
    let error = failure(&mut follower).await;
    assert!(matches!(&error, ChainError::Outvoted(peers) if peers.len() == 2), "{error}");
    assert_eq!(follower.state().borrow().peer, None);
}

/// PRJ-17: a peer that was set aside is asked again after its time, and is taken back if it shows
/// the chain that is followed.
#[tokio::test]
async fn prj_17_a_mended_peer_is_taken_back() {
    let ours = chain("ours", 5);
    let (first, second) =
        (ScriptedPeer::serving(&forged(&ours)[1].0).await, ScriptedPeer::serving(&ours).await);
    let mut settings = patient(&[&first, &second]);
    settings.limits.set_aside_first = Duration::from_millis(20);
    settings.limits.set_aside_cap = Duration::from_millis(40);
    let ledger = client_with(settings);
    let mut follower = ledger.follow(id(&ours[0]));
    for _ in &ours[1..] {
        next_within_bound(&mut follower).await;
    }
    assert!(wrong(&ledger)[0].is_some(), "its blocks are still forged");
    first.serve(&ours);
    let taken_back = async || match wrong(&ledger)[0].clone() {
        None => Ok(()),
        Some(wrong) => Err(wrong),
    };
    succeeds("the first peer is taken back", taken_back).await;
    assert_eq!(PeerHeight::unhealthy_peers(&ledger.heights().await), Vec::<String>::new());
    assert_eq!(follower.state().borrow().reconnects, 1, "the second one goes on serving");
}

/// PRJ-17: a peer is also taken back if its caller does not follow but only compares and calls.
#[tokio::test]
async fn prj_17_a_peer_that_nobody_follows_is_taken_back_too() {
    let (ours, other) = (chain("ours", 2), chain("other", 2));
    let (first, second) = (ScriptedPeer::serving(&other).await, ScriptedPeer::serving(&ours).await);
    let mut settings = patient(&[&first, &second]);
    settings.limits.set_aside_first = Duration::from_millis(20);
    settings.limits.set_aside_cap = Duration::from_millis(40);
    let ledger = client_with(settings);
    ledger.confirm(&[id(&ours[1])]).await.unwrap();
    assert!(wrong(&ledger)[0].is_some());
    first.serve(&ours);
    let taken_back = async || {
        ledger.reconsider(id(&ours[1])).await;
        if wrong(&ledger)[0].is_none() { Ok(()) } else { Err(()) }
    };
    succeeds("the first peer is taken back", taken_back).await;
}

/// PRJ-17: a broken block in a plain stream sets the peer aside, and the next stream is from
/// another peer.
#[tokio::test]
async fn prj_17_after_a_broken_block_a_plain_stream_is_from_the_next_peer() {
    let ours = chain("ours", 4);
    let (first, second) =
        (ScriptedPeer::serving(&forged(&ours)[1].0).await, ScriptedPeer::serving(&ours).await);
    let ledger = client_with(patient(&[&first, &second]));
    let mut blocks = ledger.blocks(1);
    assert_eq!(blocks.next().await.unwrap().unwrap().id(), id(&ours[1]));
    let error = blocks.next().await.unwrap_err();
    assert!(matches!(error, StreamError::Chain(ChainError::DataHash { number: 2 })), "{error}");
    let mut blocks = ledger.blocks(2);
    assert_eq!(blocks.peer(), second.config().endpoint);
    assert_eq!(blocks.next().await.unwrap().unwrap().id(), id(&ours[2]));
}

/// PRJ-17: at a first start, peers with different first blocks are an error. A peer whose first
/// block is broken does not count.
#[tokio::test]
async fn prj_17_a_first_start_does_not_choose_between_chains() {
    let (ours, other) = (chain("ours", 2), chain("other", 2));
    let (first, second) = (ScriptedPeer::serving(&other).await, ScriptedPeer::serving(&ours).await);
    let error = match client(&[&first, &second]).genesis().await.unwrap_err() {
        StreamError::Chain(error) => error,
        StreamError::Ledger(error) => panic!("{error}"),
    };
    assert!(matches!(error, ChainError::Undecided(_)), "{error}");
    for (peer, block) in [(&first, &other[0]), (&second, &ours[0])] {
        let BlockId { hash, .. } = id(block);
        let said = error.to_string();
        assert!(said.contains(&peer.config().endpoint), "{said}");
        assert!(said.contains(&hex::encode(hash)), "{said}");
    }

    let mut broken = ours.clone();
    broken[0].data.as_mut().unwrap().data.push(b"more".to_vec());
    first.serve(&broken);
    let ledger = client_with(patient(&[&first, &second]));
    assert_eq!(ledger.genesis().await.unwrap(), id(&ours[0]));
    assert_eq!(ledger.block(0).await.unwrap().id(), id(&ours[0]));
}

/// PRJ-17: calls skip a peer that shows another chain, because its transactions would not reach
/// ours.
#[tokio::test]
async fn prj_17_calls_skip_a_peer_with_another_chain() {
    let world = World::start().await;
    let stranger = ScriptedPeer::serving(&chain("other", 3)).await;
    let mut settings = world.config();
    settings.limits.height_timeout = BOUND;
    settings.limits.set_aside_first = BOUND * 10;
    settings.peers.insert(0, stranger.config());
    settings.peers[0].msp_id = world.identity(SignerRole::Admin).msp_id().to_owned();
    let ledger = world.ledger_with(settings);
    ledger.evaluate(STATUS, &[]).await.expect_err("nobody knows of the stranger's chain yet");
    ledger.confirm(&[world.ledger().genesis().await.unwrap()]).await.unwrap();
    ledger.evaluate(STATUS, &[]).await.unwrap();
}
