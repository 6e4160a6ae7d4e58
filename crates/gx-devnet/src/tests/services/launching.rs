//! Services that start late, are slow, have ended, or are misconfigured.

use std::sync::Arc;
use std::time::Duration;

use gx_fabric_proto::protos::TxValidationCode;
use gx_model::Clock;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::task::JoinSet;
use tonic::Code;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use super::chaincode::Service;
use super::{PATIENCE, caller, detail, evaluated, ledger, ledger_with, request_refused};
use crate::tests::bounded;
use crate::tests::client::said;
use crate::{ChaincodeService, Collections, Devnet, DevnetOptions};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_may_start_late_stop_and_come_back() {
    let service = Service::start().await;
    let address = service.address.clone();
    service.stop().await;
    let ledger = ledger(vec![ChaincodeService::new("basic", &address)], PATIENCE).await;
    let client = caller(&ledger);
    let refused = client.endorse("get", &["key"]).await.unwrap_err();
    let (code, message, detail) = said(&refused);
    assert_eq!(code, Code::Aborted);
    assert_eq!(message, "failed to endorse transaction, see attached details for more info");
    let detail = detail.unwrap();
    let reason = format!(
        "could not launch chaincode basic: connection to basic failed: error cannot create \
         connection for basic: error creating grpc connection to {address}: failed to create new \
         connection: connection error: desc = \"transport: error while dialing: dial tcp \
         {address}: connect: connection refused\""
    );
    assert!(detail.starts_with("error in simulation: failed to execute transaction "), "{detail}");
    assert!(detail.ends_with(&reason), "{detail}");
    for value in ["one", "two"] {
        let service = Service::start_at(&address, None).await;
        client.invoke("put", &["key", value]).await.unwrap();
        assert_eq!(evaluated(&client, "get", &["key"]).await, value);
        service.stop().await;
        let gone = loop {
            let said = request_refused(&client, "get", &["key"]).await;
            // The peer may not have noticed the end of the old stream.
            if !said.ends_with("chaincode stream terminated") {
                break said;
            }
        };
        assert!(gone.contains("could not launch chaincode any:id:"), "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_ends_its_transactions_and_the_next_one_gets_a_new_stream() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    let terminated = "error in simulation: failed to execute transaction <txid>: error sending: \
                      chaincode stream terminated";
    for crash in ["crash", "nonsense"] {
        let (hanging, crashed) = tokio::join!(request_refused(&client, "hang", &[]), async {
            service.hangs().await;
            request_refused(&client, crash, &[]).await
        });
        assert_eq!(crashed, terminated);
        assert_eq!(hanging, terminated);
        assert_eq!(evaluated(&client, "get", &["key"]).await, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chaincode_that_takes_too_long_is_given_up_and_others_go_on() {
    let service = Service::start().await;
    let basic = ChaincodeService::new("basic", &service.address);
    let ledger = ledger(vec![basic], Duration::from_secs(1)).await;
    let client = caller(&ledger);
    let timeout = "error in simulation: failed to execute transaction <txid>: error sending: \
                   timeout expired while executing transaction";
    // On a busy machine the others may also time out; they are repeated.
    let working = async {
        loop {
            if let Ok(kind) = client.evaluate("kind", &[]).await {
                return kind;
            }
        }
    };
    let working = bounded("the others' answer", working);
    let (hanging, working) = tokio::join!(request_refused(&client, "hang", &[]), working);
    assert_eq!(hanging, timeout);
    assert_eq!(working, b"TRANSACTION");
    let dropped = request_refused(&client, "two at once", &[]).await;
    assert_eq!(dropped, timeout, "the second request was not served");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_transactions_share_the_stream() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = Arc::new(caller(&ledger));
    let mut calls = JoinSet::new();
    for n in 0..100 {
        let client = Arc::clone(&client);
        calls.spawn(async move {
            let value = n.to_string();
            let put = client.invoke("put", &[&value, &value]).await.unwrap();
            assert_eq!(put.code, TxValidationCode::Valid);
            assert_eq!(evaluated(&client, "get", &[&value]).await, value);
        });
    }
    calls.join_all().await;
    assert_eq!(evaluated(&client, "portions", &["", ""]).await, "100");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_under_way_does_not_keep_the_ledger_from_stopping() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    let hanging = tokio::spawn(async move { client.evaluate("hang", &[]).await });
    service.hangs().await;
    bounded("the ledger's end", ledger.devnet.stop()).await;
    assert!(hanging.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_dialled_with_tls_and_client_certificates() {
    let server = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let client = generate_simple_self_signed(["peer".to_owned()]).unwrap();
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(server.cert.pem(), server.signing_key.serialize_pem()))
        .client_ca_root(Certificate::from_pem(client.cert.pem()));
    let service = Service::start_at("127.0.0.1:0", Some(tls)).await;
    let port = service.address.rsplit_once(':').unwrap().1;
    let describe = |client: &CertifiedKey<rcgen::KeyPair>| {
        serde_json::json!({
            "address": format!("localhost:{port}"),
            "dial_timeout": "10s",
            "tls_required": true,
            "client_auth_required": true,
            "client_cert": client.cert.pem(),
            "client_key": client.signing_key.serialize_pem(),
            "root_cert": server.cert.pem(),
        })
        .to_string()
    };
    let basic = ChaincodeService::from_connection_json("basic", &describe(&client)).unwrap();
    let stranger = ChaincodeService::from_connection_json("stranger", &describe(&server)).unwrap();
    let ledger = ledger(vec![basic, stranger], PATIENCE).await;
    let mut client = caller(&ledger);
    assert_eq!(evaluated(&client, "kind", &[]).await, "TRANSACTION");
    client.chaincode = "stranger".to_owned();
    let refused = detail(&client.evaluate("kind", &[]).await.unwrap_err());
    assert!(refused.contains("could not launch chaincode stranger"), "{refused}");
}

#[test]
fn a_service_is_named_with_its_address() {
    let service: ChaincodeService = "basic=127.0.0.1:9999".parse().unwrap();
    assert_eq!(service, ChaincodeService::new("basic", "127.0.0.1:9999"));
    for wrong in ["basic", "=127.0.0.1:9999", "basic=", "basic=host", "basic=host:many", "basic=:1"]
    {
        assert!(wrong.parse::<ChaincodeService>().is_err(), "{wrong}");
    }
}

#[test]
fn a_wrong_connection_json_is_refused_with_the_reason() {
    let refused = |json| ChaincodeService::from_connection_json("basic", json).unwrap_err();
    assert!(refused("{}").contains("missing field `address`"));
    assert!(refused(r#"{"address":"host:1","dial_timeout":"soon"}"#).contains("dial_timeout"));
    let plain = r#"{"address":"host:1","dial_timeout":"250ms","tls_required":false}"#;
    let plain = ChaincodeService::from_connection_json("basic", plain).unwrap();
    assert_eq!((plain.tls, plain.dial_timeout), (None, Duration::from_millis(250)));
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_chaincodes_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let refused = async |names: &[&str], policy: &str| {
        let services = names.iter().map(|name| ChaincodeService::new(*name, "localhost:1"));
        let options = DevnetOptions {
            services: services.collect(),
            policies: [(policy.to_owned(), "'Org1MSP.peer'".parse().unwrap())].into(),
            ..DevnetOptions::new(folder.path(), Clock::system(), gx_contract::Contracts)
        };
        match Devnet::start(options).await {
            Ok(_) => panic!("the ledger has started"),
            Err(error) => error.to_string(),
        }
    };
    for system in ["qscc", "_lifecycle"] {
        let text = refused(&[system], "gxtv3").await;
        assert!(text.contains(&format!("{system} is the name of a system chaincode")), "{text}");
    }
    for wrong in ["", "a/b", "-a", "a__b"] {
        assert!(
            refused(&[wrong], "gxtv3").await.contains("is not a valid chaincode name"),
            "{wrong}"
        );
    }
    assert!(refused(&["basic", "basic"], "basic").await.contains("basic is given twice"));
    let stray = refused(&["basic"], "basics").await;
    assert!(stray.ends_with("but no such chaincode; name one of basic, gxtv3"), "{stray}");

    let options = DevnetOptions {
        chaincode: "lscc".to_owned(),
        ..DevnetOptions::new(folder.path(), Clock::system(), gx_contract::Contracts)
    };
    let own = Devnet::start(options).await.err().unwrap().to_string();
    assert!(own.contains("lscc is the name of a system chaincode"), "{own}");

    let options = DevnetOptions {
        collections: [("gxtv3".to_owned(), Collections::default())].into(),
        ..DevnetOptions::new(folder.path(), Clock::system(), gx_contract::Contracts)
    };
    let stray = Devnet::start(options).await.err().unwrap().to_string();
    assert!(stray.contains("there are collections for gxtv3, but no such service"), "{stray}");
}

/// A service that does not answer delays only its own callers.
#[test]
fn a_service_that_hangs_does_not_take_every_thread() {
    // Fewer threads than calls that hang, and more than the limit of calls of one service.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(200)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (hanging, working) = (Service::start().await, Service::start().await);
        let services = vec![
            ChaincodeService::new("basic", &hanging.address),
            ChaincodeService::new("other", &working.address),
        ];
        let ledger = ledger(services, PATIENCE).await;
        let client = Arc::new(caller(&ledger));
        let mut calls = JoinSet::new();
        for _ in 0..300 {
            let client = Arc::clone(&client);
            calls.spawn(async move { client.evaluate("hang", &[]).await.map(drop) });
        }
        hanging.hangs().await;
        let mut other = caller(&ledger);
        other.chaincode = "other".to_owned();
        let answer = bounded("the other service", evaluated(&other, "kind", &[])).await;
        assert_eq!(answer, "TRANSACTION");
    });
    runtime.shutdown_background();
}
