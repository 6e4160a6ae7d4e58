//! Evaluating, endorsing and submitting, and their errors.

use gx_devnet::IdentityRequest;
use gx_fabric_client::{
    Breaker, ConfigError, GrpcCode, Identity, LedgerError, OutcomeClass, Phase, TransactionKind,
    ValidationCode,
};
use gx_fabric_proto::protos::TxValidationCode;
use gx_model::{BatchEvent, SignerRole};
use time::{Duration, OffsetDateTime};

use crate::contracts::{EXECUTE, batch, bootstrapped_with_two_people, fresh_id, transfer};
use crate::world::{World, genesis, next_within_bound, strings, succeeds};

const STATUS: &str = "AdminContract:GetSystemStatus";
const BOOTSTRAP: &str = "AdminContract:BootstrapSystem";

#[tokio::test]
async fn a_transaction_travels_from_proposal_to_block() {
    let world = World::start().await;
    let ledger = world.ledger();
    let start = genesis(&ledger).await;
    let mut follower = ledger.follow(start);

    let args = strings(&[&fresh_id().to_string()]);
    let (endorsed, status) =
        world.transact(&ledger, SignerRole::SuperAdmin, BOOTSTRAP, &args).await;
    assert_eq!(endorsed.response_status, 200);
    assert_eq!((status.code, status.block), (ValidationCode::VALID, 1));

    let block = next_within_bound(&mut follower).await;
    assert_eq!((block.number, block.previous_hash.as_slice()), (1, start.hash.as_slice()));
    let [transaction] = block.transactions.as_slice() else { panic!("one transaction") };
    assert_eq!(transaction.tx_id, endorsed.tx_id);
    assert_eq!(
        (transaction.kind, transaction.code),
        (TransactionKind::Endorser, ValidationCode::VALID)
    );
    let event = transaction.event.as_ref().unwrap();
    assert_eq!((event.chaincode_id.as_str(), event.name.as_str()), ("gxtv3", BatchEvent::NAME));
    assert_eq!(event.tx_id, endorsed.tx_id);
    assert_eq!(ledger.block(1).await.unwrap().id(), block.id());
    assert!(block.commit_hash.is_some());
    let hashes = ledger.compare_commit_hashes(1).await;
    assert_eq!(hashes.answers[0].hash.as_ref().unwrap(), &block.commit_hash);
    assert!(hashes.differing().is_empty());

    let heights = ledger.heights().await;
    assert_eq!(*heights[0].height.as_ref().unwrap(), 2);
}

/// FAB-07: a transaction whose submission succeeded may still be invalid; its code shows it, and
/// only VALID is a success. After a read conflict, proposing again succeeds.
#[tokio::test]
async fn fab_07_a_read_conflict_and_a_policy_failure_are_seen_by_their_codes() {
    let world = World::start().await;
    let ledger = world.ledger();
    let people = bootstrapped_with_two_people(&world, &ledger).await;
    let signer = world.identity(SignerRole::Admin);
    let call = || batch(&[transfer(&people[0], &people[1], 1_000_000)]);

    let first = ledger.endorse(&signer, EXECUTE, &call()).await.unwrap();
    let second = ledger.endorse(&signer, EXECUTE, &call()).await.unwrap();
    for endorsed in [&first, &second] {
        ledger.submit(&endorsed.tx_id, &endorsed.envelope).await.unwrap();
    }
    let won = ledger.commit_status(&signer, &first.tx_id).await.unwrap();
    let lost = ledger.commit_status(&signer, &second.tx_id).await.unwrap();
    assert_eq!(won.code, ValidationCode::VALID);
    assert_eq!(lost.code, ValidationCode::MVCC_READ_CONFLICT);
    assert!(lost.code.is_conflict());
    assert!(!lost.code.is_valid());
    let block = ledger.block(lost.block).await.unwrap();
    let invalid = block.transactions.iter().find(|t| t.tx_id == second.tx_id).unwrap();
    assert_eq!(invalid.code, ValidationCode::MVCC_READ_CONFLICT);
    assert!(invalid.event.is_some(), "it stays in its block, with its event");

    let (_, anew) = world.transact(&ledger, SignerRole::Admin, EXECUTE, &call()).await;
    assert_eq!(anew.code, ValidationCode::VALID);

    world.devnet().faults().force_validation_code(1, TxValidationCode::EndorsementPolicyFailure);
    let (_, refused) = world.transact(&ledger, SignerRole::Admin, EXECUTE, &call()).await;
    assert_eq!(refused.code, ValidationCode::ENDORSEMENT_POLICY_FAILURE);
    assert_eq!(refused.code.to_string(), "ENDORSEMENT_POLICY_FAILURE");
    assert!(!refused.code.is_valid());
    assert!(!refused.code.is_conflict());
}

