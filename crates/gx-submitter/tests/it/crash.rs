//! Both workers die at random points, again and again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use crate::chain::{BOUND, create, grant};
use crate::desk::{Desk, policy, settings, submitter};

const PEOPLE: u32 = 15;
const LIVES: u32 = 24;

/// Polls the inner future a number of times; then the process counts as dead.
struct Mortal<F> {
    inner: Pin<Box<F>>,
    polls_left: u32,
}

impl<F: Future> Future for Mortal<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls_left == 0 {
            return Poll::Ready(None);
        }
        self.polls_left -= 1;
        self.inner.as_mut().poll(cx).map(Some)
    }
}

/// G2: whichever two steps a worker dies between, each command takes effect once.
#[tokio::test]
async fn workers_that_die_anywhere_lose_and_double_nothing() {
    let mut desk = Desk::open().await;
    let mut ids = Vec::new();
    for n in 0..PEOPLE {
        let person = desk.chain.person(n).await;
        ids.push(desk.enqueue_for(&person, &create(&person)).await);
        ids.push(desk.enqueue_for(&person, &grant(&person)).await);
    }
    let mut random = StdRng::seed_from_u64(11);
    for life in 0..LIVES {
        let mut few = settings("mortal");
        few.batch_commands = 2;
        let mut retry = policy();
        retry.interrupted = 1_000;
        let mut parts = crate::desk::parts(&desk.chain);
        parts.retry = retry;
        let mut worker =
            gx_submitter::Submitter::new(parts, few, StdRng::seed_from_u64(u64::from(life)))
                .unwrap();
        let work = async {
            loop {
                let _ = worker.step().await;
            }
        };
        let polls_left = random.random_range(0..1_200);
        let died: Option<()> = (Mortal { inner: Box::pin(work), polls_left }).await;
        assert!(died.is_none());

        let mut projector = desk.chain.projector();
        desk.projector.stop();
        let project = async {
            loop {
                let _ = projector.step(Duration::from_millis(1)).await;
            }
        };
        let polls_left = random.random_range(0..1_500);
        let died: Option<()> = (Mortal { inner: Box::pin(project), polls_left }).await;
        assert!(died.is_none());
    }
    // The last run is long.
    desk.submitter = submitter(&desk.chain, settings("mortal"));
    let deadline = Instant::now() + BOUND;
    let open = r#"SELECT count(*) FROM "OutboxCommand" WHERE status <> 'COMMITTED'"#;
    while desk.chain.one(open).await != "0" {
        desk.drain().await;
        assert!(Instant::now() < deadline, "{}", desk.everything().await);
    }
    let people = i64::from(PEOPLE);
    assert_eq!(desk.effects("UserCreated").await, (people, people));
    assert_eq!(desk.effects("GenesisDistributed").await, (people, people));
    assert_eq!(desk.chain.total().await, gx_model::Qirat::SUPPLY.to_string());
}
