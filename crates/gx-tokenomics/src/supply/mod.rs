//! The supply and its holders, from the read model. Called by the public routes `supply` and
//! `treasury`.

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

/// Longest use of a count while no block is applied: a repair of the read model changes rows
/// without a block.
const MAX_COUNT_AGE: Duration = Duration::from_secs(10);

/// No person of that country has a grant yet, or the country does not exist.
pub(crate) const NO_TREASURY: ProblemKind =
    ProblemKind::new("no_treasury", 404, "There is no such treasury yet");

/// The last count of the supply, shared by all requests until the next block. The route is public
/// and a count reads every wallet, so that a count for each request would be too expensive.
#[derive(Clone, Default)]
pub(crate) struct Supply(Arc<Mutex<Option<Count>>>);

struct Count {
    held: Arc<Holdings>,
    at: Instant,
}

impl Supply {
    /// Returns all balances as of the last applied block, counted again if a block came since or
    /// the count is too old. Requests that come during a count wait for it.
    pub(crate) async fn holdings(&self, base: &Foundation) -> Result<Arc<Holdings>, Problem> {
        let mut last = self.0.lock().await;
        if let Some(Count { held, at }) = &*last {
            let block = store::last_block(&mut *base.connection().await?).await?;
            if held.block_number == block && at.elapsed() < MAX_COUNT_AGE {
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
