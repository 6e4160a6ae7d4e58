//! Rules of HTTP for a server (RFC 9110, RFC 9112), over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Request};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::listeners::exchange;
use super::{BOUND, SlowRoute, a_service, a_service_with_limits, ask};
use crate::admission::ConnectionTimeLimits;
use crate::server::{Server, bind};
use crate::{CancellationToken, RequestLayer};

const SHORT: Duration = Duration::from_millis(200);
const JSON: &str = "host: x\r\nconnection: close\r\ncontent-type: application/json\r\n";

async fn serve(
    change: impl FnOnce(&mut ConnectionTimeLimits),
    notice: &CancellationToken,
) -> SocketAddr {
    let listener = bind("svc-test", ([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service =
        a_service_with_limits(SlowRoute::default(), |request_layer: &mut RequestLayer| {
            request_layer.body_time_limit = SHORT;
        });
    let server = Server::new(listener, service.public(false));
    let server = server.with_times(change).with_notice(notice.clone());
    tokio::spawn(server.run(CancellationToken::new()));
    address
}

/// A response as it was written.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    json: Value,
}

fn answers(mut text: &str) -> Vec<Answer> {
    let mut all = Vec::new();
    while let Some((head, rest)) = text.split_once("\r\n\r\n") {
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HeaderMap = lines
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap();
                let name: http::HeaderName = name.parse().unwrap();
                (name, value.parse().unwrap())
            })
            .collect();
        let length = headers
            .get("content-length")
            .map_or(0, |length| length.to_str().unwrap().parse().unwrap());
        let (body, next) = rest.split_at(length);
        let json = serde_json::from_str(body).unwrap_or(Value::Null);
        all.push(Answer { status, headers, json });
        text = next;
    }
    all
}

async fn say(address: SocketAddr, request: impl AsRef<[u8]>) -> Vec<Answer> {
    answers(&exchange(TcpStream::connect(address).await.unwrap(), request.as_ref()).await)
}

#[track_caller]
fn assert_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.json["status"], status);
    assert_eq!(answer.json["code"], code);
    assert_eq!(answer.json["requestId"], answer.headers["x-request-id"].to_str().unwrap());
    assert!(!answer.json["requestId"].as_str().unwrap().is_empty());
}

/// SEC-API-01: requests that hyper itself rejects are answered with a problem and an id, too:
/// alone, after another request, and behind one in the same bytes.
#[tokio::test]
async fn what_cannot_be_read_is_a_problem_too() {
    let address = serve(|_| {}, &CancellationToken::new()).await;
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100 * 1024));
    let longer = "a".repeat(20 * 1024);
    let longer = format!("GET /{longer} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let large = format!("GET / HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n", "a".repeat(100 * 1024));
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(200));
    let lengths =
        "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na";
    let cases = [
        ("GET / HTTP/1.1\r\nhost: x\r\nno field\r\n\r\n", 400, "bad_request"),
        ("GET  /  HTTP/1.1\r\nhost: x\r\n\r\n", 400, "bad_request"),
        ("GET / HTTP/9.9\r\nhost: x\r\n\r\n", 400, "bad_request"),
        ("\u{16}\u{3}\u{1} hello\r\n\r\n", 400, "bad_request"),
        (lengths, 400, "bad_request"),
        (&long, 414, "uri_too_long"),
        (&longer, 414, "uri_too_long"),
        (&large, 431, "headers_too_large"),
        (&many, 431, "headers_too_large"),
    ];
    for (request, status, code) in cases {
        let alone = say(address, request).await;
        assert_eq!(alone.len(), 1, "{alone:?}");
        assert_problem(&alone[0], status, code);
        let behind = format!("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n{request}");
        let both = say(address, &behind).await;
        assert_eq!(both.len(), 2, "{both:?}");
        assert_eq!(both[0].status, 200);
        match both[1].status {
            // If the bytes begin with another request, the first line cannot be told from the
            // fields.
            431 => assert_problem(&both[1], 431, "headers_too_large"),
            _ => assert_problem(&both[1], status, code),
        }

        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 4096];
        let count = stream.read(&mut first).await.unwrap();
        assert!(first[..count].starts_with(b"HTTP/1.1 200"));
        let after = answers(&exchange(stream, request.as_bytes()).await);
        assert_problem(after.last().unwrap(), status, code);
    }
}

/// RFC 9112, 3.2: a request names one host.
#[tokio::test]
async fn a_request_without_one_good_host_is_refused() {
    let address = serve(|_| {}, &CancellationToken::new()).await;
    for hosts in ["", "host: a\r\nhost: a\r\n", "host: a b\r\n", "host: \r\n", "host: me@a\r\n"] {
        let request = format!("GET /livez HTTP/1.1\r\nconnection: close\r\n{hosts}\r\n");
        assert_problem(&say(address, request).await[0], 400, "bad_request");
    }
    for request in [
        "GET /livez HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    ] {
        assert_ne!(say(address, request).await[0].status, 400, "{request}");
    }
}

