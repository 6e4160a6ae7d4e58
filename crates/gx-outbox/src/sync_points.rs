//! Test hooks between two steps of the protocol, which both workers reach. A simulation holds a
//! worker there, lets others overtake it, or stops it. Production has none.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// Completes when the worker may continue.
pub type Resume = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The hook that a worker calls before each of its steps.
#[derive(Clone, Default)]
pub struct SyncPoints(Option<Arc<dyn Fn(&'static str) -> Resume + Send + Sync>>);

impl SyncPoints {
    /// Creates a hook that is called with the name of the next step.
    pub fn new(gate: impl Fn(&'static str) -> Resume + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(gate)))
    }

    /// Waits until the hook lets the worker take this step. No transaction may be open here: a
    /// waiting worker must not block others.
    pub async fn reach(&self, step: &'static str) {
        if let Some(gate) = &self.0 {
            gate(step).await;
        }
    }
}

impl fmt::Debug for SyncPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SyncPoints").field(&self.0.is_some()).finish()
    }
}
