//! Tests of chaincodes that run as services, from the side of their clients.

mod calls;
mod chaincode;
mod gx;
mod launching;
mod policies;
mod private;
mod private_script;
mod script;
mod state;

use std::time::Duration;

use tonic::Status;

use super::Ledger;
use super::client::{Client, said};
use crate::{ChaincodeService, DevnetOptions};
use chaincode::Service;

/// The time limit of a chaincode that works, which a busy machine keeps.
const PATIENCE: Duration = Duration::from_secs(120);

/// Returns a ledger on which one service is deployed as `basic`.
async fn ledger_with(service: &Service) -> Ledger {
    ledger(vec![ChaincodeService::new("basic", &service.address)], PATIENCE).await
}

async fn ledger(services: Vec<ChaincodeService>, execute_timeout: Duration) -> Ledger {
    Ledger::with(|options| DevnetOptions { services, execute_timeout, ..options }).await
}

/// Returns a client that calls `basic`.
fn caller(ledger: &Ledger) -> Client {
    let mut client = ledger.admin();
    client.chaincode = "basic".to_owned();
    client
}

async fn evaluated(client: &Client, function: &str, args: &[&str]) -> String {
    String::from_utf8(client.evaluate(function, args).await.unwrap()).unwrap()
}

/// Returns the peer's message in the details of an error.
fn detail(refused: &Status) -> String {
    said(refused).2.expect("the refusal has a detail")
}

/// Returns why an endorsement is refused. A single peer decides that; an evaluation would try
/// others.
async fn request_refused(client: &Client, function: &str, args: &[&str]) -> String {
    let draft = client.draft(function, args);
    let tx_id = draft.tx_id.clone();
    let signed = draft.signed(|bytes| client.sign(bytes));
    let refused = client.endorse_proposal(tx_id.clone(), signed).await.unwrap_err();
    detail(&refused).replace(&tx_id, "<txid>")
}
