//! Queues of requests about the same row. A request waits here without a connection, so that a row
//! that is locked for long does not use up the pool (DB-08). Called by [`crate::Foundation`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gx_serve::Problem;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Requests about one row that may have a connection: one works, the next is ready.
const AT_ONCE: usize = 2;
/// Limit of further requests that wait in a row's queue; others fail with 503.
const WAITING_LIMIT: usize = 64;

/// The queues of one process. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct RowQueues {
    queues: Arc<Mutex<HashMap<String, RowQueue>>>,
    timeout: Duration,
}

/// The queue of one row.
#[derive(Debug)]
struct RowQueue {
    permits: Arc<Semaphore>,
    /// Number of requests that have a ticket or wait for one.
    here: usize,
}

/// The right to use a connection for a row. Keep it until the transaction has ended.
#[derive(Debug)]
#[must_use = "the right ends when the ticket is dropped"]
pub struct RowQueueTicket {
    _permit: OwnedSemaphorePermit,
    _slot: QueueSlot,
}

/// A request's slot in the queue of a row.
#[derive(Debug)]
struct QueueSlot {
    queues: RowQueues,
    key: String,
}

impl RowQueues {
    /// Creates the queues. A request that waits longer than `timeout` fails.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { queues: Arc::default(), timeout }
    }

    /// Waits in the queue of the row. Fails with 503 if the queue is full or the time limit has
    /// passed.
    pub(crate) async fn wait(&self, key: &str) -> Result<RowQueueTicket, Problem> {
        match timeout(self.timeout, self.wait_for_row(key)).await {
            Ok(ticket) => ticket,
            Err(_) => Err(row_locked("the time limit of the queue has passed")),
        }
    }

    async fn wait_for_row(&self, key: &str) -> Result<RowQueueTicket, Problem> {
        let (slot, permits) = {
            let mut queues = self.queues();
            let queue = queues.entry(key.to_owned()).or_insert_with(|| RowQueue {
                permits: Arc::new(Semaphore::new(AT_ONCE)),
                here: 0,
            });
            if queue.here >= AT_ONCE + WAITING_LIMIT {
                return Err(row_locked("the queue is full"));
            }
            queue.here += 1;
            (QueueSlot { queues: self.clone(), key: key.to_owned() }, Arc::clone(&queue.permits))
        };
        let permit = permits.acquire_owned().await;
        let permit = permit.expect("nothing closes the semaphore of a queue");
        Ok(RowQueueTicket { _permit: permit, _slot: slot })
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<String, RowQueue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for QueueSlot {
    fn drop(&mut self) {
        let mut queues = self.queues.queues();
        if let Some(queue) = queues.get_mut(&self.key) {
            queue.here -= 1;
            if queue.here == 0 {
                queues.remove(&self.key);
            }
        }
    }
}

/// Returns the problem of a request that did not get its ticket, and logs the reason.
fn row_locked(error: &'static str) -> Problem {
    tracing::warn!(error, "a request could not get a row in time and ends with 503");
    Problem::row_locked()
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;

    use gx_serve::problem::kind;
    use std::future::poll_fn;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    async fn waits(
        future: &mut (impl Future<Output = Result<RowQueueTicket, Problem>> + Unpin),
    ) -> bool {
        poll_fn(|context| Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending()))
            .await
    }

    /// DB-08: two requests at a time have a ticket and others wait; rows are independent of each
    /// other, and an empty queue is removed.
    #[tokio::test]
    async fn db_08_two_are_about_one_row_at_a_time_and_others_wait() {
        let queues = RowQueues::new(TIMEOUT);
        let first = queues.wait("ann").await.unwrap();
        let _second = queues.wait("ann").await.unwrap();
        let mut third = pin!(queues.wait("ann"));
        assert!(waits(&mut third).await);
        let _other = queues.wait("ben").await.unwrap();
        drop(first);
        let _third = third.await.unwrap();
        assert_eq!(queues.queues().len(), 2);
        drop((_second, _third, _other));
        assert_eq!(queues.queues().len(), 0);
    }

    /// DB-08: a request that finds the queue full fails at once.
    #[tokio::test]
    async fn db_08_a_line_has_an_end() {
        let queues = RowQueues::new(TIMEOUT);
        let _two = [queues.wait("a").await.unwrap(), queues.wait("a").await.unwrap()];
        let mut queue: Vec<_> = (0..WAITING_LIMIT).map(|_| Box::pin(queues.wait("a"))).collect();
        for slot in &mut queue {
            assert!(waits(slot).await);
        }
        let mut one_too_many = pin!(queues.wait("a"));
        // The result is there without a wait; when the time limit has passed is too late.
        let answer = poll_fn(|context| Poll::Ready(one_too_many.as_mut().poll(context))).await;
        let Poll::Ready(Err(refused)) = answer else { panic!("it waits: {answer:?}") };
        assert_eq!(*refused.kind(), kind::LOCKED);
        queue.pop();
        let mut last = Box::pin(queues.wait("a"));
        assert!(waits(&mut last).await);
    }

    /// DB-08: a request that waits too long fails, and others about the row are served.
    #[tokio::test]
    async fn db_08_a_request_that_waits_too_long_fails() {
        let queues = RowQueues::new(Duration::from_millis(1));
        let first = queues.wait("a").await.unwrap();
        let _second = queues.wait("a").await.unwrap();
        let refused = queues.wait("a").await.unwrap_err();
        assert_eq!(*refused.kind(), kind::LOCKED);
        drop(first);
        let _next = queues.wait("a").await.unwrap();
    }
}
