//! What GX and the Fabric crates share: the clock, the roles of signers, and the interface of
//! contracts.
//!
//! The Fabric crates know nothing else of GX, so that they work with any contract.

mod clock;
mod contract;
mod named;
mod signer_role;

pub use clock::Clock;
pub use contract::{Contract, ContractCall, Response, State, StateError};
pub use named::UnknownName;
pub use signer_role::SignerRole;