/// RFC 9110, 10.1.1: a body that is too large is rejected before it is requested.
#[tokio::test]
async fn a_body_announced_as_too_large_is_not_asked_for() {
    let address = serve(|_| {}, &CancellationToken::new()).await;
    let post = |length: usize| {
        format!(
            "POST /echo HTTP/1.1\r\n{JSON}expect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let refused = say(address, post(2_000_000)).await;
    assert_problem(&refused[0], 413, "body_too_large");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(post(12).as_bytes()).await.unwrap();
    let mut said = [0; 25];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"HTTP/1.1 100 Continue\r\n\r\n");
    let taken = answers(&exchange(stream, b"{\"text\":\"a\"}").await);
    assert_eq!(taken[0].status, 200, "{taken:?}");
}

/// RFC 9110, 15.5.9: the client learns that its body took too long, not that we did.
#[tokio::test]
async fn a_slow_body_is_the_clients_and_ends_the_connection() {
    let address = serve(|_| {}, &CancellationToken::new()).await;
    let keep = JSON.replace("connection: close\r\n", "");
    let request = format!("POST /echo HTTP/1.1\r\n{keep}content-length: 12\r\n\r\n{{\"te");
    let slow = say(address, request).await;
    assert_problem(&slow[0], 408, "request_timeout");
    assert_eq!(slow[0].headers["connection"], "close");
}

/// RFC 9110, 15.5.9: an incomplete head is answered, whether it is the first or a later one.
#[tokio::test]
async fn a_slow_head_is_answered() {
    let short = |times: &mut ConnectionTimeLimits| {
        times.silence = SHORT;
        times.head = SHORT;
    };
    let address = serve(short, &CancellationToken::new()).await;
    assert_problem(&say(address, "GET /livez HT").await[0], 408, "request_timeout");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 4096];
    assert!(stream.read(&mut first).await.unwrap() > 0);
    let late = answers(&exchange(stream, b"GET /livez HT").await);
    assert_problem(late.last().unwrap(), 408, "request_timeout");
    assert_eq!(late.last().unwrap().headers["connection"], "close");
}

/// RFC 9110, 15.5.16: an unsupported coding is rejected by name.
#[tokio::test]
async fn an_encoded_body_is_refused() {
    let router = a_service().public(false);
    for (coding, status) in [("gzip", 415), ("identity, br", 415), ("Identity", 200), ("", 200)] {
        let request = Request::post("/echo")
            .header("content-type", "application/json")
            .header("content-encoding", coding)
            .body(Body::from("{\"text\":\"a\"}"));
        let (answered, headers, json) = ask(&router, request.unwrap()).await;
        assert_eq!(answered, status, "{coding}: {json}");
        let wanted = headers.get("accept-encoding").map(|value| value.to_str().unwrap());
        assert_eq!(wanted, (status == 415).then_some("identity"), "{coding}");
    }
}

/// RFC 8259, 8.1: a byte order mark before the text is skipped.
#[tokio::test]
async fn a_byte_order_mark_is_passed_over() {
    let router = a_service().public(false);
    let request = Request::post("/echo").header("content-type", "application/json");
    let body = Body::from("\u{feff}{\"text\":\"a\"}");
    assert_eq!(ask(&router, request.body(body).unwrap()).await.0, 200);
}

/// RDY-06: after the notice, responses close their connection.
#[tokio::test]
async fn before_the_end_answers_close_their_connections() {
    let notice = CancellationToken::new();
    let address = serve(|_| {}, &notice).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut first = [0; 4096];
    let count = stream.read(&mut first).await.unwrap();
    assert!(!String::from_utf8_lossy(&first[..count]).contains("connection: close"));
    notice.cancel();
    let last = answers(&exchange(stream, request).await);
    assert_eq!(last[0].headers["connection"], "close");
    tokio::time::timeout(BOUND, TcpStream::connect(address)).await.unwrap().unwrap();
}

/// RDY-10: the listener of several services answers probes with the checks of all.
#[tokio::test]
async fn the_edge_answers_probes() {
    let (one, other) = (a_service(), a_service());
    one.health.check("database", true).healthy();
    let request_layer = RequestLayer::new("edge", super::clock(), crate::Entropy::system());
    let router = crate::edge(&[&one], request_layer).unwrap();
    for path in ["/livez", "/readyz", "/health"] {
        let (status, json) = super::get(&router, path).await;
        assert_eq!((status, json["service"].as_str()), (200, Some("edge")), "{path}");
    }
    let joined = crate::HealthBoard::joined(
        "edge",
        super::clock(),
        vec![one.health.clone(), other.health.clone()],
    );
    assert_eq!(joined.report().await.status, crate::health::Readiness::Ready);
    let broken = other.health.check("ledger", true);
    broken.unhealthy("gone", Value::Null);
    let report = joined.report().await;
    assert_eq!(report.status, crate::health::Readiness::NotReady);
    // Each service also has the check of its rate limits.
    assert_eq!(report.checks.len(), 3);
    broken.healthy();
    one.health.drain();
    assert!(joined.is_draining());
}
