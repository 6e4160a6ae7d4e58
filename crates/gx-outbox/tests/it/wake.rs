//! A registered listener is woken after a commit, or told that it must register again.

use std::time::Duration;

use gx_db::PgPool;
use gx_db::testing::TestDatabase;
use gx_outbox::enqueue::Waker;
use gx_outbox::submitter::Listener;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Limit of every wait; longer means that a test hangs.
const BOUND: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_registered_listener_hears_the_waker() {
    let db = TestDatabase::create().await;
    let mut listener = Listener::register(db.pool()).await.unwrap();
    let waker = Waker::new(db.pool().clone());
    for _ in 0..3 {
        waker.wake();
        let heard = tokio::time::timeout(BOUND, listener.heard()).await;
        heard.expect("a notification comes").unwrap();
    }
}

/// Between a lost connection and the next registration a notification can be missed, so the caller
/// is told, also if the server could not say that it closes the connection.
#[tokio::test]
async fn a_listener_whose_connection_is_closed_says_so() {
    let db = TestDatabase::create().await;
    let (pool, close) = pool_through_a_relay(&db).await;
    let mut listener = Listener::register(&pool).await.unwrap();
    close.send(()).unwrap();
    let heard = tokio::time::timeout(BOUND, listener.heard()).await;
    let error = heard.expect("the lost connection is noticed").unwrap_err();
    assert!(matches!(error, sqlx::Error::Io(_)), "{error:?}");
}

/// Returns a pool that reaches the database through a relay for one connection, and what closes
/// that connection.
async fn pool_through_a_relay(db: &TestDatabase) -> (PgPool, oneshot::Sender<()>) {
    let options: PgConnectOptions = db.url().parse().unwrap();
    let server = (options.get_host().to_owned(), options.get_port());
    let relay = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let through = options.host("127.0.0.1").port(relay.local_addr().unwrap().port());
    let (close, closed) = oneshot::channel();
    tokio::spawn(async move {
        let (mut client, _) = relay.accept().await.unwrap();
        let mut server = TcpStream::connect(server).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
            _ = closed => {}
        }
    });
    (PgPoolOptions::new().connect_lazy_with(through), close)
}
