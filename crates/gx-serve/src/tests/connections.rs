//! Effects of connections on others, over real sockets.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use http::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::listeners::exchange;
use super::{BOUND, SlowRoute, a_service, a_service_with};
use crate::admission::ConnectionTimeLimits;
use crate::server::{Server, bind};
use crate::{Admission, AdmissionSettings, CancellationToken};

/// A time limit that a test waits for.
const SHORT: Duration = Duration::from_millis(200);
const LIVEZ: &[u8] = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
const LIVEZ_AND_STAY: &[u8] = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
const HALF_A_BODY: &[u8] = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
    content-length: 1000\r\n\r\n{\"text\":";

async fn serve(
    slow_route: &SlowRoute,
    admission: &Admission,
    change: impl FnOnce(&mut ConnectionTimeLimits),
) -> SocketAddr {
    let listener = bind("svc-test", ([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(listener, a_service_with(slow_route.clone()).public(false));
    let server = server.with_admission(admission.clone()).with_times(change);
    tokio::spawn(server.run(CancellationToken::new()));
    address
}

fn allowing(connections: u32, client_connections: u32) -> Admission {
    let settings = AdmissionSettings::default();
    Admission::new(AdmissionSettings { connections, client_connections, ..settings })
}

/// Connects from 127.0.0.LAST.
async fn connect(from: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0))).unwrap();
    socket.connect(to).await.unwrap()
}

/// Reads until a head is complete. Returns nothing if the connection ends before.
async fn head(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let reading = async {
        while !said.windows(4).any(|four| four == b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => said.push(byte),
                Err(_) => break,
            }
        }
    };
    tokio::time::timeout(BOUND, reading).await.unwrap();
    String::from_utf8_lossy(&said).into_owned()
}

async fn is_served(from: u8, to: SocketAddr) -> bool {
    exchange(connect(from, to).await, LIVEZ).await.starts_with("HTTP/1.1 200")
}

/// Waits until the server has closed the connection.
async fn ends(mut stream: TcpStream) {
    let reading = async {
        let mut scratch = [0; 4096];
        while stream.read(&mut scratch).await.is_ok_and(|count| count > 0) {}
    };
    tokio::time::timeout(BOUND, reading).await.unwrap();
}

/// RDY-10: an unused HTTP/1.1 connection is closed.
#[tokio::test]
async fn an_idle_connection_is_closed() {
    let short = |times: &mut ConnectionTimeLimits| times.http1_idle = SHORT;
    let address = serve(&SlowRoute::default(), &Admission::default(), short).await;
    let mut stream = connect(1, address).await;
    stream.write_all(LIVEZ_AND_STAY).await.unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 200"));
    ends(stream).await;
}

/// RDY-10: an HTTP/2 connection without an open stream is closed, even if it sends pings; one with
/// an open stream is not.
#[tokio::test]
async fn pings_do_not_keep_a_connection_open() {
    let slow_route = SlowRoute::default();
    let admission = Admission::default();
    let address = serve(&slow_route, &admission, |times| times.http2_idle = SHORT).await;
    let dial = async || {
        let io = TokioIo::new(connect(1, address).await);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(SHORT / 10);
        builder.keep_alive_while_idle(true).keep_alive_timeout(BOUND);
        builder.handshake::<_, Body>(io).await.unwrap()
    };
    let ask = |path: &str| Request::get(format!("http://gx{path}")).body(Body::empty()).unwrap();
    let (mut used, connection) = dial().await;
    tokio::spawn(connection);
    let slow = tokio::spawn(used.send_request(ask("/slow")));
    slow_route.0.0.notified().await;

    let (mut idle, connection) = dial().await;
    let connection = tokio::spawn(connection);
    assert_eq!(idle.send_request(ask("/livez")).await.unwrap().status(), 200);
    let ended = tokio::time::timeout(BOUND, connection).await.unwrap().unwrap();
    assert!(ended.is_ok(), "it was told to go away: {ended:?}");

    slow_route.0.1.notify_one();
    assert_eq!(slow.await.unwrap().unwrap().status(), 200);
}

