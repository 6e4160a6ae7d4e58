//! What all parts of a projector work with. Made once for each process by the `gx` binary, tests or
//! the simulation, and passed to [`crate::Projector::new`].

use gx_db::PgPool;
use gx_fabric_client::Ledger;
use gx_model::Clock;
use gx_outbox::enqueue::Waker;

use crate::apply::ApplySettings;

/// What a projector works with.
#[derive(Clone)]
pub struct ProjectorContext {
    /// Connections to the read model.
    pub pool: PgPool,
    /// The ledger that delivers the blocks.
    pub ledger: Ledger,
    /// How blocks are applied.
    pub settings: ApplySettings,
    /// The clock.
    pub clock: Clock,
    /// Wakes the submitter when commands may be due.
    pub waker: Waker,
}
