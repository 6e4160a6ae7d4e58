//! Draws and reserves the Fabric User ID of a new person. Called by an approval.

use gx_db::{PgConnection, ProfileId};
use gx_model::{CommandId, FabricUserId, InvalidFabricUserId};
use gx_serve::Problem;
use time::OffsetDateTime;

use super::store;

/// Most draws. There are 4.5 thousand million ids for each person's facts, so that a second draw is
/// rare and a third one practically never happens.
const MAX_DRAWS: u32 = 64;

/// Every drawn id belongs to another person.
#[derive(Debug, thiserror::Error)]
#[error("{MAX_DRAWS} drawn Fabric User IDs were all taken; report this defect")]
struct AllIdsTaken;

/// Draws an id that nobody has, and reserves it for this person and command (FAB-14). If all draws
/// are taken, returns an internal problem.
pub(crate) async fn reserve(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    command_id: CommandId,
    now: OffsetDateTime,
    mut draw: impl FnMut() -> Result<FabricUserId, InvalidFabricUserId>,
) -> Result<FabricUserId, Problem> {
    for _ in 0..MAX_DRAWS {
        let id = draw().map_err(|why| Problem::internal(&why))?;
        if store::reserve(conn, id.as_str(), profile_id, command_id, now).await? {
            return Ok(id);
        }
        metrics::counter!("gx_fabric_id_collisions_total").increment(1);
    }
    Err(Problem::internal(&AllIdsTaken))
}
