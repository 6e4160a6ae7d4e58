//! Connections that cannot be made, and connections that are made again.

use std::time::Duration;

use gx_fabric_client::{
    ClientTls, ConfigError, ConnectFault, Identity, Ledger, LedgerConfig, LedgerError,
    OutcomeClass, PemError, Phase,
};
use gx_model::{Clock, SignerRole};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;

use crate::proxy::{Mode, Proxy};
use crate::scripted::{End, Script, ScriptedPeer, chain, client_with, id};
use crate::world::{BOUND, World, config, genesis, ledger, next_within_bound, succeeds};

const STATUS: &str = "AdminContract:GetSystemStatus";

async fn failure(ledger: &Ledger) -> LedgerError {
    ledger.evaluate(STATUS, &[]).await.unwrap_err()
}

#[tokio::test]
async fn every_connection_fault_has_its_class_and_hint() {
    let world = World::start().await;
    let other = World::start().await;
    let proxy = Proxy::start(world.port()).await;
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("localhost:{}", listener.local_addr().unwrap().port())
    };
    let change = |change: &dyn Fn(&mut LedgerConfig)| {
        let mut settings = world.config();
        settings.peers[0].endpoint = proxy.endpoint();
        change(&mut settings);
        world.ledger_with(settings)
    };
    let (waits, settings) = (OutcomeClass::Unavailable, OutcomeClass::Misconfigured);
    let cases = [
        (
            Mode::Pass,
            change(&|c| c.peers[0].endpoint = "peer.invalid:7051".to_owned()),
            ConnectFault::Resolve,
            waits,
        ),
        (
            Mode::Pass,
            change(&|c| c.peers[0].endpoint = nobody.clone()),
            ConnectFault::Refused,
            waits,
        ),
        (
            Mode::Pass,
            change(&|c| c.peers[0].server_name = Some("peer0.example".to_owned())),
            ConnectFault::CertificateName,
            settings,
        ),
        (
            Mode::Pass,
            change(&|c| c.peers[0].tls_root_pem = other.devnet().tls_root_pem()),
            ConnectFault::UntrustedIssuer,
            settings,
        ),
        (Mode::Pass, change(&|c| c.development = false), ConnectFault::Loopback, settings),
        (Mode::PlainText, change(&|_| {}), ConnectFault::NoTls, settings),
        (
            Mode::Silent,
            change(&|c| c.limits.connect_timeout = Duration::from_millis(500)),
            ConnectFault::Timeout,
            waits,
        ),
        (Mode::Close, change(&|_| {}), ConnectFault::Broken, waits),
    ];
    for (mode, ledger, fault, class) in cases {
        proxy.set_mode(mode);
        let error = failure(&ledger).await;
        assert_eq!(error.connect, Some(fault), "{error}");
        assert_eq!((error.phase, error.class), (Phase::Connect, class), "{error}");
        assert_eq!(error.hint(), Some(fault.hint()));
        assert!(error.peer.is_some());
    }
}

#[tokio::test]
async fn a_client_outlives_an_absent_and_a_restarted_ledger() {
    let world = World::start().await;
    let start = genesis(&world.ledger()).await;
    let proxy = Proxy::start(world.port()).await;
    proxy.set_mode(Mode::Close);
    let ledger = world.ledger_at(&proxy.endpoint());
    let mut follower = ledger.follow(start);
    let mut state = follower.state();
    assert_eq!(failure(&ledger).await.class, OutcomeClass::Unavailable);
    let lost = async { state.wait_for(|state| state.reconnects > 1).await.unwrap().clone() };
    let lost = tokio::time::timeout(BOUND, lost).await.expect("it keeps trying");
    assert!(lost.peer.is_none());
    assert!(lost.last_error.is_some());

    proxy.set_mode(Mode::Pass);
    let connected = state.wait_for(|state| state.peer.is_some());
    tokio::time::timeout(BOUND, connected).await.expect("it connects unaided").unwrap();

    let world = World::restart(world.stop().await).await;
    proxy.set_target(world.port());
    let direct = world.ledger();
    crate::contracts::bootstrapped_with_two_people(&world, &direct).await;
    assert_eq!(next_within_bound(&mut follower).await.number, 1);
    assert_eq!(next_within_bound(&mut follower).await.number, 2);
    succeeds("calls recover unaided", async || ledger.evaluate(STATUS, &[]).await).await;
}

