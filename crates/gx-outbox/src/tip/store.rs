//! SQL of `LedgerTip`, of the checkpoint, and of the ledger's state in the read model, for the
//! parent module.

use gx_db::PgConnection;
use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;

use super::Checkpoint;

/// The samples of the height together with the checkpoint.
pub(crate) struct Seen {
    pub(crate) contact_at: Option<OffsetDateTime>,
    pub(crate) height: Option<i64>,
    pub(crate) block_number: Option<i64>,
    pub(crate) oldest_unapplied_at: Option<OffsetDateTime>,
}

/// When a worker last reached the ledger, and the state of the ledger.
pub(crate) struct System {
    pub(crate) contact_at: Option<OffsetDateTime>,
    pub(crate) is_bootstrapped: bool,
    pub(crate) pause_reason: Option<String>,
}

/// Returns the channel's last contact and its state in the read model.
pub(crate) async fn system(conn: &mut PgConnection, channel: &str) -> Result<System, sqlx::Error> {
    query_as!(
        System,
        r#"SELECT (SELECT max("contactAt") FROM "LedgerTip" WHERE channel = $1) AS contact_at,
                  EXISTS (SELECT FROM "LedgerSystem"
                          WHERE channel = $1 AND "bootstrappedAt" IS NOT NULL)
                      AS "is_bootstrapped!",
                  (SELECT coalesce("pauseReason", '') FROM "LedgerSystem"
                   WHERE channel = $1 AND "isPaused") AS pause_reason"#,
        channel,
    )
    .fetch_one(conn)
    .await
}

/// Returns the reason code if the channel is paused.
pub(crate) async fn pause_reason(
    conn: &mut PgConnection,
    channel: &str,
) -> Result<Option<String>, sqlx::Error> {
    query_scalar!(
        r#"SELECT coalesce("pauseReason", '') AS "reason!" FROM "LedgerSystem"
           WHERE channel = $1 AND "isPaused""#,
        channel,
    )
    .fetch_optional(conn)
    .await
}

/// Adds a sample, or updates the time of the last contact at the same height.
pub(crate) async fn record(
    conn: &mut PgConnection,
    channel: &str,
    height: i64,
    writer: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"INSERT INTO "LedgerTip" (channel, height, "firstSeenAt", "contactAt", writer)
           VALUES ($1, $2, $3, $3, $4)
           ON CONFLICT (channel, height) DO UPDATE
           SET "contactAt" = greatest("LedgerTip"."contactAt", EXCLUDED."contactAt")"#,
        channel,
        height,
        now,
        writer,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes the samples at or below the checkpoint, except the newest of all.
pub(crate) async fn prune(conn: &mut PgConnection, channel: &str) -> Result<(), sqlx::Error> {
    query!(
        r#"DELETE FROM "LedgerTip" t
           WHERE t.channel = $1
             AND t.height < (SELECT max(height) FROM "LedgerTip" WHERE channel = $1)
             AND t.height <= (SELECT "blockNumber" + 1 FROM "ProjectorState" WHERE channel = $1)"#,
        channel,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the samples together with the checkpoint.
pub(crate) async fn read(conn: &mut PgConnection, channel: &str) -> Result<Seen, sqlx::Error> {
    query_as!(
        Seen,
        r#"SELECT max(t."contactAt") AS contact_at, max(t.height) AS height,
                  (SELECT "blockNumber" FROM "ProjectorState" WHERE channel = $1) AS block_number,
                  min(t."firstSeenAt") FILTER (WHERE t.height > coalesce(
                      (SELECT "blockNumber" + 1 FROM "ProjectorState" WHERE channel = $1), 0))
                      AS oldest_unapplied_at
           FROM "LedgerTip" t WHERE t.channel = $1"#,
        channel,
    )
    .fetch_one(conn)
    .await
}

/// Returns the projector's checkpoint.
pub(crate) async fn checkpoint(
    conn: &mut PgConnection,
    channel: &str,
) -> Result<Option<Checkpoint>, sqlx::Error> {
    query_as!(
        Checkpoint,
        r#"SELECT "genesisHash" AS genesis_hash, "blockNumber" AS block_number,
                  "blockHash" AS block_hash
           FROM "ProjectorState" WHERE channel = $1"#,
        channel,
    )
    .fetch_optional(conn)
    .await
}
