//! Transfers followed live: one task asks for all that anybody follows, however many streams
//! there are, and sleeps while there are none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gx_auth::Foundation;
use gx_serve::{HealthBoard, Problem};
use tokio::sync::watch;

use super::{Progress, store};

/// How often the followed transfers are looked up.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Transfers that are followed at once.
const FOLLOWED_LIMIT: usize = 10_000;

/// Streams of one transfer at once.
const STREAMS_LIMIT: usize = 16;

/// The last state of each followed transfer. It is empty exactly while no task looks.
type Followed = HashMap<String, watch::Sender<Progress>>;

/// The transfers that somebody follows. Clones share them.
#[derive(Clone)]
pub(crate) struct Live {
    base: Foundation,
    health: HealthBoard,
    followed: Arc<Mutex<Followed>>,
}

impl Live {
    /// Nothing is followed yet.
    pub(crate) fn new(base: Foundation, health: HealthBoard) -> Self {
        Self { base, health, followed: Arc::default() }
    }

    /// Follows a transfer from where it stands. The receiver closes when the service stops.
    /// `None` when too many are followed already.
    pub(crate) fn follow(&self, from: Progress) -> Option<watch::Receiver<Progress>> {
        let mut followed = self.lock();
        let is_full = match followed.get(&from.command_id) {
            Some(sender) => sender.receiver_count() >= STREAMS_LIMIT,
            None => followed.len() >= FOLLOWED_LIMIT,
        };
        if is_full {
            return None;
        }
        if followed.is_empty() {
            tokio::spawn(self.clone().look_until_nobody_follows());
        }
        let id = from.command_id.clone();
        Some(followed.entry(id).or_insert_with(|| watch::Sender::new(from)).subscribe())
    }

    async fn look_until_nobody_follows(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let ids: Vec<String> = {
                let mut followed = self.lock();
                let is_draining = self.health.is_draining();
                followed.retain(|_, sender| !is_draining && sender.receiver_count() > 0);
                if followed.is_empty() {
                    return;
                }
                followed.keys().cloned().collect()
            };
            if let Err(problem) = self.look(&ids).await {
                tracing::warn!(code = problem.kind().code, "followed transfers cannot be read");
            }
        }
    }

    async fn look(&self, ids: &[String]) -> Result<(), Problem> {
        let mut conn = self.base.connection().await?;
        let rows = store::transfers(&mut conn, ids).await?;
        let followed = self.lock();
        for progress in rows.iter().map(Progress::of) {
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