/// FAB-03: outside development, an IP address is refused at the start, and a name that resolves to
/// loopback is refused by the first call; both errors name the endpoint. The client finds a ledger
/// again after its socket froze and after it moved.
#[tokio::test]
async fn fab_03_wrong_addresses_are_refused_and_a_moved_or_frozen_ledger_is_followed() {
    let world = World::start().await;
    let mut outside = world.config();
    outside.development = false;
    let error = failure(&world.ledger_with(outside.clone())).await;
    assert_eq!(error.connect, Some(ConnectFault::Loopback));
    assert_eq!(error.class, OutcomeClass::Misconfigured);
    assert!(error.to_string().contains(&world.devnet().endpoint()), "{error}");
    outside.peers[0].endpoint = "127.0.0.1:7051".to_owned();
    let reader = world.identity(SignerRole::Admin);
    let rng = StdRng::seed_from_u64(1);
    let refused = Ledger::new(outside, reader, Clock::system(), rng).unwrap_err();
    assert!(
        matches!(&refused, ConfigError::LiteralAddress { endpoint } if endpoint.starts_with("127"))
    );

    let proxy = Proxy::start(world.port()).await;
    let mut settings = world.config();
    settings.peers[0].endpoint = proxy.endpoint();
    settings.limits.evaluate_timeout = Duration::from_secs(5);
    let ledger = world.ledger_with(settings);
    ledger.evaluate(STATUS, &[]).await.unwrap();
    proxy.freeze();
    let error = failure(&ledger).await;
    assert_eq!((error.phase, error.class), (Phase::Evaluate, OutcomeClass::Unavailable));
    ledger.evaluate(STATUS, &[]).await.unwrap();

    let moved = World::restart(world.stop().await).await;
    proxy.set_target(moved.port());
    succeeds("the moved ledger is followed", async || ledger.evaluate(STATUS, &[]).await).await;
}

#[tokio::test]
async fn a_second_peer_serves_while_the_first_is_away() {
    let world = World::start().await;
    let proxy = Proxy::start(world.port()).await;
    let mut settings = world.config();
    settings.peers.insert(0, world.peer(&proxy.endpoint()));
    let ledger = world.ledger_with(settings);
    proxy.set_mode(Mode::Close);
    ledger.evaluate(STATUS, &[]).await.unwrap();
    let heights = ledger.heights().await;
    assert!(heights[0].height.is_err());
    assert_eq!(*heights[1].height.as_ref().unwrap(), 1);
    let mut follower = ledger.follow(genesis(&ledger).await);
    crate::contracts::bootstrapped_with_two_people(&world, &ledger).await;
    assert_eq!(next_within_bound(&mut follower).await.number, 1);
    assert_eq!(follower.state().borrow().peer.as_deref(), Some(world.devnet().endpoint().as_str()));
}

