//! Fabric User IDs, held from approval on.

use gx_db::PgConnection;
use gx_model::{CommandId, FabricUserId, InvalidFabricUserId};
use gx_serve::Problem;
use time::OffsetDateTime;

use super::store;

/// Draws at most. With 4.5 thousand million ids for each person's facts, a second draw is
/// rare and a third is not expected in the life of the system.
const DRAWS: u32 = 64;

/// Every draw was taken.
#[derive(Debug, thiserror::Error)]
#[error("{DRAWS} drawn Fabric User IDs were all taken")]
struct AllTaken;

/// Draws an id that nobody has, and holds it for this person and command (FAB-14).
pub(crate) async fn reserve(
    conn: &mut PgConnection,
    profile_id: &str,
    command_id: CommandId,
    now: OffsetDateTime,
    mut draw: impl FnMut() -> Result<FabricUserId, InvalidFabricUserId>,
) -> Result<FabricUserId, Problem> {
    let command_id = command_id.to_string();
    for _ in 0..DRAWS {
        let id = draw().map_err(|why| Problem::internal(&why))?;
        if store::reserve(conn, id.as_str(), profile_id, &command_id, now).await? {
            return Ok(id);
        }
        metrics::counter!("gx_fabric_id_collisions_total").increment(1);
    }
    Err(Problem::internal(&AllTaken))
}
