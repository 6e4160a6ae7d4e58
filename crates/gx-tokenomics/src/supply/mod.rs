//! The whole supply: who holds how much of it, as the ledger has it.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use gx_auth::Foundation;
use gx_serve::{Problem, ProblemKind};
use tokio::sync::Mutex;
use tokio::time::Instant;

use store::Holdings;

/// For how long a count is good while no block comes: a repair changes rows without one.
const COUNT_KEPT_FOR: Duration = Duration::from_secs(10);

/// No person of that country has been granted yet, or there is no such country.
pub(crate) const NO_TREASURY: ProblemKind =
    ProblemKind::new("no_treasury", 404, "There is no such treasury yet");

/// The last count of the supply. Anybody may ask for it and it reads every wallet, so one
/// request counts for all that ask while the same block is the last.
#[derive(Clone, Default)]
pub(crate) struct Supply(Arc<Mutex<Option<Count>>>);

struct Count {
    held: Arc<Holdings>,
    at: Instant,
}

impl Supply {
    /// Who holds how much, as of the last block applied.
    pub(crate) async fn holdings(&self, base: &Foundation) -> Result<Arc<Holdings>, Problem> {
        let mut last = self.0.lock().await;
        if let Some(Count { held, at }) = &*last {
            let block = store::last_block(&mut *base.connection().await?).await?;
            if held.block_number == block && at.elapsed() < COUNT_KEPT_FOR {
                return Ok(Arc::clone(held));
            }
        }
        let mut tx = base.begin().await?;
        let held = Arc::new(store::holdings(&mut tx).await?);
        tx.commit().await?;
        *last = Some(Count { held: Arc::clone(&held), at: Instant::now() });
        Ok(held)
    }
}
