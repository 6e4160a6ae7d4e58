//! Refusals, with the messages of a real peer.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gx_fabric_proto::msp::SerializedIdentity;
use gx_fabric_proto::orderer::seek_info::SeekBehavior;
use gx_fabric_proto::protos::deliver_response::Type as Answer;
use gx_model::SignerRole;
use prost::Message as _;
use tonic::{Code, Status};

use super::client::{Client, next, number, said, timestamp};
use super::{Ledger, bounded};
use crate::{IdentityRequest, PemIdentity};

const QUERY: &str = "AdminContract:GetSystemStatus";
const ENDORSE_FAILED: &str = "failed to endorse transaction, see attached details for more info";
const EVALUATE_FAILED: &str = "failed to evaluate transaction, see attached details for more info";
const MALFORMED: &str = "error validating proposal: access denied: channel [gxchannel] creator org \
                         unknown, creator is malformed";
const DENIED: &str =
    "error validating proposal: access denied: channel [gxchannel] creator org [Org1MSP]";

/// Checks that Evaluate, Endorse, CommitStatus, ChaincodeEvents and Deliver refuse this identity.
async fn refused_everywhere(client: &Client, reason: &str) {
    let refused = client.evaluate(QUERY, &[]).await.unwrap_err();
    let message = format!("evaluate call to endorser returned error: {reason}");
    assert_eq!(said(&refused), (Code::FailedPrecondition, message, Some(reason.to_owned())));
    let refused = client.endorse(QUERY, &[]).await.err().unwrap();
    let message = ENDORSE_FAILED.to_owned();
    assert_eq!(said(&refused), (Code::Aborted, message, Some(reason.to_owned())));
    refused_as_reader(client).await;
}

