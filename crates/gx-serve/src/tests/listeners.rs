//! Listeners over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};

use super::{BOUND, SlowRoute, a_service, a_service_with};
use crate::server::{Server, bind, tls_config};
use crate::{CancellationToken, HealthBoard};

async fn serve(
    slow_route: &SlowRoute,
    drain: Duration,
) -> (SocketAddr, CancellationToken, JoinHandle<bool>) {
    let listener = bind("svc-test", ([127, 0, 0, 1], 0).into()).await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let server = Server::new(listener, a_service_with(slow_route.clone()).public(false));
    (address, stop.clone(), tokio::spawn(server.with_drain_time(drain).run(stop)))
}

pub(super) async fn exchange(
    mut io: impl AsyncRead + AsyncWrite + Unpin,
    request: &[u8],
) -> String {
    let talk = async {
        io.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        io.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::time::timeout(BOUND, talk).await.unwrap()
}

const LIVEZ: &[u8] = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// An open request is finished when the process is told to stop. No new connections are accepted,
/// and idle connections do not delay the stop.
#[tokio::test]
async fn open_requests_are_finished_on_stop() {
    let slow_route = SlowRoute::default();
    let (address, stop, server) = serve(&slow_route, BOUND).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(idle.read(&mut [0; 1024]).await.unwrap() > 0);
    let stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";
    let slow = tokio::spawn(exchange(stream, request));
    slow_route.0.0.notified().await;
    stop.cancel();
    let closed = async { while TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(BOUND, closed).await.unwrap();
    assert!(!server.is_finished(), "the open request is waited for");
    slow_route.0.1.notify_one();
    let answer = slow.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"), "{answer}");
    assert!(tokio::time::timeout(BOUND, server).await.unwrap().unwrap(), "all was finished");
}

/// Requests that do not finish within the drain time are cut, and the server reports it.
#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_up_the_stop() {
    let slow_route = SlowRoute::default();
    let (address, stop, server) = serve(&slow_route, Duration::from_millis(100)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    slow_route.0.0.notified().await;
    stop.cancel();
    assert!(!tokio::time::timeout(BOUND, server).await.unwrap().unwrap());
}

/// A client that connects and sends nothing, or too little, does not keep its slot for ever; a
/// client that has sent a request is not cut by this limit.
#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let listener = bind("svc-test", ([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(listener, a_service().public(false));
    // Enough for the client that sends a request, and short for a test that waits for the others.
    let limit = Duration::from_secs(3);
    let server = server.with_times(|times| times.silence = limit);
    let _server = tokio::spawn(server.run(CancellationToken::new()));
    let asked = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut known = TcpStream::connect(address).await.unwrap();
    known.write_all(asked).await.unwrap();
    assert!(known.read(&mut [0; 1024]).await.unwrap() > 0);
    let mut silent = JoinSet::new();
    for said in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n", b"GET /livez HT"] {
        let stream = TcpStream::connect(address).await.unwrap();
        silent.spawn(exchange(stream, said));
    }
    for answer in silent.join_all().await {
        assert!(!answer.contains("200 OK"), "{answer}");
    }
    known.write_all(asked).await.unwrap();
    assert!(known.read(&mut [0; 1024]).await.unwrap() > 0);
}

/// The process is not ready first, then accepts no connections.
#[tokio::test]
async fn stopping_makes_unready_before_it_stops() {
    let board = HealthBoard::new("svc-test", super::clock());
    let token = CancellationToken::new();
    let notice = Duration::from_millis(200);
    let boards = [board.clone()];
    assert_eq!(board.report().await.status, crate::health::Readiness::Ready);
    // Joined futures are polled in order, so the stop has begun when the watcher looks.
    let stopping = crate::shutdown::stop(&boards, notice, &token);
    let watching = async {
        assert!(!token.is_cancelled());
        assert_eq!(board.report().await.status, crate::health::Readiness::NotReady);
    };
    tokio::join!(stopping, watching);
    assert!(token.is_cancelled());
}

/// SEC-API-07: a client that sends 11 MB reads the rejection, not a broken connection.
#[tokio::test]
async fn a_client_that_sends_too_much_reads_the_refusal() {
    let (address, stop, _server) = serve(&SlowRoute::default(), BOUND).await;
    let length = 11 * 1024 * 1024;
    let mut request = format!(
        "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    )
    .into_bytes();
    request.resize(request.len() + length, b' ');
    let answer = exchange(TcpStream::connect(address).await.unwrap(), &request).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{}", &answer[..answer.len().min(200)]);
    stop.cancel();
}

#[tokio::test]
async fn a_taken_port_is_told_in_one_sentence() {
    let first = bind("one", ([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = first.local_addr().unwrap();
    let error = bind("svc-identity", address).await.unwrap_err();
    let expected = format!(
        "svc-identity cannot listen on {address}: the port is taken; stop the process that holds \
         it or choose another port"
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn the_same_routes_are_served_over_tls() {
    let names = vec!["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let config = tls_config(certificate.as_bytes(), key.as_bytes()).unwrap();
    let listener = bind("edge", ([127, 0, 0, 1], 0).into()).await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let server = Server::new(listener, a_service().public(false)).with_tls(config);
    let server = tokio::spawn(server.run(stop.clone()));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, stream).await.unwrap();
    let answer = exchange(stream, LIVEZ).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    stop.cancel();
    assert!(tokio::time::timeout(BOUND, server).await.unwrap().unwrap());
    assert!(tls_config(b"no certificate", key.as_bytes()).is_err());
}