#[tokio::test]
async fn identical_bytes_take_effect_once_however_often_they_are_submitted() {
    let world = World::start().await;
    let ledger = world.ledger();
    let mut follower = ledger.follow(genesis(&ledger).await);
    let signer = world.identity(SignerRole::SuperAdmin);
    let endorsed =
        ledger.endorse(&signer, BOOTSTRAP, &strings(&[&fresh_id().to_string()])).await.unwrap();

    world.devnet().faults().drop_submit_replies(1);
    let lost = ledger.submit(&endorsed.tx_id, &endorsed.envelope).await.unwrap_err();
    assert_eq!((lost.phase, lost.class), (Phase::Submit, OutcomeClass::Unknown), "{lost}");
    for _ in 0..2 {
        ledger.submit(&endorsed.tx_id, &endorsed.envelope).await.unwrap();
    }
    let status = ledger.commit_status(&signer, &endorsed.tx_id).await.unwrap();
    assert_eq!(status.code, ValidationCode::VALID);

    let mut codes = Vec::new();
    while codes.len() < 3 {
        let block = next_within_bound(&mut follower).await;
        codes.extend(block.transactions.iter().map(|t| (t.tx_id.clone(), t.code)));
    }
    assert!(codes.iter().all(|(tx_id, _)| *tx_id == endorsed.tx_id));
    let codes: Vec<_> = codes.into_iter().map(|(_, code)| code).collect();
    let duplicate = ValidationCode::DUPLICATE_TXID;
    assert_eq!(codes, [ValidationCode::VALID, duplicate, duplicate]);
}

#[tokio::test]
async fn a_submission_without_an_answer_ends_unknown_at_its_deadline() {
    let world = World::start().await;
    let mut settings = world.config();
    settings.limits.submit_timeout = std::time::Duration::from_millis(300);
    let ledger = world.ledger_with(settings);
    let signer = world.identity(SignerRole::SuperAdmin);
    let endorsed =
        ledger.endorse(&signer, BOOTSTRAP, &strings(&[&fresh_id().to_string()])).await.unwrap();
    world.devnet().faults().withhold_submit_replies(1);
    let error = ledger.submit(&endorsed.tx_id, &endorsed.envelope).await.unwrap_err();
    assert_eq!((error.phase, error.class), (Phase::Submit, OutcomeClass::Unknown), "{error}");
    let status = ledger.commit_status(&signer, &endorsed.tx_id).await.unwrap();
    assert_eq!(status.code, ValidationCode::VALID, "it had been ordered all the same");
}

#[tokio::test]
async fn a_refusal_of_the_contract_is_refused_and_leaves_the_breaker_closed() {
    let world = World::start().await;
    let ledger = world.ledger();
    let signer = world.identity(SignerRole::Admin);
    for _ in 0..ledger.limits().breaker_failures + 1 {
        let args = strings(&[&fresh_id().to_string()]);
        let error = ledger.endorse(&signer, BOOTSTRAP, &args).await.unwrap_err();
        assert_eq!((error.phase, error.class), (Phase::Endorse, OutcomeClass::Refused), "{error}");
        assert!(error.chaincode_status().is_some_and(|status| status >= 400), "{error}");
        assert!(!error.details.is_empty() && !error.details[0].msp_id.is_empty(), "{error}");
    }
    assert_eq!(ledger.peers()[0].breaker, Breaker::Closed);
    ledger.evaluate(STATUS, &[]).await.unwrap();
}