/// RDY-10: idle connections of one address, of both protocols, keep nobody out: not others, not
/// probes, and not the address itself.
#[tokio::test]
async fn idle_connections_keep_nobody_out() {
    let admission = allowing(64, 16);
    let address = serve(&SlowRoute::default(), &admission, |_| {}).await;
    let mut held = Vec::new();
    for number in 0..200 {
        let mut stream = connect(1, address).await;
        let hello: &[u8] =
            if number % 2 == 0 { LIVEZ_AND_STAY } else { b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" };
        stream.write_all(hello).await.unwrap();
        held.push(stream);
    }
    assert!(is_served(2, address).await, "another address");
    assert!(is_served(1, address).await, "the same address");
    let connections = admission.in_use().connections;
    assert!(connections <= 17, "{connections} of one address are held");
}

/// RDY-10: connections that work are not cut for new ones, which are rejected at once.
#[tokio::test]
async fn what_works_is_not_cut_off() {
    let slow_route = SlowRoute::default();
    let address = serve(&slow_route, &allowing(64, 2), |_| {}).await;
    let mut slow = JoinSet::new();
    for _ in 0..2 {
        let stream = connect(1, address).await;
        slow.spawn(exchange(stream, b"GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
        slow_route.0.0.notified().await;
    }
    ends(connect(1, address).await).await;
    assert!(is_served(2, address).await);
    // Each notification wakes one of the two.
    for _ in 0..2 {
        slow_route.0.1.notify_one();
        let answer = slow.join_next().await.unwrap().unwrap();
        assert!(answer.ends_with("done"), "{answer}");
    }
}

/// API-17: half-sent bodies of one address take bounded memory and keep nobody out.
#[tokio::test]
async fn half_sent_bodies_are_bounded_and_keep_nobody_out() {
    let admission = allowing(64, 16);
    let address = serve(&SlowRoute::default(), &admission, |_| {}).await;
    let mut held = Vec::new();
    for _ in 0..200 {
        let mut stream = connect(1, address).await;
        // A connection that lost its slot is closed already.
        let _gone = stream.write_all(HALF_A_BODY).await;
        held.push(stream);
    }
    assert!(is_served(2, address).await, "another address");
    assert!(is_served(1, address).await, "the same address");
    let used = admission.in_use();
    assert!(used.connections <= 17 && used.body_bytes <= 17 * 1_000, "{used:?}");
    drop(held);
    super::until(|| admission.in_use().body_bytes == 0).await;
}

/// API-17: a body without memory is rejected with 503 and Retry-After.
#[tokio::test]
async fn a_body_without_room_is_told_to_come_back() {
    let settings = AdmissionSettings { client_bodies_kib: 0, ..AdmissionSettings::default() };
    let admission = Admission::new(settings);
    let address = serve(&SlowRoute::default(), &admission, |_| {}).await;
    let answer = exchange(connect(1, address).await, HALF_A_BODY).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: 1"), "{answer}");
    assert!(answer.contains("temporary_reduced_capacity"), "{answer}");
}

/// RDY-10: a client that does not take its answer is cut off, in both protocols.
#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let admission = Admission::default();
    let address = serve(&SlowRoute::default(), &admission, |times| times.stall = SHORT).await;
    let mut deaf = connect(1, address).await;
    deaf.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    super::until(|| admission.in_use().requests == 1).await;
    super::until(|| admission.in_use().connections == 0).await;
    let mut taken = 0;
    let mut scratch = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = deaf.read(&mut scratch).await {
        taken += count;
    }
    assert!(taken < super::LARGE_BYTES);

    let io = TokioIo::new(connect(1, address).await);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(0);
    let (mut sender, connection) = builder.handshake::<_, Body>(io).await.unwrap();
    let connection = tokio::spawn(connection);
    let ask = Request::get("http://gx/livez").body(Body::empty()).unwrap();
    let answer = sender.send_request(ask).await.unwrap();
    assert_eq!(answer.status(), 200);
    let _ended = tokio::time::timeout(BOUND, connection).await.unwrap();
    super::until(|| admission.in_use().connections == 0).await;
}

/// SEC-API-05: the client of a request is read from the right, through trusted proxies only.
#[tokio::test]
async fn the_clients_address_is_read_through_trusted_proxies_only() {
    let settings = |proxies: &str| AdmissionSettings {
        trusted_proxies: proxies.split(' ').filter_map(|text| text.parse().ok()).collect(),
        client_bodies_kib: 0,
        ..AdmissionSettings::default()
    };
    let post = |forwarded: &[u8]| {
        let head: &[u8] = b"POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
            content-type: application/json\r\n";
        let rest: &[u8] = b"content-length: 12\r\n\r\n{\"text\":\"a\"}";
        [head, forwarded, rest].concat()
    };
    let both = "127.0.0.1 10.0.0.0/8";
    let cases: [(&str, &[u8], u16); 12] = [
        // Clients have no memory left, and proxies need none.
        ("", b"", 503),
        ("", b"x-forwarded-for: 127.0.0.1\r\n", 503),
        ("127.0.0.1", b"", 200),
        ("127.0.0.1", b"x-forwarded-for: 203.0.113.9\r\n", 503),
        (both, b"x-forwarded-for: 203.0.113.9, 10.0.0.1\r\n", 503),
        (both, b"x-forwarded-for: 10.0.0.2\r\nx-forwarded-for: 10.0.0.1\r\n", 200),
        ("127.0.0.1", b"x-forwarded-for: unknown\r\n", 200),
        // What a client has put in front, text or not, hides nothing.
        ("127.0.0.1", b"x-forwarded-for: \xff, 203.0.113.9\r\n", 503),
        ("127.0.0.1", b"x-forwarded-for: 203.0.113.9, \xff\r\n", 200),
        // Some proxies write ports.
        ("127.0.0.1", b"x-forwarded-for: 203.0.113.9:1234\r\n", 503),
        ("127.0.0.1", b"x-forwarded-for: [2001:db8::9]:1234\r\n", 503),
        (both, b"x-forwarded-for: 203.0.113.9:1234, 10.0.0.1:80\r\n", 503),
    ];
    for (proxies, forwarded, status) in cases {
        let address =
            serve(&SlowRoute::default(), &Admission::new(settings(proxies)), |_| {}).await;
        let answer = exchange(connect(1, address).await, &post(forwarded)).await;
        let is_expected = answer.starts_with(&format!("HTTP/1.1 {status}"));
        assert!(is_expected, "{proxies} {} {answer}", forwarded.escape_ascii());
    }
}

/// RDY-10: the internal listener answers probes even if the listener of clients is full.
#[tokio::test]
async fn probes_have_a_listener_that_clients_cannot_fill() {
    let slow_route = SlowRoute::default();
    let admission = allowing(16, 16);
    let address = serve(&slow_route, &admission, |_| {}).await;
    let mut slow = Vec::new();
    for _ in 0..16 {
        let mut stream = connect(1, address).await;
        stream.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        slow_route.0.0.notified().await;
        slow.push(stream);
    }
    let listener = bind("svc-test", ([127, 0, 0, 1], 0).into()).await.unwrap();
    let internal = listener.local_addr().unwrap();
    let server = Server::new(listener, a_service().internal());
    tokio::spawn(server.with_admission(Admission::internal()).run(CancellationToken::new()));
    for path in ["/livez", "/readyz", "/health"] {
        let probe = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = exchange(connect(1, internal).await, probe.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}
