//! The audit log. Every audited change calls [`append`] in its own transaction, without a lock that
//! another request could wait for. A [`Sealer`] in the outbox-submitter puts committed entries into
//! batches; each batch has the Merkle root of its entries and the hash of the batch before it.
//! `gx audit verify` calls [`verify()`], and `gx audit prove` calls [`prove`].
//!
//! Releases before migration 9 wrote a chain of rows, each with the hash of the row before it. That
//! chain is batch 0; every later batch contains the chain's last hash, too.

mod chain;
mod content;
mod fault;
mod merkle;
mod proof;
mod seal;
mod store;
#[cfg(test)]
mod tests;
mod verify;

use gx_db::{AdminId, PgConnection, ProfileId};
use serde_json::Value;
use time::OffsetDateTime;

pub use fault::{AuditLogFault, VerifyError};
pub use proof::{Proof, ProofError, Side, prove};
pub use seal::Sealer;
pub use verify::{SealedPosition, Verified, verify};

/// Who performed an action.
#[derive(Clone, Copy, Debug)]
pub enum Actor<'a> {
    /// The person of the verified session.
    User(&'a ProfileId),
    /// The administrator of the verified session.
    Admin(&'a AdminId),
    /// A process or an operator's command: its name.
    System(&'a str),
}

impl<'a> Actor<'a> {
    /// Returns the id, or the name of a process or command.
    pub fn id(self) -> &'a str {
        match self {
            Self::User(id) => id.as_str(),
            Self::Admin(id) => id.as_str(),
            Self::System(name) => name,
        }
    }
}

/// An action to be recorded. `before` and `after` never contain credentials.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Who performed the action.
    pub actor: Actor<'a>,
    /// Name of the action, such as `user.approved`.
    pub action: &'a str,
    /// Type of the changed object, such as `UserProfile`.
    pub target_type: &'a str,
    /// Id of the changed object.
    pub target_id: Option<&'a str>,
    /// The changed values before the action.
    pub before: Option<Value>,
    /// The changed values after the action.
    pub after: Option<Value>,
    /// The request that performed the action.
    pub request_id: Option<&'a str>,
}

impl<'a> Entry<'a> {
    /// Creates an entry without values.
    pub fn new(
        actor: Actor<'a>,
        action: &'a str,
        target_type: &'a str,
        target_id: Option<&'a str>,
        request_id: Option<&'a str>,
    ) -> Self {
        let (before, after) = (None, None);
        Self { actor, action, target_type, target_id, before, after, request_id }
    }
}

/// Appends an entry in the caller's transaction.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn append(
    conn: &mut PgConnection,
    entry: Entry<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    store::append(conn, &entry, now).await
}