async fn refused_as_reader(client: &Client) {
    let policy = "Failed evaluating policy on signed data during check policy on channel \
                  [gxchannel] with policy [/Channel/Application/Readers]: [implicit policy \
                  evaluation failed - 0 sub-policies were satisfied, but this policy requires 1 \
                  of the 'Readers' sub-policies to be satisfied]";
    let check = |refused: Status| {
        assert_eq!((refused.code(), refused.message()), (Code::PermissionDenied, policy));
    };
    check(client.commit_status("00").await.unwrap_err());
    check(client.events(None, "").await.err().unwrap());
    let mut blocks =
        client.deliver(number(0), number(0), SeekBehavior::BlockUntilReady).await.unwrap();
    assert_eq!(next(&mut blocks).await, Answer::Status(403));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_of_another_authority_is_refused() {
    let ledger = Ledger::start().await;
    let other = Ledger::start().await;
    let stranger = other.devnet.identity(SignerRole::SuperAdmin);
    let client = Client::new(&ledger.devnet, &stranger, &ledger.clock);
    refused_everywhere(&client, MALFORMED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_claimed_for_another_organisation_is_refused() {
    let ledger = Ledger::start().await;
    for msp_id in ["OrdererMSP", "Org9MSP"] {
        let identity = PemIdentity {
            msp_id: msp_id.to_owned(),
            ..ledger.devnet.identity(SignerRole::SuperAdmin)
        };
        let client = Client::new(&ledger.devnet, &identity, &ledger.clock);
        refused_everywhere(&client, MALFORMED).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_the_certificates_is_refused() {
    let ledger = Ledger::start().await;
    let identity = PemIdentity {
        private_key_pem: ledger.devnet.identity(SignerRole::Admin).private_key_pem,
        ..ledger.devnet.identity(SignerRole::SuperAdmin)
    };
    let client = Client::new(&ledger.devnet, &identity, &ledger.clock);
    refused_everywhere(&client, DENIED).await;
}

/// FAB-15: a peer uses the first block of a client's certificate text and writes the rest to the
/// ledger, too. The devnet does the same, so the client must send nothing else. Bytes after the
/// certificate inside its block are refused, as by a peer.
#[tokio::test(flavor = "multi_thread")]
async fn fab_15_the_client_must_send_nothing_after_a_certificate() {
    let ledger = Ledger::start().await;
    let pem = ledger.devnet.identity(SignerRole::Admin);
    let claiming = |id_bytes: String| {
        let claim =
            SerializedIdentity { mspid: pem.msp_id.clone(), id_bytes: id_bytes.into_bytes() };
        Client::new(&ledger.devnet, &pem, &ledger.clock).with_creator(claim.encode_to_vec())
    };
    let more = claiming(format!("{}{}", pem.certificate_pem, pem.private_key_pem));
    more.evaluate(QUERY, &[]).await.unwrap();
    let key_first = claiming(format!("{}{}", pem.private_key_pem, pem.certificate_pem));
    refused_everywhere(&key_first, MALFORMED).await;
    let certificate = gx_fabric_proto::certificates_in(&pem.certificate_pem).unwrap().remove(0);
    let mut wider = certificate.der().to_vec();
    wider.extend(b"a key");
    let wider = pem_of(&wider);
    refused_everywhere(&claiming(wider), MALFORMED).await;
}

fn pem_of(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tampered_proposal_is_refused() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let mut draft = admin.draft(QUERY, &[]);
    let signed = draft.signed(|bytes| admin.sign(bytes));
    draft.channel_header.version = 7;
    let tampered = draft.signed(|_| signed.signature.clone());
    let refused = admin.evaluate_proposal(tampered).await.unwrap_err();
    assert_eq!(said(&refused).2.unwrap(), DENIED);
    admin.evaluate_proposal(signed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_with_a_high_s_is_refused() {
    let ledger = Ledger::start().await;
    let identity = ledger.devnet.identity(SignerRole::SuperAdmin);
    let key = rcgen::KeyPair::from_pem(&identity.private_key_pem).unwrap().serialize_der();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key).unwrap();
    let high_s = |bytes: &[u8]| {
        let random = aws_lc_rs::rand::SystemRandom::new();
        crate::msp::high_s_der(key.sign(&random, bytes).unwrap().as_ref().try_into().unwrap())
    };
    let admin = ledger.admin();
    let proposal = admin.draft(QUERY, &[]).signed(high_s);
    let refused = admin.evaluate_proposal(proposal).await.unwrap_err();
    assert_eq!(said(&refused).2.unwrap(), DENIED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_refused_as_unavailable() {
    let ledger = Ledger::start().await;
    let request = IdentityRequest {
        common_name: "brief".to_owned(),
        unit: "client".to_owned(),
        gxc_role: None,
        not_after: ledger.clock.now() + Duration::from_hours(1),
    };
    let identity = ledger.devnet.issue_identity(&request).unwrap();
    let client = Client::new(&ledger.devnet, &identity, &ledger.clock);
    client.evaluate(QUERY, &[]).await.unwrap();
    ledger.clock.advance(Duration::from_hours(2));
    let expired = Some("proposal client identity expired".to_owned());
    let refused = client.evaluate(QUERY, &[]).await.unwrap_err();
    let message = EVALUATE_FAILED.to_owned();
    assert_eq!(said(&refused), (Code::Unavailable, message, expired.clone()));
    let refused = client.endorse(QUERY, &[]).await.err().unwrap();
    assert_eq!(said(&refused), (Code::Aborted, ENDORSE_FAILED.to_owned(), expired));
    refused_as_reader(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peers_certificate_may_read_but_not_write() {
    let ledger = Ledger::start().await;
    let request = IdentityRequest {
        common_name: "peer9".to_owned(),
        unit: "peer".to_owned(),
        gxc_role: None,
        not_after: ledger.clock.now() + Duration::from_hours(1),
    };
    let identity = ledger.devnet.issue_identity(&request).unwrap();
    let client = Client::new(&ledger.devnet, &identity, &ledger.clock);
    let refused = client.evaluate(QUERY, &[]).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(said(&refused).2.unwrap().contains("[/Channel/Application/Writers]"));
    assert_eq!(client.chain().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_more_than_15_minutes_off_is_refused() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    for (minutes, admitted) in [(15, true), (16, false)] {
        let mut draft = admin.draft(QUERY, &[]);
        let time = ledger.clock.now() - Duration::from_mins(minutes);
        draft.channel_header.timestamp = Some(timestamp(time));
        let answer = admin.evaluate_proposal(draft.signed(|bytes| admin.sign(bytes))).await;
        assert_eq!(answer.is_ok(), admitted, "{minutes} minutes");
        let Err(refused) = answer else { continue };
        assert_eq!(refused.code(), Code::Unavailable);
        assert_eq!(
            said(&refused).2.unwrap(),
            "request unauthorized due to incorrect timestamp 2026-01-01T11:44:00Z, peer time \
             2026-01-01T12:00:00Z, peer.authentication.timewindow 15m0s"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_with_a_wrong_signature_is_forbidden_by_the_orderer() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let mut transaction = admin.endorse(QUERY, &[]).await.unwrap();
    transaction.envelope.signature = admin.sign(b"something else");
    let refused = admin.submit(&transaction).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    assert_eq!(
        refused.message(),
        "received unsuccessful response from orderer: status=FORBIDDEN, info=implicit policy \
         evaluation failed - 0 sub-policies were satisfied, but this policy requires 1 of the \
         'Writers' sub-policies to be satisfied: permission denied"
    );
    transaction.envelope.signature.clear();
    let refused = admin.submit(&transaction).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_that_is_too_large_or_for_another_channel_is_refused_by_the_orderer() {
    let ledger = Ledger::start().await;
    let mut admin = ledger.admin();
    let mut transaction = admin.endorse(QUERY, &[]).await.unwrap();
    transaction.envelope.payload = vec![0; 10 * 1024 * 1024];
    let refused = admin.submit(&transaction).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    let words = "received unsuccessful response from orderer: status=BAD_REQUEST, info=message \
                 payload is";
    assert!(refused.message().starts_with(words), "{refused}");
    admin.channel = "nochannel".to_owned();
    let refused = admin.submit(&transaction).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_chaincodes_and_channels_are_named() {
    let ledger = Ledger::start().await;
    let mut client = ledger.admin();
    client.chaincode = "nosuch".to_owned();
    let refused = client.evaluate(QUERY, &[]).await.unwrap_err();
    let words = "no peers available to evaluate chaincode nosuch in channel gxchannel";
    assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, words));
    let refused = client.endorse(QUERY, &[]).await.err().unwrap();
    let words = "no combination of peers can be derived which satisfy the endorsement policy: No \
                 metadata was found for chaincode nosuch in channel gxchannel";
    assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, words));

    client.channel = "nochannel".to_owned();
    let refused = client.evaluate(QUERY, &[]).await.unwrap_err();
    let words = "failed to get config for channel [nochannel]: could not get last config for \
                 channel nochannel";
    assert_eq!((refused.code(), refused.message()), (Code::Unavailable, words));
    let refused = client.endorse(QUERY, &[]).await.err().unwrap();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let words = "Failed to get policy manager for channel [nochannel]";
    let refused = client.commit_status("00").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::PermissionDenied, words));
    let refused = client.events(None, "").await.err().unwrap();
    assert_eq!((refused.code(), refused.message()), (Code::PermissionDenied, words));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_request_is_an_invalid_argument() {
    let ledger = Ledger::start().await;
    let request = gx_fabric_proto::gateway::EvaluateRequest::default();
    let mut gateway = ledger.admin().gateway();
    let refused = bounded("evaluate", gateway.evaluate(request)).await.unwrap_err();
    let words = "failed to unpack transaction proposal: a signed proposal is required";
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, words));
    let request = gx_fabric_proto::gateway::EndorseRequest::default();
    let refused = bounded("endorse", gateway.endorse(request)).await.unwrap_err();
    let words = "the proposed transaction must contain a signed proposal";
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, words));
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_methods_and_services_are_named() {
    let ledger = Ledger::start().await;
    for (path, words) in [
        ("/gateway.Gateway/Nosuch", "unknown method Nosuch for service gateway.Gateway"),
        ("/orderer.AtomicBroadcast/Broadcast", "unknown service orderer.AtomicBroadcast"),
    ] {
        let refused = ledger.admin().call(path).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::Unimplemented, words));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_transaction_id_is_refused() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let mut draft = admin.draft(QUERY, &[]);
    draft.channel_header.tx_id = "00".repeat(32);
    let refused = admin.evaluate_proposal(draft.signed(|bytes| admin.sign(bytes))).await;
    let (code, _, detail) = said(&refused.unwrap_err());
    assert_eq!(code, Code::FailedPrecondition);
    assert!(detail.unwrap().starts_with("error validating proposal: incorrectly computed txid"));
}
