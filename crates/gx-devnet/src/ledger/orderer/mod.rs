//! Cuts blocks of submitted envelopes and passes them to the committing thread. The gateway and the
//! orderer's own service submit.

mod committer_task;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use self::committer_task::{CommitterTask, Pending, Task};
use super::commit::Committer;
use super::config::BlockCutting;
use super::state::Store;
use super::validation::Validated;
use crate::faults::Faults;

/// Limit of envelopes that wait to be ordered; further Submits wait.
const QUEUED_ENVELOPES: usize = 10_000;
/// Limit of cut blocks that wait to be committed.
const QUEUED_BLOCKS: usize = 64;
/// Limit of tasks that wait for the cutter.
const QUEUED_TASKS: usize = 16;
/// Limit of blocks that are committed together with one wait for the disk.
const BLOCKS_PER_COMMIT: usize = 64;
/// Limit of transactions in a block that is cut by hand or after commits were held.
const MAX_BLOCK_TRANSACTIONS: usize = 10_000;

/// Error: the ledger is stopping, or its store has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrdererGone;

/// The handle that submits envelopes and tasks.
#[derive(Clone)]
pub(crate) struct Orderer {
    queue: mpsc::Sender<Validated>,
    tasks: mpsc::Sender<CommitterTask>,
}

/// The work of the committing thread, in order.
enum Work {
    Block(Vec<Validated>),
    Task(Task),
}

impl Orderer {
    /// Starts the cutter and the committing thread. They end when the last clone is dropped and
    /// everything submitted is committed. The height is published after each commit.
    pub(crate) fn start(
        cutting: BlockCutting,
        faults: &Faults,
        committer: Committer,
        store: Arc<Store>,
        height: watch::Sender<u64>,
    ) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (queue, submitted) = mpsc::channel(QUEUED_ENVELOPES);
        let (work, cut) = mpsc::channel(QUEUED_BLOCKS);
        let (tasks, queued_tasks) = mpsc::channel(QUEUED_TASKS);
        let cutter = Cutter {
            rule: Rule::from(cutting),
            submitted,
            tasks: queued_tasks,
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
        Ok((Self { queue, tasks }, thread))
    }

    /// Queues an envelope in memory. Success does not mean that it commits; after an error it never
    /// does.
    pub(crate) async fn submit(&self, envelope: Validated) -> Result<(), OrdererGone> {
        self.queue.send(envelope).await.map_err(|_| OrdererGone)
    }

    /// Queues a task for the committing thread.
    async fn send(&self, task: CommitterTask) -> Result<(), OrdererGone> {
        self.tasks.send(task).await.map_err(|_| OrdererGone)
    }
}

/// Commits blocks and runs tasks until the cutter has ended or the store fails.
fn commit_blocks(
    mut committer: Committer,
    store: &Store,
    mut cut: mpsc::Receiver<Work>,
    height: &watch::Sender<u64>,
) {
    while let Some(first) = cut.blocking_recv() {
        let (batches, task) = next_group(first, &mut cut);
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

/// Returns the blocks that are committed together, and the task that follows them.
fn next_group(first: Work, cut: &mut mpsc::Receiver<Work>) -> (Vec<Vec<Validated>>, Option<Task>) {
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
    /// Time limit of the first transaction; `None` if blocks are cut only by hand.
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

/// Collects envelopes and cuts them into blocks by the rule, by hand, or for a task.
struct Cutter {
    rule: Rule,
    submitted: mpsc::Receiver<Validated>,
    tasks: mpsc::Receiver<CommitterTask>,
    work: mpsc::Sender<Work>,
    pending: Vec<Validated>,
    pending_bytes: usize,
    /// The time at which the pending envelopes are cut at the latest. `None` if the rule has no
    /// limit or none is pending.
    deadline: Option<Instant>,
    held: watch::Receiver<bool>,
    cut_requests: watch::Receiver<u64>,
}

impl Cutter {
    /// Runs until nobody can submit or the committing thread has ended.
    async fn run(mut self) {
        loop {
            // Marked as seen before cutting, so a release afterwards wakes this task.
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
                Some(task) = self.tasks.recv() => {
                    if self.run_task(task).await.is_none() {
                        return;
                    }
                }
            }
        }
        if !*self.held.borrow() {
            let _gone = self.cut_all().await;
        }
    }

    /// Passes a task on. Returns `None` if the committing thread has ended.
    async fn run_task(&mut self, task: CommitterTask) -> Option<()> {
        self.take_submitted();
        match task.pending {
            Pending::CutDue => self.cut_what_is_due().await?,
            Pending::CutAll => self.cut_all().await?,
            Pending::ForgetAll => {
                self.pending.clear();
                self.pending_bytes = 0;
                self.deadline = None;
            }
        }
        self.work.send(Work::Task(task.task)).await.ok()
    }

    fn take_submitted(&mut self) {
        while let Ok(envelope) = self.submitted.try_recv() {
            self.take(envelope);
        }
    }

    /// Adds an envelope to the pending ones.
    fn take(&mut self, envelope: Validated) {
        if self.pending.is_empty() {
            self.deadline = self.rule.max_wait.map(|wait| Instant::now() + wait);
        }
        self.pending_bytes += envelope.len();
        self.pending.push(envelope);
    }

    /// Cuts blocks while the pending envelopes reach a limit, unless commits are held. Returns
    /// `None` if the committing thread has ended.
    async fn cut_what_is_due(&mut self) -> Option<()> {
        if *self.held.borrow() {
            return Some(());
        }
        while let Some(count) = self.due() {
            self.cut(count).await?;
        }
        Some(())
    }

    /// Returns the number of pending envelopes that make a full block, or `None` if there are too
    /// few.
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

    /// Cuts all pending envelopes. Returns `None` if the committing thread has ended.
    async fn cut_all(&mut self) -> Option<()> {
        while !self.pending.is_empty() {
            let count = self.pending.len().min(MAX_BLOCK_TRANSACTIONS);
            self.cut(count).await?;
        }
        Some(())
    }

    /// Cuts the oldest `count` envelopes. Returns `None` if the committing thread has ended.
    async fn cut(&mut self, count: usize) -> Option<()> {
        let rest = self.pending.split_off(count);
        let block = std::mem::replace(&mut self.pending, rest);
        self.pending_bytes = self.pending.iter().map(Validated::len).sum();
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
