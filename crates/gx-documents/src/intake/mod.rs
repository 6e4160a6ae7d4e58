//! Looks at files as they come in, and refuses what is not plainly one JPEG, PNG, WebP or PDF. The
//! whole file is never in memory. Called by [`crate::Documents::receive`].

mod inspector;
mod jpeg;
mod limits;
mod marks;
mod pdf;
mod png;
mod refusal;
mod steps;
mod structure;
#[cfg(test)]
mod tests;
mod walker;
mod webp;

pub use inspector::{FileClaim, FileFacts, Inspector};
pub use limits::FileLimits;
pub use refusal::Refusal;
