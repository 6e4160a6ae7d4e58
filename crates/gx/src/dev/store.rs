//! SQL of the development stack.

use gx_db::PgPool;
use sqlx::query_scalar;

/// Whether the read model has seen the supply and the countries.
pub(crate) async fn ledger_is_alive(pool: &PgPool) -> Result<bool, sqlx::Error> {
    query_scalar!(
        r#"SELECT EXISTS (SELECT FROM "LedgerSystem" WHERE "bootstrappedAt" IS NOT NULL)
              AND EXISTS (SELECT FROM "LedgerCountry") AS "alive!""#
    )
    .fetch_one(pool)
    .await
}
