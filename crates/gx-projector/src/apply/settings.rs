//! The settings with which blocks are applied. The `gx` binary makes them once for each process;
//! tests and the simulation pass another [`Decode`] to make events unreadable.

use gx_model::{DomainEvent, EventRecord, UnreadableEvent};
use gx_outbox::failure::RetryPolicy;

/// A function that reads an event by its name and version. An event for which it fails becomes a
/// dead letter.
pub type Decode = fn(&EventRecord) -> Result<DomainEvent, UnreadableEvent>;

/// The settings with which blocks are applied.
#[derive(Clone, Debug)]
pub struct ApplySettings {
    /// The channel that is projected.
    pub channel: String,
    /// The chaincode whose events are projected.
    pub chaincode: String,
    /// Reads events; usually [`EventRecord::decode`].
    pub decode: Decode,
    /// How commands of failed transactions are tried again.
    pub retry: RetryPolicy,
}
