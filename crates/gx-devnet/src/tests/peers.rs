//! The behaviour of each peer if another one fails.

use std::net::Ipv4Addr;
use std::time::Duration;

use gx_fabric_proto::protos::TxValidationCode;
use tonic::{Code, Status};

use super::client::{Client, next_block, said};
use super::{Ledger, bounded};
use crate::{IdentityRequest, NodeFaults};

const QUERY: &str = "AdminContract:GetSystemStatus";
const TOO_FEW: &str =
    "failed to collect enough transaction endorsements, see attached details for more info";

fn peer(ledger: &Ledger, msp_id: &str) -> NodeFaults {
    ledger.devnet.faults().peer(msp_id).unwrap()
}

async fn refused(client: &Client) -> Status {
    client.endorse(QUERY, &[]).await.err().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_to_a_dead_peer_fail_until_it_is_counted_out() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let second = ledger.devnet.peers()[1].endpoint.clone();
    peer(&ledger, "Org2MSP").count_out();
    assert!(admin.endorse(QUERY, &[]).await.is_ok(), "a peer that is there is not counted out");
    peer(&ledger, "Org2MSP").down(true);
    let refused_at_once = refused(&admin).await;
    let words = format!(
        "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while \
         dialing: dial tcp {second}: connect: connection refused\""
    );
    assert_eq!(said(&refused_at_once), (Code::Aborted, TOO_FEW.to_owned(), Some(words)));
    assert!(admin.evaluate(QUERY, &[]).await.is_ok(), "the own peer suffices");
    peer(&ledger, "Org2MSP").count_out();
    let refused_later = refused(&admin).await;
    let words = "no combination of peers can be derived which satisfy the endorsement policy: no \
                 peer combination can satisfy the endorsement policy";
    assert_eq!((refused_later.code(), refused_later.message()), (Code::FailedPrecondition, words));
    peer(&ledger, "Org2MSP").down(false);
    assert_eq!(admin.invoke(QUERY, &[]).await.unwrap().code, TxValidationCode::Valid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_peer_delays_an_endorsement() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    peer(&ledger, "Org2MSP").black_hole(true);
    let waiting = admin.endorse(QUERY, &[]);
    let waited = tokio::time::timeout(Duration::from_millis(100), waiting).await;
    assert!(waited.is_err());
    peer(&ledger, "Org2MSP").black_hole(false);
    assert!(admin.endorse(QUERY, &[]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_a_black_hole_wait_and_are_answered_after_it() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let mut stream = admin.follow(0).await;
    next_block(&mut stream).await;
    peer(&ledger, "Org1MSP").black_hole(true);
    let call = admin.evaluate(QUERY, &[]);
    tokio::pin!(call);
    let waited = tokio::time::timeout(Duration::from_millis(100), &mut call).await;
    assert!(waited.is_err(), "no answer and no error");
    peer(&ledger, "Org1MSP").black_hole(false);
    assert!(bounded("the answer", call).await.is_ok());
    admin.invoke(QUERY, &[]).await.unwrap();
    next_block(&mut stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_one_peer_does_not_affect_the_other() {
    let ledger = Ledger::start().await;
    let (admin, second) = (ledger.admin(), ledger.second());
    peer(&ledger, "Org1MSP").too_many_requests(true);
    assert_eq!(admin.evaluate(QUERY, &[]).await.unwrap_err().code(), Code::Unknown);
    assert!(second.endorse(QUERY, &[]).await.is_ok());
    peer(&ledger, "Org1MSP").too_many_requests(false);
    peer(&ledger, "Org2MSP").unavailable(true);
    assert_eq!(second.evaluate(QUERY, &[]).await.unwrap_err().code(), Code::Unavailable);
    assert!(admin.evaluate(QUERY, &[]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn endorsements_that_differ_are_reported() {
    let ledger = Ledger::start().await;
    ledger.devnet.faults().mismatch_endorsements(1);
    let differing = refused(&ledger.admin()).await;
    let words = Some("ProposalResponsePayloads do not match".to_owned());
    assert_eq!(said(&differing), (Code::Aborted, TOO_FEW.to_owned(), words));
    assert!(ledger.admin().endorse(QUERY, &[]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens_at_a_dead_peer_until_it_comes_back() {
    let ledger = Ledger::start().await;
    let port = ledger.devnet.endpoint().rsplit_once(':').unwrap().1.parse().unwrap();
    let connect = || tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    peer(&ledger, "Org1MSP").down(true);
    bounded("the refusal", async {
        while connect().await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let refused = connect().await.err().unwrap();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    peer(&ledger, "Org1MSP").down(false);
    bounded("the return", async {
        while connect().await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(ledger.admin().evaluate(QUERY, &[]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_orderer_delays_a_submission_and_then_accepts_it() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let transaction = admin.endorse(QUERY, &[]).await.unwrap();
    ledger.devnet.faults().orderer().black_hole(true);
    let waiting = admin.submit(&transaction);
    tokio::pin!(waiting);
    let waited = tokio::time::timeout(Duration::from_millis(100), &mut waiting).await;
    assert!(waited.is_err());
    ledger.devnet.faults().orderer().black_hole(false);
    bounded("the answer", waiting).await.unwrap();
    admin.commit_status(&transaction.tx_id).await.unwrap();
}

/// If a filter of the first peer refuses a proposal, the next peer is asked; it refuses with its
/// own message.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_refused_by_both_peers() {
    let ledger = Ledger::start().await;
    let request = IdentityRequest {
        common_name: "brief".to_owned(),
        unit: "client".to_owned(),
        gxc_role: None,
        not_after: ledger.clock.now() + Duration::from_hours(1),
    };
    let identity = ledger.devnet.issue_identity(&request).unwrap();
    let client = Client::new(&ledger.devnet, &identity, &ledger.clock);
    ledger.clock.advance(Duration::from_hours(2));
    let refused = client.evaluate(QUERY, &[]).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let details: Vec<_> = super::client::details(&refused)
        .into_iter()
        .map(|detail| (detail.msp_id, detail.message))
        .collect();
    let said = |msp_id: &str, words: &str| (msp_id.to_owned(), words.to_owned());
    let expected = [
        said("Org1MSP", "proposal client identity expired"),
        said("Org2MSP", "rpc error: code = Unknown desc = proposal client identity expired"),
    ];
    assert_eq!(details, expected);
}
