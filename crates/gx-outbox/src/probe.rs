//! Gates between two steps of the protocol: there a simulation holds a worker back, lets
//! others overtake it, or ends it. In production there are none.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// Resolves when the worker may go on.
pub type Pass = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a worker asks whether it may take its next step.
#[derive(Clone, Default)]
pub struct Probe(Option<Arc<dyn Fn(&'static str) -> Pass + Send + Sync>>);

impl Probe {
    /// A gate that is told which step comes next.
    pub fn new(gate: impl Fn(&'static str) -> Pass + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(gate)))
    }

    /// Waits until this step may be taken. No transaction may be open here: whoever waits
    /// must not keep others from going on.
    pub async fn at(&self, step: &'static str) {
        if let Some(gate) = &self.0 {
            gate(step).await;
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Probe").field(&self.0.is_some()).finish()
    }
}
