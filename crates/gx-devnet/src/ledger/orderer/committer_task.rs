//! Tasks of the committing thread other than committing blocks: the control endpoint and `Devnet`
//! request them. They run between two blocks, so nobody sees a change that is half done.

use tokio::sync::{oneshot, watch};

use super::{Orderer, OrdererGone};
use crate::ledger::commit::Committer;
use crate::ledger::state::{LedgerSnapshot, SnapshotError, Store};

/// A function that runs on the committing thread.
pub(super) type Task = Box<dyn FnOnce(&mut Committer, &Store, &watch::Sender<u64>) + Send>;

/// A task, with the instruction for the cutter before it passes the task on.
pub(super) struct CommitterTask {
    pub(super) pending: Pending,
    pub(super) task: Task,
}

/// What the cutter does with envelopes that are in no block.
pub(super) enum Pending {
    /// Cuts those that reach a limit; the others wait.
    CutDue,
    CutAll,
    ForgetAll,
}

impl From<OrdererGone> for SnapshotError {
    fn from(_: OrdererGone) -> Self {
        Self::Ledger("it is stopping".to_owned())
    }
}

impl Orderer {
    /// Cuts a block of everything submitted so far, whatever the cutting rule is, and returns the
    /// height after its commit. Without envelopes there is no block.
    pub(crate) async fn cut(&self) -> Result<u64, OrdererGone> {
        self.run(Pending::CutAll, |committer, _, _| committer.height()).await
    }

    /// Takes a snapshot of the ledger after the blocks that are due.
    pub(crate) async fn take_snapshot(&self) -> Result<LedgerSnapshot, SnapshotError> {
        self.run(Pending::CutDue, |committer, store, _| store.take_snapshot(committer.height()))
            .await?
    }

    /// Returns the ledger to a snapshot. Envelopes that are in no block are dropped, because they
    /// were endorsed on a state that no longer exists.
    pub(crate) async fn revert(&self, id: u64) -> Result<LedgerSnapshot, SnapshotError> {
        self.run(Pending::ForgetAll, move |committer, store, height| {
            let snapshot = store.revert(id)?;
            committer.resume(store)?;
            // Before the height changes, so that no stream continues on another chain.
            committer.end_streams();
            height.send_replace(committer.height());
            Ok(snapshot)
        })
        .await?
    }

    /// Deletes a snapshot.
    pub(crate) async fn delete_snapshot(&self, id: u64) -> Result<(), SnapshotError> {
        self.run(Pending::CutDue, move |_, store, _| store.delete_snapshot(id)).await?
    }

    /// Runs a task and returns its result. The error means that the ledger is stopping or has
    /// failed.
    async fn run<R: Send + 'static>(
        &self,
        pending: Pending,
        task: impl FnOnce(&mut Committer, &Store, &watch::Sender<u64>) -> R + Send + 'static,
    ) -> Result<R, OrdererGone> {
        let (answer, answered) = oneshot::channel();
        let task: Task = Box::new(move |committer, store, height| {
            // The caller may have disconnected; the task runs all the same.
            let _gone = answer.send(task(committer, store, height));
        });
        self.send(CommitterTask { pending, task }).await?;
        answered.await.map_err(|_| OrdererGone)
    }
}
