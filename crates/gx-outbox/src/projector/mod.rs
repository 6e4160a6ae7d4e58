//! What the projector does with the outbox: it settles commands by what the blocks say about them.

mod settle;
mod verification;

pub use self::settle::{
    BlockResults, CommandResult, EnvelopeResult, InvalidCode, Settled, UserCreated, UserNotCreated,
    note_created, prerequisites_arrived, settle,
};
pub use self::verification::{Unverified, unverified, verified};
