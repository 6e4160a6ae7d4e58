//! SQL of failed sign-ins.

use gx_db::PgConnection;
use time::OffsetDateTime;

/// Counts an attempt of an address as a failure, and blocks the address for the delay that
/// `delays_s` has for this number of consecutive failures. Returns `false`, and counts nothing, if
/// the address is blocked. Failures before `forgotten` no longer count.
pub(super) async fn count(
    conn: &mut PgConnection,
    address_hash: &[u8],
    delays_s: &[i32],
    forgotten: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let counted = sqlx::query!(
        r#"INSERT INTO "SignInFailure" AS f ("addressHash", failures, "lastFailedAt")
           VALUES ($1, 1, $2)
           ON CONFLICT ("addressHash") DO UPDATE SET
               failures = CASE WHEN f."lastFailedAt" > $3 THEN f.failures + 1 ELSE 1 END,
               "lastFailedAt" = $2,
               "blockedUntil" = CASE WHEN f."lastFailedAt" > $3 THEN
                   $2 + make_interval(secs => nullif(
                       ($4::int[])[least(f.failures + 1, cardinality($4::int[]))], 0)) END
           WHERE f."blockedUntil" IS NULL OR f."blockedUntil" <= $2"#,
        address_hash,
        now,
        forgotten,
        delays_s,
    )
    .execute(conn)
    .await?;
    Ok(counted.rows_affected() == 1)
}

pub(super) async fn blocked_until(
    conn: &mut PgConnection,
    address_hash: &[u8],
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    let until = sqlx::query_scalar!(
        r#"SELECT "blockedUntil" FROM "SignInFailure" WHERE "addressHash" = $1"#,
        address_hash,
    )
    .fetch_optional(conn)
    .await?;
    Ok(until.flatten())
}

/// Takes one failure back. The address was not blocked when the failure was counted.
pub(super) async fn withdraw(
    conn: &mut PgConnection,
    address_hash: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "SignInFailure" SET failures = failures - 1, "blockedUntil" = NULL
           WHERE "addressHash" = $1 AND failures > 0"#,
        address_hash,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes the failures of an address and returns whether there were any.
pub(super) async fn forget(
    conn: &mut PgConnection,
    address_hash: &[u8],
) -> Result<bool, sqlx::Error> {
    let forgotten =
        sqlx::query!(r#"DELETE FROM "SignInFailure" WHERE "addressHash" = $1"#, address_hash)
            .execute(conn)
            .await?;
    Ok(forgotten.rows_affected() > 0)
}
