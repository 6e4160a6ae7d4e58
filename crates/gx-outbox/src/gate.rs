//! Whether the outbox and the ledger belong together, and how far the read model is.

use gx_db::PgConnection;

use crate::store::attempts;

/// The last block that the projector applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Hash of the chain's block 0.
    pub genesis_hash: Vec<u8>,
    /// Number of the last block applied.
    pub block_number: i64,
    /// Its hash.
    pub block_hash: Vec<u8>,
}

/// The projector's checkpoint, if it ever applied a block of this channel.
///
/// # Errors
/// The database's.
pub async fn checkpoint(
    conn: &mut PgConnection,
    channel: &str,
) -> Result<Option<Checkpoint>, sqlx::Error> {
    attempts::checkpoint(conn, channel).await
}

/// Transaction ids of open attempts that were signed for another chain: sending them here
/// would be wrong, and their commands may have taken effect there.
///
/// # Errors
/// The database's.
pub async fn foreign_attempts(
    conn: &mut PgConnection,
    genesis_hash: &[u8],
) -> Result<Vec<String>, sqlx::Error> {
    attempts::foreign(conn, genesis_hash).await
}
