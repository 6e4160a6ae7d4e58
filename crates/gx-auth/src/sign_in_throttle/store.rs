//! SQL of failed sign-ins.

use gx_db::PgConnection;
use time::OffsetDateTime;

/// Counts an attempt of an address as a failure, and blocks the address for the delay that
/// `delays_s` has for this number of consecutive failures. Returns `false`, and counts nothing, if
/// the address is blocked. Failures before `forgotten` no longer count.
///
/// A first failure under `address_hash` continues the count that the address has under another of
/// `all_hashes`: the key of hashes was replaced meanwhile.
pub(super) async fn count(
    conn: &mut PgConnection,
    address_hash: &[u8],
    all_hashes: &[Vec<u8>],
    delays_s: &[i32],
    forgotten: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let counted = sqlx::query!(
        r#"INSERT INTO "SignInFailure" AS f ("addressHash", failures, "lastFailedAt",
               "blockedUntil")
           SELECT $1::bytea, other.failures + 1, $2::timestamptz,
                  $2 + make_interval(secs => nullif(
                      ($4::int[])[least(other.failures + 1, cardinality($4::int[]))], 0))
           FROM (SELECT coalesce(max(failures) FILTER (WHERE "lastFailedAt" > $3), 0) AS failures,
                        coalesce(bool_or("blockedUntil" > $2), false) AS is_blocked
                 FROM "SignInFailure"
                 WHERE "addressHash" = ANY($5::bytea[]) AND "addressHash" <> $1) AS other
           WHERE NOT other.is_blocked
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
        all_hashes,
    )
    .execute(conn)
    .await?;
    Ok(counted.rows_affected() == 1)
}

pub(super) async fn blocked_until(
    conn: &mut PgConnection,
    all_hashes: &[Vec<u8>],
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT max("blockedUntil") FROM "SignInFailure" WHERE "addressHash" = ANY($1)"#,
        all_hashes,
    )
    .fetch_one(conn)
    .await
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
    all_hashes: &[Vec<u8>],
) -> Result<bool, sqlx::Error> {
    let forgotten =
        sqlx::query!(r#"DELETE FROM "SignInFailure" WHERE "addressHash" = ANY($1)"#, all_hashes)
            .execute(conn)
            .await?;
    Ok(forgotten.rows_affected() > 0)
}
