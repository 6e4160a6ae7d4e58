//! The control endpoint: programs on this machine control the ledger over HTTP.

use std::net::SocketAddr;

use gx_fabric_proto::block_data_hash;
use gx_fabric_proto::common::Block;
use gx_fabric_proto::protos::TxValidationCode;
use gx_model::{CommandId, SignerRole};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tonic::Code;

use super::client::{Client, said};
use super::{Ledger, bounded};
use crate::{BlockCutting, Devnet, DevnetError, DevnetOptions};

const QUERY: &str = "AdminContract:GetSystemStatus";

/// A ledger with a control endpoint, and a client of the endpoint.
struct Steered {
    ledger: Ledger,
    control: SocketAddr,
}

impl Steered {
    async fn start(cutting: BlockCutting) -> Self {
        let ledger = Ledger::with(|options| DevnetOptions {
            cutting,
            control: Some("127.0.0.1:0".parse().unwrap()),
            ..options
        })
        .await;
        let control = ledger.devnet.control_endpoint().unwrap();
        Self { ledger, control }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> (StatusCode, Bytes) {
        let socket = tokio::net::TcpStream::connect(self.control).await.unwrap();
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(socket));
        let (mut sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        let response = bounded("the control endpoint", sender.send_request(request)).await.unwrap();
        let status = response.status();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request =
            Request::builder().method(method).uri(path).header("host", self.control.to_string());
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let (status, body) = self.send(request.body(Full::from(body)).unwrap()).await;
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn post(&self, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(Method::POST, path, body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    async fn fault(&self, fault: Value) {
        self.post("/faults", Some(fault)).await;
    }

    async fn height(&self) -> u64 {
        self.call(Method::GET, "/", None).await.1["height"].as_u64().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_cut_by_hand_and_held() {
    let steered = Steered::start(BlockCutting::Manual).await;
    let admin = steered.ledger.admin();
    assert_eq!(steered.post("/blocks", None).await, json!({ "height": 1 }));
    let transaction = admin.endorse(QUERY, &[]).await.unwrap();
    admin.submit(&transaction).await.unwrap();
    assert_eq!(steered.height().await, 1);
    assert_eq!(steered.post("/blocks", None).await, json!({ "height": 2 }));
    assert_eq!(admin.commit_status(&transaction.tx_id).await.unwrap().block_number, 1);

    let steered = Steered::start(BlockCutting::Immediate).await;
    let admin = steered.ledger.admin();
    steered.fault(json!({ "fault": "hold-commits" })).await;
    let transaction = admin.endorse(QUERY, &[]).await.unwrap();
    admin.submit(&transaction).await.unwrap();
    let (_, status) = steered.call(Method::GET, "/", None).await;
    assert_eq!((&status["height"], &status["commits_held"]), (&json!(1), &json!(true)));
    steered.fault(json!({ "fault": "release-commits" })).await;
    assert_eq!(admin.commit_status(&transaction.tx_id).await.unwrap().block_number, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_are_dropped_endorsements_fail_and_codes_are_forced() {
    let steered = Steered::start(BlockCutting::Immediate).await;
    let admin = steered.ledger.admin();
    let dropped = admin.endorse(QUERY, &[]).await.unwrap();
    steered.fault(json!({ "fault": "drop-submit-replies" })).await;
    assert_eq!(admin.submit(&dropped).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(admin.commit_status(&dropped.tx_id).await.unwrap().block_number, 1);

    let failure = json!({ "fault": "fail-endorsements", "status": 500, "message": "so" });
    steered.fault(failure).await;
    let (code, _, detail) = said(&admin.endorse(QUERY, &[]).await.unwrap_err());
    assert_eq!((code, detail.unwrap().as_str()), (Code::Aborted, "chaincode response 500, so"));

    let forced = json!({ "fault": "force-validation-code", "code": "MVCC_READ_CONFLICT" });
    steered.fault(forced).await;
    let committed = admin.invoke(QUERY, &[]).await.unwrap();
    assert_eq!(committed.code, TxValidationCode::MvccReadConflict);

    for wrong in [
        json!({ "fault": "force-validation-code", "code": "GOOD" }),
        json!({ "fault": "drop-submit-replies", "count": 1_000_000 }),
        json!({ "fault": "no-such" }),
        json!({ "fault": "hold-commits", "unknown": 1 }),
    ] {
        let (status, _) = steered.call(Method::POST, "/faults", Some(wrong.clone())).await;
        assert!(status.is_client_error(), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_fails_and_comes_back() {
    let steered = Steered::start(BlockCutting::Immediate).await;
    let admin = steered.ledger.admin();
    let transaction = admin.endorse(QUERY, &[]).await.unwrap();
    steered.fault(json!({ "fault": "down", "node": "OrdererMSP", "on": true })).await;
    assert_eq!(admin.submit(&transaction).await.unwrap_err().code(), Code::Unavailable);
    steered.fault(json!({ "fault": "down", "node": "OrdererMSP", "on": false })).await;
    admin.submit(&transaction).await.unwrap();

    steered.fault(json!({ "fault": "down", "node": "Org2MSP", "on": true })).await;
    assert_eq!(admin.endorse(QUERY, &[]).await.unwrap_err().code(), Code::Aborted);
    steered.fault(json!({ "fault": "down", "node": "Org2MSP", "on": false })).await;
    admin.endorse(QUERY, &[]).await.unwrap();
    let nobody = json!({ "fault": "down", "node": "Org3MSP", "on": true });
    let (status, _) = steered.call(Method::POST, "/faults", Some(nobody)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

/// A peer's stream has forged blocks from a number on, and the committed ones after the fault ends.
#[tokio::test(flavor = "multi_thread")]
async fn one_peer_sends_forged_blocks() {
    let steered = Steered::start(BlockCutting::Immediate).await;
    let admin = steered.ledger.admin();
    admin.invoke(QUERY, &[]).await.unwrap();
    let whole = [admin.block(0).await, admin.block(1).await];
    let forge = |forgery: &str, on: bool| {
        json!({
            "fault": "forge-blocks", "node": "Org1MSP", "from": 1, "forgery": forgery, "on": on
        })
    };
    steered.fault(forge("previous-hash", true)).await;
    let forged = admin.block(1).await;
    assert_ne!(forged.header.as_ref().unwrap().previous_hash, previous_hash(&whole[1]));
    assert_eq!((admin.block(0).await, &forged.data), (whole[0].clone(), &whole[1].data));
    steered.fault(forge("data-hash", true)).await;
    let forged = admin.block(1).await;
    assert_eq!(forged.header, whole[1].header);
    assert_ne!(block_data_hash(&forged.data.unwrap()).to_vec(), forged.header.unwrap().data_hash);
    steered.fault(forge("data-hash", false)).await;
    assert_eq!(admin.block(1).await, whole[1]);
}

fn previous_hash(block: &Block) -> Vec<u8> {
    block.header.as_ref().unwrap().previous_hash.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_clock_is_moved_a_client_with_the_right_time_is_refused() {
    let steered = Steered::start(BlockCutting::Immediate).await;
    let behind = gx_model::Clock::manual(steered.ledger.clock.now());
    let devnet = &steered.ledger.devnet;
    let client = Client::new(devnet, &devnet.identity(SignerRole::Admin), &behind);
    client.evaluate(QUERY, &[]).await.unwrap();
    let answer = steered.post("/clock", Some(json!({ "advance_seconds": 1_200 }))).await;
    assert_eq!(answer, json!({ "time": "2026-01-01T12:20:00Z" }));
    let (code, _, detail) = said(&client.evaluate(QUERY, &[]).await.unwrap_err());
    assert_eq!(code, Code::Unavailable);
    assert!(detail.unwrap().contains("incorrect timestamp 2026-01-01T12:00:00Z"));

    let century = json!({ "advance_seconds": 100 * 365 * 24 * 3_600_u64 });
    for status in [StatusCode::OK, StatusCode::OK, StatusCode::BAD_REQUEST] {
        assert_eq!(steered.call(Method::POST, "/clock", Some(century.clone())).await.0, status);
    }
    let never = json!({ "advance_seconds": u64::MAX });
    let refused = steered.call(Method::POST, "/clock", Some(never)).await.0;
    assert_eq!(refused, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_and_dumps_are_taken_over_http() {
    let steered = Steered::start(BlockCutting::Immediate).await;
    let admin = steered.ledger.admin();
    let snapshot = steered.post("/snapshots", None).await;
    let id = CommandId::derive(&["control"]).to_string();
    admin.invoke("AdminContract:BootstrapSystem", &[&id]).await.unwrap();

    let get = Request::get("/dump").header("host", "localhost").body(Full::default()).unwrap();
    let (status, dump) = steered.send(get).await;
    assert_eq!(status, StatusCode::OK);
    let file = steered.ledger.folder().join("over-http.dump");
    std::fs::write(&file, &dump).unwrap();
    let target = tempfile::tempdir().unwrap();
    assert_eq!(crate::load(&file, target.path()).unwrap().height, 2);

    let (_, all) = steered.call(Method::GET, "/snapshots", None).await;
    assert_eq!(all, json!([snapshot]));
    let path = format!("/snapshots/{}", snapshot["id"]);
    assert_eq!(steered.post(&format!("{path}/revert"), None).await, snapshot);
    assert_eq!(steered.height().await, 1);
    assert_eq!(steered.call(Method::DELETE, &path, None).await.0, StatusCode::OK);
    let (status, _) = steered.call(Method::POST, &format!("{path}/revert"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_programs_on_this_machine_are_answered() {
    let steered = Steered::start(BlockCutting::Immediate).await;
    let foreign = [
        ("origin", "http://localhost:3000"),
        ("sec-fetch-site", "same-site"),
        ("host", "devnet.example:80"),
    ];
    for (name, value) in foreign {
        let mut request = Request::post("/blocks");
        if name != "host" {
            request = request.header("host", "localhost");
        }
        let request = request.header(name, value).body(Full::default()).unwrap();
        assert_eq!(steered.send(request).await.0, StatusCode::FORBIDDEN, "{name}");
    }
    let folder = tempfile::tempdir().unwrap();
    let options = DevnetOptions {
        control: Some("0.0.0.0:0".parse().unwrap()),
        ..DevnetOptions::new(folder.path(), gx_model::Clock::system(), gx_contract::Contracts)
    };
    let refused = Devnet::start(options).await.err().unwrap();
    assert!(matches!(refused, DevnetError::ControlNotLocal { .. }), "{refused}");
}
