//! Only its payer and administrators can follow a transfer to its end.

use std::time::Duration;

use gx_serve::Server;
use gx_testkit::World;
use gx_testkit::story::{Person, ServiceEndpoint};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const BOUND: Duration = Duration::from_secs(120);

/// OUT-11: a transfer ends confirmed, another one failed with a reason, for the payer and for
/// administrators; another person gets 403, and an unknown id 404.
#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_transfer_ends_confirmed_or_failed_with_a_reason() {
    let (mut world, payer, receiver) = Box::pin(payer_and_receiver()).await;
    let to = world.gx.id_of(&receiver).await;
    let good = world.gx.pay(&payer, "good", &to, "10").await.expect(202);
    world.settle().await;
    // The read model is wrong for once, so that the ledger has something to refuse.
    world.falsify_balance(&payer, 9_000_000_000).await;
    let bad = world.gx.pay(&payer, "bad", &to, "4000").await.expect(202);
    world.settle().await;

    let good = world.gx.follow(&payer, good.str("/commandId")).await.expect(200);
    assert_eq!(good.str("/status"), "CONFIRMED");
    assert_eq!(good.str("/txId").len(), 64);
    assert!(good.json["blockNumber"].as_u64().unwrap() > 0);
    let bad = world.gx.follow(&payer, bad.str("/commandId")).await.expect(200);
    assert_eq!((bad.str("/status"), bad.str("/reason")), ("FAILED", "INSUFFICIENT_BALANCE"));

    let admin = world.admin_token().await;
    for (end, status) in [(&good, "COMMITTED"), (&bad, "REFUSED")] {
        let path = format!("/api/v1/admin/outbox/{}", end.str("/commandId"));
        let seen = world.gx.admin.get(&path, &admin).await.expect(200);
        assert_eq!(seen.str("/status"), status, "{}", seen.text);
    }
    for id in [good.str("/commandId"), bad.str("/commandId")] {
        let other = world.gx.follow(&receiver, id).await.expect(403);
        assert_eq!(other.str("/code"), "not_yours");
    }
    let unknown = world.gx.follow(&payer, "00000000-0000-5000-8000-000000000000").await;
    assert_eq!(unknown.expect(404).str("/code"), "no_transfer");
}

/// OUT-11: over a real listener each change arrives when it happens, and the stream ends with the
/// final state; when the service stops, open streams end and do not delay it.
#[tokio::test(flavor = "multi_thread")]
async fn changes_arrive_one_by_one_over_a_real_listener() {
    let (mut world, payer, receiver) = Box::pin(payer_and_receiver()).await;
    let to = world.gx.id_of(&receiver).await;
    let ServiceEndpoint::Router(router) = world.gx.tokenomics.clone() else {
        panic!("a World has routers")
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(Server::new(listener, router).run(stop.clone()));

    let order = world.gx.pay(&payer, "live", &to, "10").await.expect(202);
    let mut stream = Events::open(address, &payer, order.str("/location")).await;
    assert_eq!(stream.next().await.unwrap()["status"], "PENDING");
    world.submit().await;
    assert_eq!(stream.next().await.unwrap()["status"], "SUBMITTED");
    world.settle().await;
    assert_eq!(stream.next().await.unwrap()["status"], "CONFIRMED");
    assert_eq!(stream.next().await, None);

    let order = world.gx.pay(&payer, "cut", &to, "10").await.expect(202);
    let mut stream = Events::open(address, &payer, order.str("/location")).await;
    assert_eq!(stream.next().await.unwrap()["status"], "PENDING");
    world.health[1].drain();
    stop.cancel();
    assert_eq!(stream.next().await, None);
    assert!(serving.await.unwrap(), "nothing was cut off");
}

async fn payer_and_receiver() -> (World, Person, Person) {
    let mut world = World::start().await;
    let (payer, receiver) = (world.gx.register(1).await, world.gx.register(2).await);
    world.admit(&[payer.clone(), receiver.clone()]).await;
    (world, payer, receiver)
}

/// An open stream of events.
struct Events(Lines<BufReader<TcpStream>>);

impl Events {
    async fn open(address: std::net::SocketAddr, person: &Person, path: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Accept: text/event-stream\r\nConnection: close\r\n\r\n",
            person.token
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Self(BufReader::new(stream).lines())
    }

    /// Returns the next state, or `None` at the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        let reading = async {
            while let Some(line) = self.0.next_line().await.unwrap() {
                if let Some(data) = line.strip_prefix("data: ") {
                    return Some(serde_json::from_str(data).unwrap());
                }
            }
            None
        };
        tokio::time::timeout(BOUND, reading).await.expect("an event or the end")
    }
}
