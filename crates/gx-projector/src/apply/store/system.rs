//! SQL of `LedgerSystem`, `LedgerPool` and the facts of `LedgerCountry`. Called by `single_events`.

use gx_db::PgConnection;
use sqlx::query;

use crate::place::Place;

/// Records the bootstrap, unless a newer one is known.
pub(crate) async fn bootstrapped(
    conn: &mut PgConnection,
    place: &Place,
) -> Result<(), sqlx::Error> {
    query!(
        r#"INSERT INTO "LedgerSystem" AS s (channel, "bootstrappedAt", "bootstrappedTxId",
               "bootstrapBlock", "bootstrapTxIndex", "bootstrapEventIndex")
           VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (channel) DO UPDATE
           SET "bootstrappedAt" = EXCLUDED."bootstrappedAt",
               "bootstrappedTxId" = EXCLUDED."bootstrappedTxId",
               "bootstrapBlock" = EXCLUDED."bootstrapBlock",
               "bootstrapTxIndex" = EXCLUDED."bootstrapTxIndex",
               "bootstrapEventIndex" = EXCLUDED."bootstrapEventIndex"
           WHERE (s."bootstrapBlock", s."bootstrapTxIndex", s."bootstrapEventIndex")
               < (EXCLUDED."bootstrapBlock", EXCLUDED."bootstrapTxIndex",
                  EXCLUDED."bootstrapEventIndex")"#,
        &*place.channel,
        place.ledger_at,
        &*place.tx_id,
        place.block_number,
        place.tx_index,
        place.event_index,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds the pools. Fails if one exists already.
pub(crate) async fn create_pools(
    conn: &mut PgConnection,
    pool_ids: &[String],
    balances: &[i64],
) -> Result<(), sqlx::Error> {
    query!(
        r#"INSERT INTO "LedgerPool" ("poolId", "startBalance")
           SELECT * FROM unnest($1::text[], $2::bigint[])"#,
        pool_ids,
        balances,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds countries, or updates those whose facts are older.
pub(crate) async fn set_countries(
    conn: &mut PgConnection,
    codes: &[String],
    names: &[String],
    shares: &[i64],
    place: &Place,
) -> Result<(), sqlx::Error> {
    query!(
        r#"INSERT INTO "LedgerCountry" AS c ("countryCode", name, "sharePpb", "factsBlock",
                                             "factsTxIndex", "factsEventIndex")
           SELECT new.code, new.name, new.share, $4, $5, $6
           FROM unnest($1::text[], $2::text[], $3::bigint[]) AS new (code, name, share)
           ON CONFLICT ("countryCode") DO UPDATE
           SET name = EXCLUDED.name, "sharePpb" = EXCLUDED."sharePpb",
               "factsBlock" = EXCLUDED."factsBlock", "factsTxIndex" = EXCLUDED."factsTxIndex",
               "factsEventIndex" = EXCLUDED."factsEventIndex"
           WHERE (c."factsBlock", c."factsTxIndex", c."factsEventIndex")
               < (EXCLUDED."factsBlock", EXCLUDED."factsTxIndex", EXCLUDED."factsEventIndex")"#,
        codes,
        names,
        shares,
        place.block_number,
        place.tx_index,
        place.event_index,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Records a pause, or its end if there is no reason, unless a newer one is known.
pub(crate) async fn set_paused(
    conn: &mut PgConnection,
    reason: Option<&str>,
    place: &Place,
) -> Result<(), sqlx::Error> {
    query!(
        r#"INSERT INTO "LedgerSystem" AS s (channel, "isPaused", "pauseReason", "pausedAt",
               "pauseBlock", "pauseTxIndex", "pauseEventIndex")
           VALUES ($1, $2::text IS NOT NULL, $2,
                   CASE WHEN $2::text IS NOT NULL THEN $3::timestamptz END, $4, $5, $6)
           ON CONFLICT (channel) DO UPDATE
           SET "isPaused" = EXCLUDED."isPaused", "pauseReason" = EXCLUDED."pauseReason",
               "pausedAt" = EXCLUDED."pausedAt", "pauseBlock" = EXCLUDED."pauseBlock",
               "pauseTxIndex" = EXCLUDED."pauseTxIndex",
               "pauseEventIndex" = EXCLUDED."pauseEventIndex"
           WHERE (s."pauseBlock", s."pauseTxIndex", s."pauseEventIndex")
               < (EXCLUDED."pauseBlock", EXCLUDED."pauseTxIndex", EXCLUDED."pauseEventIndex")"#,
        &*place.channel,
        reason,
        place.ledger_at,
        place.block_number,
        place.tx_index,
        place.event_index,
    )
    .execute(conn)
    .await?;
    Ok(())
}
