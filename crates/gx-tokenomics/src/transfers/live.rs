//! Follows transfers for open streams. One task reads all followed transfers from the database; it
//! runs only while a stream is open. Called by the route that follows a transfer. If the database
//! fails, the streams stay open and the task reads again after a pause.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gx_auth::Foundation;
use gx_db::StoredCommandId;
use gx_serve::{HealthBoard, Problem};
use tokio::sync::watch;

use super::{TransferProgress, store};

/// Pause between two reads of the followed transfers.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Most transfers that are followed at the same time.
const MAX_FOLLOWED: usize = 10_000;

/// Most streams of one transfer at the same time.
const MAX_STREAMS_PER_TRANSFER: usize = 16;

/// The last state of each followed transfer. Empty exactly while the task does not run.
type Followed = HashMap<StoredCommandId, watch::Sender<TransferProgress>>;

/// The followed transfers. Clones share them.
#[derive(Clone)]
pub(crate) struct FollowedTransfers {
    base: Foundation,
    health: HealthBoard,
    followed: Arc<Mutex<Followed>>,
}

impl FollowedTransfers {
    /// Creates an empty list of followed transfers.
    pub(crate) fn new(base: Foundation, health: HealthBoard) -> Self {
        Self { base, health, followed: Arc::default() }
    }

    /// Follows a transfer from its present state on. The receiver closes when the service stops.
    /// Returns `None` if too many transfers or streams are followed.
    pub(crate) fn follow(
        &self,
        from: TransferProgress,
    ) -> Option<watch::Receiver<TransferProgress>> {
        let mut followed = self.lock();
        let is_full = match followed.get(&from.command_id) {
            Some(sender) => sender.receiver_count() >= MAX_STREAMS_PER_TRANSFER,
            None => followed.len() >= MAX_FOLLOWED,
        };
        if is_full {
            return None;
        }
        if followed.is_empty() {
            tokio::spawn(self.clone().update_until_nobody_follows());
        }
        let id = from.command_id.clone();
        Some(followed.entry(id).or_insert_with(|| watch::Sender::new(from)).subscribe())
    }

    /// Reads the followed transfers at each interval until none is followed or the service stops.
    async fn update_until_nobody_follows(self) {
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let ids: Vec<_> = {
                let mut followed = self.lock();
                let is_draining = self.health.is_draining();
                followed.retain(|_, sender| !is_draining && sender.receiver_count() > 0);
                if followed.is_empty() {
                    return;
                }
                followed.keys().cloned().collect()
            };
            if let Err(problem) = self.update(&ids).await {
                let problem = problem.kind().code;
                tracing::warn!(problem, "followed transfers cannot be read: {problem}");
            }
        }
    }

    /// Reads these transfers and tells their followers what changed.
    async fn update(&self, ids: &[StoredCommandId]) -> Result<(), Problem> {
        let mut conn = self.base.connection().await?;
        let rows = store::transfers(&mut conn, ids).await?;
        let followed = self.lock();
        for progress in rows.iter().map(TransferProgress::of) {
            if let Some(sender) = followed.get(&progress.command_id) {
                sender.send_if_modified(|last| {
                    let is_new = *last != progress;
                    *last = progress;
                    is_new
                });
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
