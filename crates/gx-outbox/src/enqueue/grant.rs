//! The grant of a person who was created on the ledger before this database had the account.
//! Enqueued at adoption: by gx-admin, and by the projector.

use gx_db::{PgConnection, ProfileId};
use gx_model::{Command, CommandId, CommandKind, FabricUserId};
use time::OffsetDateTime;

use super::{EnqueueError, Enqueued, NewCommand, enqueue};

/// Returns the id of an adopted person's grant. It depends on the person alone, so that every
/// caller that finds the grant missing enqueues the same command.
pub fn adopted_grant_id(user_id: &FabricUserId) -> CommandId {
    CommandId::derive(&["adopted", user_id.as_str(), CommandKind::DistributeGenesis.name()])
}

/// Enqueues the grant of an adopted person, once. The ledger pays one grant to a person: if another
/// command has paid it, this one is refused and changes nothing.
///
/// # Errors
/// The errors of [`enqueue`].
pub async fn enqueue_adopted_grant(
    conn: &mut PgConnection,
    user_id: &FabricUserId,
    profile_id: &ProfileId,
    requested_by: &str,
    request_id: Option<&str>,
    now: OffsetDateTime,
) -> Result<Enqueued, EnqueueError> {
    let command =
        Command::DistributeGenesis { user_id: user_id.clone(), nationality: user_id.country() };
    let new = NewCommand {
        command_id: adopted_grant_id(user_id),
        command: &command,
        profile_id: Some(profile_id),
        requested_by,
        request_id,
    };
    enqueue(conn, new, now).await
}
