//! Cuts what was submitted into blocks, and hands them to the committing thread.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::commit::Committer;
use super::envelope::Judged;
use super::errand::{Errand, First, Task};
use super::store::Store;
use crate::faults::Faults;
use crate::options::BlockCutting;

/// Envelopes that wait to be ordered; a Submit beyond that waits with them.
const QUEUED_ENVELOPES: usize = 10_000;
/// Cut blocks that wait to be committed.
const QUEUED_BLOCKS: usize = 64;
/// Errands that wait for the cutter.
const QUEUED_ERRANDS: usize = 16;
/// Blocks that share one wait for the disk.
const BLOCKS_PER_COMMIT: usize = 64;
/// Transactions in a block that is cut by hand or after a pause.
const MAX_BLOCK_TRANSACTIONS: usize = 10_000;

/// The ledger is shutting down, or its store has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrdererGone;

/// Where envelopes are submitted.
#[derive(Clone)]
pub(crate) struct Orderer {
    queue: mpsc::Sender<Judged>,
    errands: mpsc::Sender<Errand>,
}

/// What the committing thread does, in this order.
enum Work {
    Block(Vec<Judged>),
    Task(Task),
}

impl Orderer {
    /// Starts cutting and committing. Ends, with everything submitted committed, when the
    /// last clone is dropped. The height is published after each commit.
    pub(crate) fn start(
        cutting: BlockCutting,
        faults: &Faults,
        committer: Committer,
        store: Arc<Store>,
        height: watch::Sender<u64>,
    ) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (queue, submitted) = mpsc::channel(QUEUED_ENVELOPES);
        let (work, cut) = mpsc::channel(QUEUED_BLOCKS);
        let (errands, errands_to_do) = mpsc::channel(QUEUED_ERRANDS);
        let cutter = Cutter {
            rule: Rule::from(cutting),
            submitted,
            errands: errands_to_do,
            work,
            pending: Vec::new(),
            pending_bytes: 0,
            deadline: None,
            held: faults.commits_held(),
            cut_requests: faults.cut_requests(),
        };
        let thread = std::thread::Builder::new()
            .name("devnet-commit".to_owned())
            .spawn(move || commit_blocks(committer, &store, cut, &height))?;
        tokio::spawn(cutter.run());
        Ok((Self { queue, errands }, thread))
    }

    /// Queues an envelope. The acknowledgement is no promise: it is kept in memory.
    pub(crate) async fn submit(&self, envelope: Judged) -> Result<(), OrdererGone> {
        self.queue.send(envelope).await.map_err(|_| OrdererGone)
    }

    /// Sends an errand on its way to the committing thread.
    pub(super) async fn send(&self, errand: Errand) -> Result<(), OrdererGone> {
        self.errands.send(errand).await.map_err(|_| OrdererGone)
    }
}

fn commit_blocks(
    mut committer: Committer,
    store: &Store,
    mut cut: mpsc::Receiver<Work>,
    height: &watch::Sender<u64>,
) {
    while let Some(first) = cut.blocking_recv() {
        let (batches, task) = commit_group(first, &mut cut);
        if !batches.is_empty() {
            if let Err(error) = committer.commit(store, batches) {
                tracing::error!(%error, "the ledger can commit no more blocks; restart it");
                return;
            }
            height.send_replace(committer.height());
        }
        if let Some(task) = task {
            task(&mut committer, store, height);
        }
    }
}

/// The blocks that are committed together, and the task that waits behind them.
fn commit_group(first: Work, cut: &mut mpsc::Receiver<Work>) -> (Vec<Vec<Judged>>, Option<Task>) {
    let mut batches = Vec::new();
    let mut next = Some(first);
    while let Some(work) = next {
        match work {
            Work::Task(task) => return (batches, Some(task)),
            Work::Block(batch) => batches.push(batch),
        }
        next = if batches.len() < BLOCKS_PER_COMMIT { cut.try_recv().ok() } else { None };
    }
    (batches, None)
}

/// The limits of a block.
struct Rule {
    max_count: usize,
    max_bytes: usize,
    /// None: a block is cut by hand only.
    max_wait: Option<std::time::Duration>,
}