/// A ledger that is away opens the circuit breaker, for evaluations and submissions. An open
/// breaker answers at once. It closes when the ledger is back.
#[tokio::test]
async fn an_unavailable_ledger_opens_the_breaker_and_closes_it_on_its_return() {
    let world = World::start().await;
    let mut settings = world.config();
    // The breaker stays open longer than the test needs to see it.
    settings.limits.breaker_open = std::time::Duration::from_secs(5);
    let ledger = world.ledger_with(settings);
    let signer = world.identity(SignerRole::SuperAdmin);
    let endorsed =
        ledger.endorse(&signer, BOOTSTRAP, &strings(&[&fresh_id().to_string()])).await.unwrap();

    let faults = world.devnet().faults();
    faults.orderer_down(true);
    for _ in 0..ledger.limits().breaker_failures {
        let error = ledger.submit(&endorsed.tx_id, &endorsed.envelope).await.unwrap_err();
        assert_eq!(error.class, OutcomeClass::Unavailable, "{error}");
    }
    let kept_away = ledger.evaluate(STATUS, &[]).await.unwrap_err();
    assert_eq!((kept_away.phase, kept_away.class), (Phase::Connect, OutcomeClass::Unavailable));
    assert!(kept_away.message.contains("circuit breaker"), "{kept_away}");
    assert!(kept_away.message.contains("no orderers"), "it names the cause: {kept_away}");

    faults.orderer_down(false);
    let submit = async || ledger.submit(&endorsed.tx_id, &endorsed.envelope).await;
    succeeds("the breaker closes by itself", submit).await;
    assert_eq!(ledger.peers()[0].breaker, Breaker::Closed);

    faults.too_many_requests(true);
    for _ in 0..ledger.limits().breaker_failures {
        let error = ledger.evaluate(STATUS, &[]).await.unwrap_err();
        assert_eq!((error.code, error.class), (GrpcCode::Unknown, OutcomeClass::Unavailable));
    }
    assert_eq!(ledger.peers()[0].breaker, Breaker::Open);
}

#[tokio::test]
async fn errors_that_need_an_operator_are_misconfigured_and_have_a_hint() {
    let world = World::start().await;
    let check = |error: LedgerError, words: &str| {
        assert_eq!(error.class, OutcomeClass::Misconfigured, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.hint().is_some(), "{error}");
    };
    let admin = world.devnet().identity(SignerRole::Admin);
    let mut settings = world.config();
    settings.chaincode = "nosuch".to_owned();
    let other = world.ledger_with(settings);
    check(other.evaluate(STATUS, &[]).await.unwrap_err(), "nosuch");
    let signer = world.identity(SignerRole::Admin);
    check(other.endorse(&signer, STATUS, &[]).await.unwrap_err(), "No metadata was found");

    let mut settings = world.config();
    settings.channel = "nochannel".to_owned();
    let other = world.ledger_with(settings);
    check(other.evaluate(STATUS, &[]).await.unwrap_err(), "nochannel");

    let stranger =
        Identity::from_pem("Org9MSP", &admin.certificate_pem, &admin.private_key_pem).unwrap();
    let ledger = world.ledger();
    check(ledger.endorse(&stranger, STATUS, &[]).await.unwrap_err(), "creator org unknown");

    let expired = IdentityRequest {
        common_name: "old".to_owned(),
        unit: "client".to_owned(),
        gxc_role: Some("gx_admin".to_owned()),
        not_after: OffsetDateTime::UNIX_EPOCH + Duration::days(20_000),
    };
    let expired = world.devnet().issue_identity(&expired).unwrap();
    let expired =
        Identity::from_pem(&expired.msp_id, &expired.certificate_pem, &expired.private_key_pem)
            .unwrap();
    check(ledger.endorse(&expired, STATUS, &[]).await.unwrap_err(), "identity expired");
}

#[test]
fn a_configuration_that_cannot_work_is_refused_before_any_connection() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let world = World::start().await;
        let reader = world.identity(SignerRole::Admin);
        let attempt = |change: &dyn Fn(&mut gx_fabric_client::LedgerConfig)| {
            let mut settings = world.config();
            change(&mut settings);
            let rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(1);
            let clock = gx_model::Clock::system();
            gx_fabric_client::Ledger::new(settings, reader.clone(), clock, rng).unwrap_err()
        };
        assert!(matches!(attempt(&|c| c.peers.clear()), ConfigError::NoPeers));
        assert!(matches!(attempt(&|c| c.channel.clear()), ConfigError::Unnamed("channel")));
        assert!(matches!(
            attempt(&|c| c.peers[0].msp_id = "Org9MSP".to_owned()),
            ConfigError::NoOwnPeer { .. }
        ));
        assert!(matches!(
            attempt(&|c| c.peers[0].endpoint = "localhost".to_owned()),
            ConfigError::Endpoint { .. }
        ));
        assert!(matches!(
            attempt(&|c| c.peers[0].tls_root_pem.clear()),
            ConfigError::TlsRoot { .. }
        ));
        assert!(matches!(
            attempt(&|c| {
                c.development = false;
                c.peers[0].endpoint = "192.0.2.1:7051".to_owned();
            }),
            ConfigError::LiteralAddress { .. }
        ));
        assert!(matches!(
            attempt(&|c| c.limits.read_ahead_blocks = 0),
            ConfigError::ZeroLimit("read_ahead_blocks")
        ));
    });
}