/// Each fault of an identity has its own error: no key, another authority of the peer's TLS
/// certificate, an issuer that the channel does not know.
#[tokio::test]
async fn each_right_of_an_identity_is_checked() {
    let (world, other) = (World::start().await, World::start().await);
    let admin = world.identity(SignerRole::Admin);
    let rights = world.ledger().rights(&admin, STATUS).await;
    assert!(
        rights.evaluate.is_ok() && rights.submit.is_ok() && rights.blocks.is_ok(),
        "{rights:?}"
    );

    let files = world.devnet().identity(SignerRole::Admin);
    let keyless = Identity::from_pem(&files.msp_id, &files.certificate_pem, "");
    assert_eq!(keyless.unwrap_err().code(), "key_unreadable");

    let mut settings = world.config();
    settings.peers[0].tls_root_pem = other.devnet().tls_root_pem();
    let rights = world.ledger_with(settings).rights(&admin, STATUS).await;
    for error in [rights.evaluate, rights.submit, rights.blocks].map(Result::unwrap_err) {
        assert_eq!(error.connect, Some(ConnectFault::UntrustedIssuer), "{error}");
    }

    let stranger = other.identity(SignerRole::Admin);
    let rights = ledger(world.config(), admin).rights(&stranger, STATUS).await;
    for error in [rights.evaluate, rights.submit, rights.blocks].map(Result::unwrap_err) {
        assert_eq!((error.connect, error.class), (None, OutcomeClass::Misconfigured), "{error}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_bound_to_each_request() {
    let blocks = chain("ours", 2);
    let script = || Script { blocks: blocks.clone(), end: End::Silent };
    let peer = ScriptedPeer::start_strict(1, vec![script()]).await;
    let mut settings = config(vec![peer.config()]);
    let error = client_with(settings.clone()).heights().await.remove(0).height.unwrap_err();
    assert_eq!(error.connect, Some(ConnectFault::ClientCertificate), "{error}");
    assert_eq!(error.class, OutcomeClass::Misconfigured);

    settings.client_tls = Some(peer.client_tls());
    let mut follower = client_with(settings).follow(id(&blocks[0]));
    next_within_bound(&mut follower).await;
    let (shown, bound) = peer.bindings().remove(0);
    assert!(!shown.is_empty());
    assert_eq!(shown, bound);
}

/// FAB-15: the certificate of the key is shown and hashed, wherever it is in its file; a file with
/// the key in it is refused.
#[tokio::test]
async fn fab_15_the_client_certificate_of_a_bundle_is_shown_and_bound() {
    let blocks = chain("ours", 2);
    let script = Script { blocks: blocks.clone(), end: End::Silent };
    let peer = ScriptedPeer::start_strict(1, vec![script]).await;
    let mut settings = config(vec![peer.config()]);
    let leaf = peer.client_tls();
    let certificate_pem =
        format!("authority first\n{}{}", settings.peers[0].tls_root_pem, leaf.certificate_pem);
    settings.client_tls = Some(ClientTls { certificate_pem, ..leaf.clone() });
    let mut follower = client_with(settings.clone()).follow(id(&blocks[0]));
    next_within_bound(&mut follower).await;
    let (shown, bound) = peer.bindings().remove(0);
    assert!(!shown.is_empty());
    assert_eq!(shown, bound);

    let reader = World::start().await.identity(SignerRole::Admin);
    let attempt = |settings: LedgerConfig| {
        let rng = StdRng::seed_from_u64(1);
        Ledger::new(settings, reader.clone(), Clock::system(), rng).unwrap_err()
    };
    let both = format!("{}{}", leaf.certificate_pem, leaf.private_key_pem);
    let mut with_key = settings.clone();
    with_key.client_tls = Some(ClientTls { certificate_pem: both.clone(), ..leaf });
    let refused = attempt(with_key);
    assert!(matches!(refused, ConfigError::ClientTls(PemError::CertificateHoldsKey)), "{refused}");
    settings.peers[0].tls_root_pem = both;
    let refused = attempt(settings);
    assert!(matches!(refused, ConfigError::TlsRootHoldsKey { .. }), "{refused}");
}

/// A peer to which no connection can be made, for any reason, does not prevent calls to the next
/// one, because nothing was sent.
#[tokio::test]
async fn a_peer_with_a_wrong_certificate_does_not_stop_the_calls() {
    let world = World::start().await;
    let proxy = Proxy::start(world.port()).await;
    let mut settings = world.config();
    settings.peers[0].server_name = Some("peer0.example".to_owned());
    settings.peers.push(world.peer(&proxy.endpoint()));
    let ledger = world.ledger_with(settings);
    ledger.evaluate(STATUS, &[]).await.unwrap();
}
