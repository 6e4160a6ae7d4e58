//! Enqueueing, for services: adds a command to the outbox, in the transaction of its caller. If
//! that transaction is rolled back, for example because [`enqueue`] failed, the outbox is
//! unchanged.

mod grant;

use gx_db::{PgConnection, ProfileId};
use gx_model::{Command, CommandId, SignerRole};
use time::OffsetDateTime;

use crate::lane::lane_of;
use crate::store::commands;

pub use self::grant::{adopted_grant_id, enqueue_adopted_grant};
pub use crate::wake::Waker;

/// A command that is to be added, and who requests it.
#[derive(Clone, Copy, Debug)]
pub struct NewCommand<'a> {
    /// Derived from the reason for the command, so that enqueueing it again is harmless.
    pub command_id: CommandId,
    /// The command with its complete payload.
    pub command: &'a Command,
    /// The person that the command concerns, and who may read its status.
    pub profile_id: Option<&'a ProfileId>,
    /// Who requests it: a profile's or an administrator's id, or a worker's name.
    pub requested_by: &'a str,
    /// The HTTP request that caused it.
    pub request_id: Option<&'a str>,
}

/// Whether a command was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// The command was added.
    New,
    /// The same command is already in the outbox; nothing was written.
    Existing,
}

/// Why a command was not added to the outbox.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// The id already belongs to a different command.
    #[error("command {0} already exists with different content; compare it with `gx outbox show`")]
    Mismatch(CommandId),
    /// The database failed; the source says why.
    #[error("the outbox cannot be written; check the database and its log")]
    Database(#[from] sqlx::Error),
}

/// Adds a command to the outbox unless the same command is already there. After the transaction has
/// committed, call [`Waker::wake`].
///
/// # Errors
/// [`EnqueueError::Mismatch`] if the id belongs to a different command, and
/// [`EnqueueError::Database`] if a statement fails.
pub async fn enqueue(
    conn: &mut PgConnection,
    new: NewCommand<'_>,
    now: OffsetDateTime,
) -> Result<Enqueued, EnqueueError> {
    let aggregate_key = new.command.aggregate_key();
    let row = commands::NewRow {
        command_id: new.command_id.into(),
        kind: new.command.kind().name(),
        payload: new.command.payload(),
        signer_role: signer_role(new.command),
        lane: lane_of(&aggregate_key),
        aggregate_key,
        touches: new.command.touches(),
        profile_id: new.profile_id,
        requested_by: new.requested_by,
        request_id: new.request_id,
    };
    if commands::insert(conn, &row, now).await? == 1 {
        return Ok(Enqueued::New);
    }
    if commands::is_same(conn, &row).await? {
        Ok(Enqueued::Existing)
    } else {
        Err(EnqueueError::Mismatch(new.command_id))
    }
}

/// Returns the name of the identity that must sign.
fn signer_role(command: &Command) -> &'static str {
    match command.kind().role() {
        SignerRole::SuperAdmin => "SUPER_ADMIN",
        SignerRole::Admin | SignerRole::PartnerApi => "ADMIN",
    }
}
