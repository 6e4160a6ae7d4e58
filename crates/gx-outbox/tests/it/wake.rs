//! A registered listener is woken after a commit.

use std::time::Duration;

use gx_db::testing::TestDatabase;
use gx_outbox::enqueue::Waker;
use gx_outbox::submitter::Listener;

#[tokio::test]
async fn a_registered_listener_hears_the_waker() {
    let db = TestDatabase::create().await;
    let mut listener = Listener::register(db.pool()).await.unwrap();
    let waker = Waker::new(db.pool().clone());
    for _ in 0..3 {
        waker.wake();
        let heard = tokio::time::timeout(Duration::from_secs(120), listener.heard()).await;
        heard.expect("a notification comes").unwrap();
    }
}