impl From<BlockCutting> for Rule {
    fn from(cutting: BlockCutting) -> Self {
        match cutting {
            BlockCutting::Immediate => Self {
                max_count: 1,
                max_bytes: usize::MAX,
                max_wait: Some(std::time::Duration::ZERO),
            },
            BlockCutting::Batch { max_count, max_bytes, max_wait } => {
                Self { max_count: max_count.max(1), max_bytes, max_wait: Some(max_wait) }
            }
            BlockCutting::Manual => {
                Self { max_count: MAX_BLOCK_TRANSACTIONS, max_bytes: usize::MAX, max_wait: None }
            }
        }
    }
}

struct Cutter {
    rule: Rule,
    submitted: mpsc::Receiver<Judged>,
    errands: mpsc::Receiver<Errand>,
    work: mpsc::Sender<Work>,
    pending: Vec<Judged>,
    pending_bytes: usize,
    deadline: Option<Instant>,
    held: watch::Receiver<bool>,
    cut_requests: watch::Receiver<u64>,
}

impl Cutter {
    /// Ends when nobody can submit any more, or when nobody commits.
    async fn run(mut self) {
        loop {
            // Seen before the cut: a release after it wakes us.
            let held = *self.held.borrow_and_update();
            if self.cut_what_is_due().await.is_none() {
                return;
            }
            let deadline = self.deadline.filter(|_| !held);
            tokio::select! {
                envelope = self.submitted.recv() => match envelope {
                    Some(envelope) => self.take(envelope),
                    None => break,
                },
                () = wait_until(deadline) => {
                    if self.cut_all().await.is_none() {
                        return;
                    }
                }
                Ok(()) = self.held.changed() => {}
                Ok(()) = self.cut_requests.changed() => {
                    self.take_submitted();
                    if self.cut_all().await.is_none() {
                        return;
                    }
                }
                Some(errand) = self.errands.recv() => {
                    if self.run_errand(errand).await.is_none() {
                        return;
                    }
                }
            }
        }
        if !*self.held.borrow() {
            let _gone = self.cut_all().await;
        }
    }

    async fn run_errand(&mut self, errand: Errand) -> Option<()> {
        self.take_submitted();
        match errand.first {
            First::CutDue => self.cut_what_is_due().await?,
            First::CutAll => self.cut_all().await?,
            First::ForgetPending => {
                self.pending.clear();
                self.pending_bytes = 0;
                self.deadline = None;
            }
        }
        self.work.send(Work::Task(errand.task)).await.ok()
    }

    fn take_submitted(&mut self) {
        while let Ok(envelope) = self.submitted.try_recv() {
            self.take(envelope);
        }
    }

    fn take(&mut self, envelope: Judged) {
        if self.pending.is_empty() {
            self.deadline = self.rule.max_wait.map(|wait| Instant::now() + wait);
        }
        self.pending_bytes += envelope.len();
        self.pending.push(envelope);
    }

    /// Cuts as long as the pending envelopes reach a limit, unless commits are held. None:
    /// nobody commits any more.
    async fn cut_what_is_due(&mut self) -> Option<()> {
        if *self.held.borrow() {
            return Some(());
        }
        while let Some(count) = self.due() {
            self.cut(count).await?;
        }
        Some(())
    }

    /// How many of the pending envelopes make a full block.
    fn due(&self) -> Option<usize> {
        let full = self.pending.len() >= self.rule.max_count;
        if !full && self.pending_bytes <= self.rule.max_bytes {
            return None;
        }
        let mut bytes = 0;
        let fitting = self
            .pending
            .iter()
            .take(self.rule.max_count)
            .take_while(|envelope| {
                bytes += envelope.len();
                bytes <= self.rule.max_bytes
            })
            .count();
        Some(fitting.max(1))
    }

    async fn cut_all(&mut self) -> Option<()> {
        while !self.pending.is_empty() {
            let count = self.pending.len().min(MAX_BLOCK_TRANSACTIONS);
            self.cut(count).await?;
        }
        Some(())
    }

    async fn cut(&mut self, count: usize) -> Option<()> {
        let rest = self.pending.split_off(count);
        let block = std::mem::replace(&mut self.pending, rest);
        self.pending_bytes = self.pending.iter().map(Judged::len).sum();
        if self.pending.is_empty() {
            self.deadline = None;
        }
        self.work.send(Work::Block(block)).await.ok()
    }
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
