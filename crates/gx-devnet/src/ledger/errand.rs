//! What is asked of the ledger besides committing blocks: done by the committing thread,
//! between two blocks, so that nobody sees a half-done change.

use tokio::sync::{oneshot, watch};

use super::commit::Committer;
use super::orderer::{Orderer, OrdererGone};
use super::snapshot::{LedgerSnapshot, SnapshotError};
use super::store::Store;

/// Something to do on the committing thread.
pub(super) type Task = Box<dyn FnOnce(&mut Committer, &Store, &watch::Sender<u64>) + Send>;

/// A task, and what the cutter does before it passes it on.
pub(super) struct Errand {
    pub(super) first: First,
    pub(super) task: Task,
}

/// What becomes of the envelopes that stand in no block yet.
pub(super) enum First {
    /// Those that reach a limit are cut, the others wait on.
    CutDue,
    CutAll,
    ForgetPending,
}

impl From<OrdererGone> for SnapshotError {
    fn from(_: OrdererGone) -> Self {
        Self::Ledger("it is stopping".to_owned())
    }
}

impl Orderer {
    /// Makes a block of everything submitted so far, whatever the cutting rule, and answers
    /// with the height once it is committed. Without envelopes there is no block.
    pub(crate) async fn cut(&self) -> Result<u64, OrdererGone> {
        self.run(First::CutAll, |committer, _, _| committer.height()).await
    }

    /// Remembers the ledger as it is after the blocks that are cut.
    pub(crate) async fn take_snapshot(&self) -> Result<LedgerSnapshot, SnapshotError> {
        self.run(First::CutDue, |committer, store, _| store.take_snapshot(committer.height()))
            .await?
    }

    /// Returns to a snapshot. Envelopes that stand in no block are forgotten: they were
    /// endorsed on a state that is no more.
    pub(crate) async fn revert(&self, id: u64) -> Result<LedgerSnapshot, SnapshotError> {
        self.run(First::ForgetPending, move |committer, store, height| {
            let snapshot = store.revert(id)?;
            committer.resume(store)?;
            // Before the height, so that nobody reads on into another chain.
            committer.end_streams();
            height.send_replace(committer.height());
            Ok(snapshot)
        })
        .await?
    }

    /// Forgets a snapshot.
    pub(crate) async fn delete_snapshot(&self, id: u64) -> Result<(), SnapshotError> {
        self.run(First::CutDue, move |_, store, _| store.delete_snapshot(id)).await?
    }

    async fn run<R: Send + 'static>(
        &self,
        first: First,
        task: impl FnOnce(&mut Committer, &Store, &watch::Sender<u64>) -> R + Send + 'static,
    ) -> Result<R, OrdererGone> {
        let (answer, answered) = oneshot::channel();
        let task: Task = Box::new(move |committer, store, height| {
            // Whoever asked may have gone; what was asked for is done all the same.
            let _gone = answer.send(task(committer, store, height));
        });
        self.send(Errand { first, task }).await?;
        answered.await.map_err(|_| OrdererGone)
    }
}
