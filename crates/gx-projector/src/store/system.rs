//! SQL of `LedgerSystem`, `LedgerPool` and `LedgerCountry`.

use gx_db::PgConnection;
use sqlx::query;
use time::OffsetDateTime;

/// Records the bootstrap.
pub(crate) async fn bootstrapped(
    conn: &mut PgConnection,
    channel: &str,
    tx_id: &str,
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"INSERT INTO "LedgerSystem" (channel, "bootstrappedAt", "bootstrappedTxId")
           VALUES ($1, $3, $2)
           ON CONFLICT (channel) DO UPDATE SET "bootstrappedAt" = $3, "bootstrappedTxId" = $2"#,
        channel,
        tx_id,
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds the pools.
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

/// Adds countries.
pub(crate) async fn create_countries(
    conn: &mut PgConnection,
    codes: &[String],
    names: &[String],
    shares: &[i64],
) -> Result<(), sqlx::Error> {
    query!(
        r#"INSERT INTO "LedgerCountry" ("countryCode", name, "sharePpb")
           SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])"#,
        codes,
        names,
        shares,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Records a pause, or its end (no reason).
pub(crate) async fn set_paused(
    conn: &mut PgConnection,
    channel: &str,
    reason: Option<&str>,
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"INSERT INTO "LedgerSystem" (channel, "isPaused", "pauseReason", "pausedAt")
           VALUES ($1, $2::text IS NOT NULL, $2,
                   CASE WHEN $2::text IS NOT NULL THEN $3::timestamptz END)
           ON CONFLICT (channel) DO UPDATE
           SET "isPaused" = EXCLUDED."isPaused", "pauseReason" = EXCLUDED."pauseReason",
               "pausedAt" = EXCLUDED."pausedAt""#,
        channel,
        reason,
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}
