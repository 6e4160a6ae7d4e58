//! A command enters the outbox in the transaction of whoever wants it.

use gx_db::PgConnection;
use gx_model::{Command, CommandId, SignerRole};
use time::OffsetDateTime;

use crate::lane::lane_of;
use crate::store::commands;

/// What is wanted, by whom.
#[derive(Clone, Copy, Debug)]
pub struct NewCommand<'a> {
    /// Made by whoever first wants the command, so that repeating it is harmless.
    pub command_id: CommandId,
    /// The command with its complete payload.
    pub command: &'a Command,
    /// The person whom it concerns, who may ask for its status.
    pub profile_id: Option<&'a str>,
    /// Who wants it: a profile's or an administrator's id, or a worker's name.
    pub requested_by: &'a str,
    /// The request in which it was wanted.
    pub request_id: Option<&'a str>,
}

/// Whether the command is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It was added.
    New,
    /// The same command under the same id was there before; nothing was written.
    Existing,
}

/// Why a command did not enter the outbox.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// The id stands for another command already.
    #[error("command {0} exists with other content")]
    Mismatch(CommandId),
    /// The database failed.
    #[error("the outbox cannot be written")]
    Database(#[from] sqlx::Error),
}

/// Adds a command to the outbox, or finds that it is there already. Once the transaction
/// has committed, call [`crate::Waker::wake`].
///
/// # Errors
/// [`EnqueueError::Mismatch`] where the id stands for another command.
pub async fn enqueue(
    conn: &mut PgConnection,
    new: NewCommand<'_>,
    now: OffsetDateTime,
) -> Result<Enqueued, EnqueueError> {
    let aggregate_key = new.command.aggregate_key();
    let row = commands::NewRow {
        command_id: new.command_id.to_string(),
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

/// Which identity signs: admin, or super admin for what needs it.
fn signer_role(command: &Command) -> &'static str {
    match command.kind().role() {
        SignerRole::SuperAdmin => "SUPER_ADMIN",
        SignerRole::Admin | SignerRole::PartnerApi => "ADMIN",
    }
}
